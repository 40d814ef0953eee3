# SPDX-License-Identifier: GPL-3.0-or-later
"""What only the variables of the role ``storage_provider`` need: pure rules, standard library only.

It may import ``_media.rules``, which judges a setting wherever it comes from; the program never imports this.
"""
