# SPDX-License-Identifier: GPL-3.0-or-later
"""All that any command imports, and what any client reads: what ``warm_program`` forks from does it once."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import botocore.session
from ansible_collections.matrixops.synapse_s3.tests import s3_server
from ansible_collections.matrixops.synapse_s3.tests.integration.warm_program import MODULE_UTILS

sys.path.insert(0, str(MODULE_UTILS))
cli = importlib.import_module("_media.cli")
for module in pkgutil.walk_packages(cli.__path__, "_media.cli."):
    importlib.import_module(module.name)
botocore.session.get_session().create_client(
    "s3", s3_server.REGION, aws_access_key_id=s3_server.ADMIN_KEY, aws_secret_access_key=s3_server.ADMIN_SECRET
)
