# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.media_path import (
    MediaPath,
    Root,
    Thumbnail,
    format_media_path,
    parse_media_path,
)
from hypothesis import given
from hypothesis import strategies as st

TEST_PATHS: list[tuple[str, MediaPath]] = [
    ("local_content/Ab/cD/efghij", MediaPath(Root.LOCAL_CONTENT, None, "AbcDefghij", None)),
    ("local_content/2-/_a/b", MediaPath(Root.LOCAL_CONTENT, None, "2-_ab", None)),
    (
        "local_thumbnails/Ab/cD/efghij/800-600-image-jpeg-scale",
        MediaPath(Root.LOCAL_THUMBNAILS, None, "AbcDefghij", Thumbnail(800, 600, "image/jpeg", "scale")),
    ),
    (
        "local_thumbnails/Ab/cD/efghij/32-32-image-x-icon-crop",
        MediaPath(Root.LOCAL_THUMBNAILS, None, "AbcDefghij", Thumbnail(32, 32, "image/x-icon", "crop")),
    ),
    ("remote_content/example.org/Ab/cD/e", MediaPath(Root.REMOTE_CONTENT, "example.org", "AbcDe", None)),
    ("remote_content/example.org:8448/Ab/cD/e", MediaPath(Root.REMOTE_CONTENT, "example.org:8448", "AbcDe", None)),
    ("remote_content/[2001:db8::1]:8448/Ab/cD/e", MediaPath(Root.REMOTE_CONTENT, "[2001:db8::1]:8448", "AbcDe", None)),
    (
        "remote_thumbnail/example.org/Ab/cD/e/96-96-image-png-crop",
        MediaPath(Root.REMOTE_THUMBNAIL, "example.org", "AbcDe", Thumbnail(96, 96, "image/png", "crop")),
    ),
    (
        "remote_thumbnail/example.org/Ab/cD/e/96-96-image-png",
        MediaPath(Root.REMOTE_THUMBNAIL, "example.org", "AbcDe", Thumbnail(96, 96, "image/png", None)),
    ),
]

TEST_NO_MEDIA = [
    "",
    "local_content",
    "local_content/Ab/cD",
    "local_content/Ab/cD/",
    "local_content/Abc/D/ef",
    "local_content/Ab/cD/ef/gh",
    "local_content/Ab/cD/e f",
    "local_content/Ab/../ef",
    "local_content/Ab/cD/ef.part~",
    "local_thumbnails/Ab/cD/efghij",
    "local_thumbnails/Ab/cD/efghij/96-96-image-png",
    "local_thumbnails/Ab/cD/efghij/wide-96-image-png-crop",
    "remote_content/Ab/cD/ef",
    "remote_thumbnail",
    "remote_thumbnail/example.org",
    "url_cache/2026-01-02/abcdef",
    "url_cache_thumbnails/2026-01-02/abcdef/96-96-image-png-crop",
    "other/Ab/cD/ef",
    "/local_content/Ab/cD/ef",
    "local_content/Ab/cD/ef\n",
    "local_content/Ab/cD/.nfs0000000000a1b2c300000001",
    "local_content/.a/cD/ef",
    "remote_content/.snapshot/Ab/cD/ef",
    "local_thumbnails/Ab/cD/.ef/96-96-image-png-crop",
    "local_thumbnails/Ab/cD/ef/096-96-image-png-crop",
    "local_thumbnails/Ab/cD/ef/\u0663-96-image-png-crop",
]


@pytest.mark.parametrize(("path", "media"), TEST_PATHS)
def test_parse_and_format(path: str, media: MediaPath) -> None:
    assert parse_media_path(path) == media
    assert format_media_path(media) == path


@pytest.mark.parametrize("path", TEST_NO_MEDIA)
def test_not_media(path: str) -> None:
    assert parse_media_path(path) is None


NAMES = st.text("abcXYZ019_-.[]:", min_size=1).filter(lambda name: not name.startswith("."))
MEDIA_TYPES = st.sampled_from(["image/jpeg", "image/png", "image/webp", "image/x-icon"])
METHODS = st.sampled_from(["crop", "scale"])
SIZES = st.integers(0, 9999)
FILE_IDS = st.text("abcXYZ019", min_size=5)


@st.composite
def media_paths(draw: st.DrawFn) -> MediaPath:
    root = draw(st.sampled_from(Root))
    method = draw(METHODS | st.none()) if root is Root.REMOTE_THUMBNAIL else draw(METHODS)
    thumbnail = Thumbnail(draw(SIZES), draw(SIZES), draw(MEDIA_TYPES), method) if root.is_thumbnail else None
    return MediaPath(root, draw(NAMES) if root.is_remote else None, draw(FILE_IDS), thumbnail)


@given(media_paths())
def test_round_trip(media: MediaPath) -> None:
    assert parse_media_path(format_media_path(media)) == media


@given(st.text())
def test_any_text_is_parsed_or_not(path: str) -> None:
    media = parse_media_path(path)
    assert media is None or media.root.value == path.split("/")[0]
