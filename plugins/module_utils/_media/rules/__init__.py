# SPDX-License-Identifier: GPL-3.0-or-later
"""Pure rules: standard library only, no clock, no input or output."""
