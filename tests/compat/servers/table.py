# SPDX-License-Identifier: GPL-3.0-or-later
"""The S3 servers of the table, in its order. One file each."""

from __future__ import annotations

from ansible_collections.matrixops.synapse_s3.tests.compat.servers import garage, minio, moto, seaweedfs, versitygw

SERVERS = {each.SERVER.name: each.SERVER for each in (minio, versitygw, seaweedfs, garage, moto)}
