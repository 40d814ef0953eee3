# SPDX-License-Identifier: GPL-3.0-or-later
from ansible_collections.matrixops.synapse_s3.tests.integration.homeserver import homeserver
from ansible_collections.matrixops.synapse_s3.tests.minio_server import minio_http, minio_https
from ansible_collections.matrixops.synapse_s3.tests.postgresql_server import postgresql

__all__ = ["homeserver", "minio_http", "minio_https", "postgresql"]
