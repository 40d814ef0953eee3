#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin ``program``; nothing here runs on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: program
short_description: Installs the program of this collection as one file
version_added: 0.1.0
author:
  - The matrixops.synapse_s3 authors (@matrixops)
description:
  - Packs the program C(matrix-synapse-s3-storage-provider), which this collection brings as Python source, into one
    archive that Python runs, and copies that to the host.
  - The archive depends on the source alone. Packing it again, from another checkout or on another controller, gives
    the same bytes.
notes:
  - The program needs boto3, PyYAML and, for PostgreSQL, psycopg2 in the Python that runs it.
options:
  dest:
    description:
      - Where to put the archive.
    type: path
    required: true
  owner:
    description:
      - Name of the owner.
    type: str
  group:
    description:
      - Name of the group.
    type: str
  mode:
    description:
      - The permissions, as with M(ansible.builtin.copy).
    type: raw
seealso:
  - module: ansible.builtin.copy
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - matrixops.synapse_s3.attributes
attributes:
  check_mode:
    support: full
    description: Can run in check mode and predict the change, also where the directory of O(dest) does not exist yet.
  diff_mode:
    support: none
    description: The archive is binary; a difference of it tells nobody anything.
  action:
    support: full
    description: The archive is built on the controller.
"""

EXAMPLES = r"""
- name: Install the program
  matrixops.synapse_s3.program:
    dest: /opt/matrix-synapse-s3-storage-provider/matrix-synapse-s3-storage-provider.pyz
    owner: root
    group: root
    mode: "0644"
"""

RETURN = r"""
was_there:
  description: Whether this very archive was there already, with this owner, group and mode.
  returned: always
  type: bool
  sample: false
checksum:
  description: The SHA-1 of the archive, as M(ansible.builtin.copy) returns it.
  returned: success, except in check mode where the directory does not exist
  type: str
  sample: 2fd4e1c67a2d28fced849ee1bb76e7391b93eb12
"""
