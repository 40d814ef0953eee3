# SPDX-License-Identifier: GPL-3.0-or-later
"""All that any command imports: what ``warm_program`` forks from imports this once."""

from __future__ import annotations

import importlib
import pkgutil
import sys

from ansible_collections.matrixops.synapse_s3.tests.integration.warm_program import MODULE_UTILS

sys.path.insert(0, str(MODULE_UTILS))
cli = importlib.import_module("_media.cli")
for module in pkgutil.walk_packages(cli.__path__, "_media.cli."):
    importlib.import_module(module.name)
