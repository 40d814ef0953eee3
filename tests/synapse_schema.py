# SPDX-License-Identifier: GPL-3.0-or-later
"""Synapse's media tables, for tests on SQLite."""

from __future__ import annotations

# The columns that are used, as in Synapse's schema 72 with delta 91 (sha256).
SCHEMA = """
CREATE TABLE local_media_repository (media_id TEXT, media_length INTEGER, created_ts BIGINT, url_cache TEXT,
    last_access_ts BIGINT, sha256 TEXT);
CREATE TABLE local_media_repository_thumbnails (media_id TEXT, thumbnail_width INTEGER, thumbnail_height INTEGER,
    thumbnail_type TEXT, thumbnail_method TEXT, thumbnail_length INTEGER);
CREATE TABLE remote_media_cache (media_origin TEXT, media_id TEXT, media_length INTEGER, created_ts BIGINT,
    filesystem_id TEXT, last_access_ts BIGINT, sha256 TEXT);
CREATE TABLE remote_media_cache_thumbnails (media_origin TEXT, media_id TEXT, thumbnail_width INTEGER,
    thumbnail_height INTEGER, thumbnail_type TEXT, thumbnail_method TEXT, thumbnail_length INTEGER, filesystem_id TEXT);
"""
