# SPDX-License-Identifier: GPL-3.0-or-later
"""The outside systems, one file each; only that file imports the system's library."""
