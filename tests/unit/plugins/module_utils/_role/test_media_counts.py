# SPDX-License-Identifier: GPL-3.0-or-later
"""Another bucket, a former store taken out, the provider taken away: what is said of the media, told whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.media_counts import (
    dropped_places,
    move_problems,
    offline_words,
    removal_problems,
)

OLD = {"bucket": "media", "prefix": "synapse/", "endpoint_url": "https://s3.example.org"}
OLDER = {"bucket": "first", "prefix": "", "endpoint_url": ""}
NEW = {"bucket": "other", "prefix": "", "endpoint_url": ""}
VARIABLE = "matrix_synapse_ext_synapse_s3_storage_provider_{}".format
ACCEPT = f"set {VARIABLE('accept_unserved_media')} to true."
NAME_IT = (
    f"Name what Synapse is to go on reading from in {VARIABLE('previous_stores')} until it is copied (the playbook"
    f" matrixops.synapse_s3.move), or {ACCEPT}"
)
OLD_IN_WORDS = "bucket 'media' with prefix 'synapse/' at https://s3.example.org"
UNSERVED = "that its database knows would not be served, being neither on the local disk nor in bucket 'other'."
NOT_RELIABLE: list[tuple[Any, str]] = [
    ({"rc": 0, "stdout": '{"local": {"files": 1, "bytes": 1}}'}, "the program does not tell it."),
    (
        {"rc": 0, "stdout": '{"unserved": 7, "damaged": 7, "stored_only": 7, "stored_elsewhere": 7}'},
        "the program does not tell it.",
    ),
    ({"rc": 1, "stdout": '{"unserved": null, "errors": ["Could not list: no."]}'}, "Could not list: no."),
    ({"rc": 69, "stdout": "{}", "stderr": "first\nCould not reach the database"}, "Could not reach the database."),
    ({"rc": 126}, "it ended with status 126."),
    ({"rc": 1, "stdout": "{not JSON", "stderr": ""}, "it ended with status 1."),
    ({"msg": "No such file or directory"}, "No such file or directory."),
]


def answer(told: dict[str, Any], rc: int = 0) -> dict[str, Any]:
    return {"rc": rc, "stdout": f"On the local disk\n{json.dumps(told)}\n", "stderr": ""}


def count(files: int, size: int) -> dict[str, int]:
    return {"files": files, "bytes": size}


def only_stored(bucket: dict[str, int], elsewhere: dict[str, int], **more: Any) -> dict[str, Any]:
    return answer({"stored_only": bucket, "stored_elsewhere": elsewhere, "repairable": count(0, 0), **more})


def not_served(
    files: int, size: int, damaged: dict[str, int] | None = None, unreadable: dict[str, int] | None = None
) -> dict[str, Any]:
    told = {"unserved": count(files, size), "damaged": damaged or count(0, 0), "unreadable": unreadable or count(0, 0)}
    return answer(told)


@pytest.mark.parametrize(
    ("now", "new", "dropped"),
    [
        ([], [NEW], []),
        ([OLD], [OLD], []),
        # Another spelling, other credentials, and the order, change no place.
        ([OLD, OLDER], [{**OLDER, "access_key_id": "AKID"}, {**OLD, "endpoint_url": "https://s3.example.org/"}], []),
        # Behind the new one the old one is still read.
        ([OLD], [NEW, OLD], []),
        ([OLD], [NEW], [OLD]),
        ([OLD], [{**OLD, "prefix": ""}], [OLD]),
        ([NEW, OLD, OLDER], [NEW, OLDER], [OLD]),
    ],
)
def test_what_synapse_would_not_read_any_more(
    now: list[dict[str, str]], new: list[dict[str, str]], dropped: list[dict[str, str]]
) -> None:
    assert dropped_places(now, new) == dropped


def test_a_bucket_with_media_that_the_new_one_does_not_have() -> None:
    unserved = not_served(12345, 6789012)
    assert move_problems(unserved, {}, [OLD], [NEW]) == [
        f"Could not take {OLD_IN_WORDS} from Synapse: 12,345 files (6,789,012 bytes) {UNSERVED} {NAME_IT}"
    ]


def test_a_former_store_taken_out_too_early() -> None:
    """Media that is lost already is told beside it, and not taken off: it need not be the same."""
    unserved, before = not_served(3, 30), not_served(1, 10)
    assert move_problems(unserved, before, [OLD, OLDER], [NEW]) == [
        f"Could not take {OLD_IN_WORDS} and bucket 'first' from Synapse: 3 files (30 bytes) {UNSERVED}"
        f" (1 file (10 bytes) are missing or damaged now already.) {NAME_IT}"
    ]
    before = not_served(0, 0)
    assert "now already" not in move_problems(unserved, before, [OLD], [NEW])[0]


def test_a_former_store_with_the_only_copy_that_is_whole() -> None:
    """Its object in the new bucket is not of the database's length: copy-bucket has called that a conflict."""
    told = {**not_served(0, 0, count(2, 1100)), "rc": 1}
    assert move_problems(told, not_served(0, 0), [OLD], [NEW]) == [
        f"Could not take {OLD_IN_WORDS} from Synapse: 2 files (1,100 bytes) that its database knows would be found"
        f" damaged only, on the local disk or in bucket 'other'. {NAME_IT}"
    ]
    (both,) = move_problems(not_served(3, 30, count(1, 5)), not_served(1, 10, count(1, 5)), [OLD], [NEW])
    assert "3 files (30 bytes) that its" in both
    assert "; 1 file (5 bytes) that its" in both
    assert "(2 files (15 bytes) are missing or damaged now already.)" in both


