# SPDX-License-Identifier: GPL-3.0-or-later
"""The version of the collection, which is the program's too: a test keeps it in step with galaxy.yml."""

from __future__ import annotations

VERSION = "0.1.0"
