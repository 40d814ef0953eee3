# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation of several modules says of where and how they run."""

from __future__ import annotations


class ModuleDocFragment:
    """The parts that a module names with ``extends_documentation_fragment``."""

    DOCUMENTATION = r"""
options: {}
attributes:
  platform:
    description: Where it runs.
    support: full
    platforms: posix
"""

    READS_ONLY = r"""
options: {}
attributes:
  check_mode:
    description: Changes nothing.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
"""

    START_PATHS = r"""
options:
  paths:
    description:
      - Files and links that the services read when they start. Those that do not exist are left out.
    type: list
    elements: path
    default: []
  config_path:
    description:
      - A file that Synapse must read, as Synapse sees it. If it is not given, nothing is looked for.
    type: str
    default: ""
  worker_path:
    description:
      - The configuration file, as Synapse sees it, that only the worker is started with that serves media. Then that is
        what must read O(config_path), and must be restarted. Empty where the main process serves media.
    type: str
    default: ""
  health_url:
    description:
      - Where Synapse answers with status 200 while it serves. Where all services run and nothing does so within 15
        seconds, that is a problem. Empty, it is not asked.
    type: str
    default: ""
"""
