# SPDX-License-Identifier: GPL-3.0-or-later
"""What the subcommands do. Stores, clock and output come in as arguments."""
