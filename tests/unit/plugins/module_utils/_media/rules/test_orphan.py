# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from fractions import Fraction

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import (
    ConfigurationError,
    MediaError,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.media_path import (
    format_media_path,
    parse_media_path,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.orphan import (
    Kind,
    Tally,
    is_more,
    kind_of,
    refusal,
)
from hypothesis import given
from hypothesis import strategies as st

FIVE = Fraction(5, 100)
PATH = "local_content/aa/bb/ccdd"
NAME = "example.org"
SHARE_ADVICE = (
    " See that the database is the one that Synapse uses, not an older copy, and that no other homeserver stores below"
    " this prefix. If all that is listed without --delete may go, give a larger --maximum-share."
)


@pytest.mark.parametrize(
    ("path", "modified", "is_known", "expected"),
    [
        (PATH, 1.0, True, Kind.KNOWN),
        (PATH, None, True, Kind.KNOWN),
        (PATH, 100.0, False, Kind.ORPHAN),
        (PATH, 100.1, False, Kind.TOO_RECENT),
        (PATH, 1e12, False, Kind.TOO_RECENT),
        (PATH, None, False, Kind.TOO_RECENT),
        ("local_thumbnails/aa/bb/ccdd/32-32-image-png-crop", 1.0, False, Kind.ORPHAN),
        ("remote_thumbnail/example.org/aa/bb/ccdd/32-32-image-png", 1.0, False, Kind.ORPHAN),
        ("remote_content/[2001:db8::1]:8448/aa/bb/cc", 1.0, False, Kind.ORPHAN),
        ("local_thumbnails/aa/bb/ccdd/032-32-image-png-crop", 1.0, False, Kind.FOREIGN),
        ("local_content/aa/bb/ccdd/", 1.0, False, Kind.FOREIGN),
        ("local_content/aa/bb/cc\n", 1.0, False, Kind.FOREIGN),
        ("local_content/aa/b/ccdd", 1.0, False, Kind.FOREIGN),
        ("url_cache/2024-01-01/abcdef", 1.0, False, Kind.FOREIGN),
        ("url_cache_thumbnails/2024-01-01/abcdef/32-32-image-png-crop", 1.0, False, Kind.FOREIGN),
        ("hs2/local_content/aa/bb/ccdd", 1.0, False, Kind.FOREIGN),
        ("backup.tar", None, False, Kind.FOREIGN),
        ("", 1.0, False, Kind.FOREIGN),
    ],
)
def test_kind(path: str, modified: float | None, is_known: bool, expected: Kind) -> None:
    assert kind_of(path, modified, is_known=is_known, recent_after=100.0) is expected


@given(
    st.one_of(st.text(), st.from_regex(r"(local_content|remote_thumbnail/x\.y)/[a-z.-]{2}/.{2}/[^/]*", fullmatch=True))
)
def test_no_orphan_is_anything_but_a_path_of_synapses(path: str) -> None:
    if kind_of(path, 0.0, is_known=False, recent_after=1.0) is Kind.ORPHAN:
        media = parse_media_path(path)
        assert media is not None
        assert format_media_path(media) == path


@pytest.mark.parametrize(
    ("part", "whole", "expected"), [(0, 0, False), (5, 100, False), (6, 100, True), (1, 20, False), (1, 19, True)]
)
def test_more_than_a_share(part: int, whole: int, expected: bool) -> None:
    assert is_more(part, whole, FIVE) is expected


def test_nothing_speaks_against_a_small_share() -> None:
    assert refusal(Tally(100, 5, 120, 6, 95, 10, 0), FIVE, NAME) is None
    assert refusal(Tally(), FIVE, NAME) is None
    assert refusal(Tally(100, 100, 100, 100, 4, 3, 0), Fraction(1), NAME) is None


def test_too_large_a_share_of_objects() -> None:
    refused = refusal(Tally(objects=100, unknown_objects=6, paths=100), FIVE, NAME)
    assert refused.__class__ is MediaError
    assert str(refused) == (
        "Could not delete orphans, and nothing was changed: 6 of 100 objects of media in the bucket are unknown to the"
        " database (6%), and --maximum-share allows 5%." + SHARE_ADVICE
    )


def test_too_large_a_share_of_files() -> None:
    """Of all files, wherever they are: after migrate the disk holds hardly any, and orphans stay there."""
    assert refusal(Tally(objects=100, paths=103, unknown_files=3), FIVE, NAME) is None
    refused = refusal(Tally(objects=90, paths=100, unknown_files=10), FIVE, NAME)
    assert refused.__class__ is MediaError
    assert str(refused) == (
        "Could not delete orphans, and nothing was changed: 10 of 100 files of media, on the disk and in the bucket,"
        " are on the disk and unknown to the database (10%), and --maximum-share allows 5%." + SHARE_ADVICE
    )


def test_another_homeserver_below_the_same_prefix() -> None:
    """Two of them with one bucket and no prefix: where the other is small enough, the share says nothing."""
    refused = refusal(Tally(objects=100, unknown_objects=1, paths=100, of_ourselves=1), Fraction(1), NAME)
    assert refused.__class__ is ConfigurationError
    assert str(refused) == (
        "Could not delete orphans, and nothing was changed: 1 objects are media that another homeserver has fetched"
        " from 'example.org', which is this one. So another homeserver stores below the same prefix. Give each"
        " homeserver a bucket or a prefix of its own; until then the media of the other one would be deleted."
    )


def test_another_homeserver_in_the_same_media_store() -> None:
    """Its files may be nowhere else, and beside a large bucket their share says nothing."""
    refused = refusal(Tally(objects=100, paths=102, unknown_files=2, files_of_ourselves=1), FIVE, NAME)
    assert refused.__class__ is ConfigurationError
    assert str(refused) == (
        "Could not delete orphans, and nothing was changed: 1 files on the disk are media that another homeserver has"
        " fetched from 'example.org', which is this one. So the media store is another homeserver's too. Give each"
        " homeserver a media_store_path of its own; until then the media of the other one would be deleted."
    )


@pytest.mark.parametrize(
    ("missing", "maximum", "is_refused"),
    [(50, FIVE, False), (51, FIVE, True), (51, Fraction(1), False), (100, Fraction(1), True)],
)
def test_database_whose_media_is_nowhere(missing: int, maximum: Fraction, is_refused: bool) -> None:
    refused = refusal(Tally(originals=100, missing=missing), maximum, NAME)
    assert (refused.__class__ is ConfigurationError) is is_refused
    if is_refused:
        assert str(refused) == (
            f"Could not delete orphans, and nothing was changed: of 100 originals that the database knows {missing} are"
            " neither on the disk nor in the bucket. So this is not the database of this media, or not the place where"
            " its media is. See that bucket, prefix, media_store_path and database in Synapse's configuration belong"
            " together."
            + (" If they do, and that media is lost, give a larger --maximum-share." if missing < 100 else "")
        )


def test_all_reasons_are_told_at_once() -> None:
    refused = refusal(Tally(10, 10, 10, 0, 10, 10, 1), FIVE, NAME)
    assert refused.__class__ is MediaError
    lines = str(refused).splitlines()
    assert lines[0] == "Could not delete orphans, and nothing was changed: 3 problems were found:"
    assert len(lines) == 4