def test_a_former_store_with_the_only_copy_that_can_be_read() -> None:
    """In the new bucket its objects are encrypted with another key, or will be deleted: only the sample tells that."""
    told = {**not_served(0, 0, unreadable=count(25, 1100)), "rc": 1}
    assert move_problems(told, not_served(0, 0), [OLD], [NEW, OLDER]) == [
        f"Could not take {OLD_IN_WORDS} from Synapse: 25 files (1,100 bytes) of those that were looked at by chance are"
        " nowhere else, and can't be read in bucket 'other', or will be deleted there by a lifecycle rule."
        f" {NAME_IT}"
    ]


def test_a_count_that_an_older_program_does_not_tell() -> None:
    (problem,) = move_problems(answer({"unserved": count(0, 0)}), {}, [OLD], [NEW])
    assert "the program does not tell it." in problem
    old = answer({"stored_only": count(0, 0), "stored_elsewhere": count(0, 0)})
    assert "the program does not tell it." in removal_problems(old)[0]


def test_a_place_that_has_all_of_it() -> None:
    assert move_problems(not_served(0, 0), {}, [OLD], [NEW]) == []


@pytest.mark.parametrize(("told", "cause"), NOT_RELIABLE)
def test_a_count_that_can_t_be_relied_upon_is_no_zero(told: dict[str, Any], cause: str) -> None:
    not_counted = f"Could not count the media that Synapse would not find any more without {OLD_IN_WORDS}: "
    assert move_problems(told, {}, [OLD], [NEW]) == [f"{not_counted}{cause} Correct that, or {ACCEPT}"]


def test_a_removal_with_media_that_only_s3_has() -> None:
    expected = (
        "Could not take the provider from Synapse: {} that its database knows are only in the bucket, and would not be"
        " served any more. Bring them back with the playbook matrixops.synapse_s3.restore and run this again"
        f" (matrixops.synapse_s3.uninstall with -e restore_first=true does both), or {ACCEPT}"
    )
    assert removal_problems(only_stored(count(12, 3000), count(0, 0))) == [expected.format("12 files (3,000 bytes)")]
    # Also what only a former store has.
    assert removal_problems(only_stored(count(1, 1), count(2, 20))) == [expected.format("3 files (21 bytes)")]


def test_a_removal_with_damaged_files_that_the_bucket_has_whole() -> None:
    told = only_stored(count(0, 0), count(0, 0), repairable=count(1, 1000))
    damaged = "1 file (1,000 bytes) are damaged on the local disk, and whole only in the bucket."
    assert removal_problems(told) == [
        f"Could not take the provider from Synapse: {damaged} Bring them back with the playbook"
        " matrixops.synapse_s3.restore and run this again (matrixops.synapse_s3.uninstall with -e restore_first=true"
        f" does both), with -e restore_options=--repair for what is damaged, or {ACCEPT}"
    ]
    assert offline_words(told) == damaged


def test_a_removal_with_all_media_on_the_disk() -> None:
    assert removal_problems(only_stored(count(0, 0), count(0, 0))) == []
    # 1, as a file is in neither place: that is so with the provider too.
    problems = [{"path": "a", "reason": "b"}]
    damaged = {**only_stored(count(0, 0), count(0, 0), problems=problems, errors=[]), "rc": 1}
    assert removal_problems(damaged) == []


@pytest.mark.parametrize(("told", "cause"), NOT_RELIABLE)
def test_a_removal_whose_bucket_can_t_be_asked_needs_a_word(told: dict[str, Any], cause: str) -> None:
    not_counted = "Could not count the media that Synapse would not serve without the provider: "
    go_without = "Correct that; or, to go without what may be only in the bucket, "
    assert removal_problems(told) == [f"{not_counted}{cause} {go_without}{ACCEPT}"]


def test_a_former_store_that_can_t_be_asked() -> None:
    told = {**only_stored(count(0, 0), count(0, 0)), "rc": 1}
    told["stdout"] = '{"stored_only": {"files": 0, "bytes": 0}, "stored_elsewhere": null, "errors": ["Gone."]}'
    assert removal_problems(told)[0].startswith(
        "Could not count the media that Synapse would not serve without the provider: Gone. Correct that; or,"
    )


def test_removal_tells_how_much_is_not_served() -> None:
    again = "until the provider is enabled again or the media is copied back to the local disk"
    assert [
        offline_words(told)
        for told in (
            only_stored(count(1, 20), count(0, 0)),
            only_stored(count(0, 0), count(0, 0)),
            answer({}),
        )
    ] == [
        f"1 file (20 bytes) that Synapse's database knows are only there, and are not served {again}.",
        "The local disk has all of the media that Synapse's database knows and the bucket holds.",
        f"Synapse does not serve what is only there {again}. Could not count that: the program does not tell it.",
    ]
