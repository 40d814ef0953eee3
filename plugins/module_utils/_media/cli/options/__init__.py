# SPDX-License-Identifier: GPL-3.0-or-later
"""What may stand on the command line behind each command: one file a command. Nothing here imports a command."""
