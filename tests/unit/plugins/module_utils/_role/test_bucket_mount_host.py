# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role bucket_mount makes of a host: each message whole."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.matrixops.synapse_s3.plugins.filter.bucket_mount import FilterModule
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.bucket_mount_host import (
    Change,
    State,
    change,
    preflight_problems,
    put_back_words,
    removal_problems,
    state,
)

CACHE = "/var/lib/matrix-synapse-bucket-mount"
SOURCE = "media/hs/ at https://s3.example.org"
OLD = "'old/hs/ at https://s3.example.org'"
UPLOADS = {"to": "media/hs", "by": ["--s3-v2-auth=true"]}
WANTED: Mapping[str, Any] = {
    "name": "matrix-synapse-bucket-mount",
    "service": "matrix-synapse-bucket-mount.service",
    "systemd_path": "/etc/systemd/system",
    "source": SOURCE,
    "uploads": UPLOADS,
    "path": "/media",
    "cache_path": CACHE,
    "tool": "rclone",
    "synapse_user": "matrix-synapse",
    "health_url": "http://127.0.0.1:8008/health",
    "accept_unserved_media": False,
}
# A removal has no more than these.
NAMES = {
    name: WANTED[name] for name in ("name", "service", "systemd_path", "path", "cache_path", "accept_unserved_media")
}
MOUNTED = ["fuse.rclone bucket:media/hs"]
SAYS = [f"bucket='{SOURCE}'", "place=/media", f"cache={CACHE}", f"uploads={json.dumps(UPLOADS)}"]
SYNAPSE: Mapping[str, Sequence[str]] = {
    "problems": [],
    "user_problems": [],
    "root_problems": [],
    "dependent_problems": [],
    "health_problems": [],
    "stopped": [],
}
# The role's own mount, and nothing is the matter with it.
SEEN: Mapping[str, Any] = {
    "mounted": MOUNTED,
    "says": SAYS,
    "aside": [],
    "service": {"problems": [], "outdated": [], "stopped": []},
    "synapse": SYNAPSE,
}
AT_PREFLIGHT: Mapping[str, Any] = {
    **SEEN,
    "has_user": True,
    "missing": [],
    "fstab": "",
    "media_path": "/media",
    "real_paths": ["/media", "/media"],
    "hidden": "",
    "left": [],
}
AT_REMOVAL: Mapping[str, Any] = {
    **SEEN,
    "is_installed": True,
    "has_command": True,
    "other_services": [],
    "waiting": [],
    "unreadable": [],
    "is_given_back": False,
}


def test_what_runs_as_it_is_to_be_is_left_alone() -> None:
    assert state(SEEN) == State("/media", f"'{SOURCE}'", CACHE, [], [], [])
    assert change(SEEN, WANTED) == Change(False, False, False, False)
    assert preflight_problems(AT_PREFLIGHT, WANTED) == []
    assert removal_problems(AT_REMOVAL, NAMES) == []


def test_a_host_without_a_mount() -> None:
    seen = {**SEEN, "mounted": [], "says": []}
    assert state(seen) == State("", "", "", [], [], [])
    assert change(seen, WANTED) == Change(False, False, False, True)


def test_what_a_run_has_stopped_was_not_stopped_by_somebody() -> None:
    says = [*SAYS, "stopped=synapse.service worker.service"]
    stopped = ["worker.service", "other.service", "synapse.service"]
    now = state({**SEEN, "says": says, "synapse": {**SYNAPSE, "stopped": stopped}})
    assert now.left_stopped == ["synapse.service", "worker.service"]
    assert now.stopped == ["other.service"]
    assert now.stays_stopped == [
        "Synapse stays stopped (synapse.service, worker.service), by a run of this role that was interrupted, until one"
        " goes through."
    ]


# What the command says of its uploads; what is wanted; whether what is written until the end would wait for ever, and
# whether all that waits would.
TEST_UPLOADS: dict[str, tuple[Mapping[str, object], Mapping[str, object], bool, bool]] = {
    "the same": (UPLOADS, {}, False, False),
    "s3fs before": ({}, {}, False, False),
    "s3fs now": (UPLOADS, {"tool": "s3fs"}, True, True),
    "s3fs twice": ({}, {"tool": "s3fs"}, False, False),
    "another place": ({**UPLOADS, "to": "old/hs"}, {}, True, False),
    "other settings": ({**UPLOADS, "by": []}, {}, True, True),
}


@pytest.mark.parametrize("name", TEST_UPLOADS)
def test_what_waits_is_found_again_or_not(name: str) -> None:
    uploads, wanted, leaves_cache, leaves_all = TEST_UPLOADS[name]
    found = change({**SEEN, "says": [f"uploads={json.dumps(uploads)}"]}, {**WANTED, **wanted})
    assert found == Change(False, leaves_cache, leaves_all, leaves_cache)


@pytest.mark.parametrize(
    "other",
    [
        {"mounted": []},
        {"says": [f"bucket={OLD}"]},
        {"service": {"problems": [], "outdated": ["matrix-synapse-bucket-mount.service"], "stopped": []}},
    ],
)
def test_synapse_is_stopped_while_its_media_is_another(other: Mapping[str, object]) -> None:
    assert change({**SEEN, **other}, WANTED).stops_synapse


ASIDE = [f"{CACHE}/aside/a", f"{CACHE}/aside/b"]
ASIDE_PROBLEM = (
    f"2 files are in {CACHE}/aside (one of them is {CACHE}/aside/a), and the bucket may not have them. While it is"
    " mounted, copy into /media what is missing there (docs/bucket-mount.md tells how), remove them, and run this"
    " again."
)
ANOTHER_PROBLEM = (
    f"Could not mount {SOURCE} in place of {OLD}: Synapse would find none of its media that is only in the latter."
    " Bring all of it to the new place first, and then set bucket_mount_accept_unserved_media to true for this run."
)
BY_HAND = (
    'If the bucket does not take them that way, copy them by hand, as docs/bucket-mount.md tells ("Copy by hand").'
)
# What else is so, seen or wanted, and what is said of it.
TEST_PREFLIGHT: dict[str, tuple[Mapping[str, Any], Mapping[str, Any], Sequence[str]]] = {
    "no user": (
        {"has_user": False},
        {},
        [
            "Could not find the user 'matrix-synapse': this host has none of that name. Correct"
            " bucket_mount_synapse_user."
        ],
    ),
    "no device, and no files": (
        {"missing": ["/dev/fuse", "/opt/goofys", "/etc/ca.pem"]},
        {},
        [
            "Could not find /dev/fuse: this host can't mount a bucket. In a container, give it that device and the"
            " capability SYS_ADMIN.",
            "Could not find /opt/goofys and /etc/ca.pem. Put it there, or correct bucket_mount_goofys_path or"
            " bucket_mount_ca_bundle_path.",
        ],
    ),
    "something else over it": (
        {"mounted": [*MOUNTED, "ext4 /dev/sdb1 "]},
        {},
        [
            "Could not mount the bucket at /media: something else is mounted there (ext4 /dev/sdb1). Unmount it, or"
            " correct bucket_mount_path."
        ],
    ),
    "somebody else's mount": (
        {"service": {"problems": ["there is no such service"], "outdated": [], "stopped": []}},
        {},
        [
            "Could not mount the bucket at /media: something else is mounted there (fuse.rclone bucket:media/hs)."
            " Unmount it, or correct bucket_mount_path."
        ],
    ),
    "fstab": (
        {"fstab": "/dev/sdb1"},
        {},
        [
            "Could not mount the bucket at /media: /etc/fstab has /dev/sdb1 mounted there, which 'mount --all' or the"
            " next boot would do. Take that out of it, or correct bucket_mount_path."
        ],
    ),
    "not Synapse's": (
        {"media_path": "/srv/media", "real_paths": ["/srv/media", "/media"]},
        {},
        [
            "bucket_mount_path: '/media' is not Synapse's media_store_path, which is '/srv/media', and Synapse would"
            " not use the mount. Set it to that."
        ],
    ),
    "media below": (
        {"mounted": [], "hidden": "/media/local_content/aa"},
        {},
        [
            "Could not mount the bucket at /media: /media/local_content/aa is there, and the mount would hide it. Bring"
            " media that is only there to the bucket first, and move the directory elsewhere, as docs/bucket-mount.md"
            " tells."
        ],
    ),
    "another place": (
        {"says": ["place=/old"], "media_path": ""},
        {},
        [
            "bucket_mount_path: '/media' is not where the bucket was mounted, which is /old, and whether Synapse's"
            " media_store_path is another now could not be seen. Set it to that, or take the mount away first"
            " (bucket_mount_enabled set to false)."
        ],
    ),
    "another place, which is Synapse's": ({"says": ["place=/old"]}, {}, []),
    "another bucket": ({"says": [f"bucket={OLD}"]}, {}, [ANOTHER_PROBLEM]),
    "another bucket, which is accepted": ({"says": [f"bucket={OLD}"]}, {"accept_unserved_media": True}, []),
    "another bucket, and what was set aside": (
        {"says": [f"bucket={OLD}"], "aside": ASIDE},
        {},
        [ANOTHER_PROBLEM, ASIDE_PROBLEM],
    ),
    "what was set aside, and the same bucket": ({"aside": ASIDE}, {}, []),
    "what nobody would upload": (
        {"left": [f"{CACHE}/vfsMeta/bucket/old/a"]},
        {"tool": "s3fs"},
        [
            f"Could not mount {SOURCE} with s3fs now: 1 files in {CACHE} are not in the bucket yet, and would never be"
            " uploaded. Leave the bucket, its prefix, bucket_mount_tool (rclone) and what begins with --s3- in"
            " bucket_mount_options as they were until 'matrix-synapse-bucket-mount pending' says 0 on the host, and"
            f" then run this again. {BY_HAND}"
        ],
    ),
    "another cache": (
        {"says": ["cache=/old"]},
        {},
        [
            f"Could not move the cache from /old to {CACHE}: it may hold media that is not in the bucket yet. Leave"
            " bucket_mount_cache_path as it was."
        ],
    ),
    "Synapse's services": (
        {
            "mounted": [],
            "synapse": {
                **SYNAPSE,
                **{kind: [f"{kind}."] for kind in SYNAPSE if kind.endswith("problems")},
            },
        },
        {},
        ["problems.", "user_problems.", "root_problems.", "dependent_problems.", "health_problems."],
    ),
    "what is stopped with Synapse, which goes on": (
        {"synapse": {**SYNAPSE, "dependent_problems": ["systemd stops it too."]}},
        {},
        [],
    ),
}


@pytest.mark.parametrize("name", TEST_PREFLIGHT)
def test_why_the_bucket_can_not_be_mounted(name: str) -> None:
    seen, wanted, told = TEST_PREFLIGHT[name]
    assert preflight_problems({**AT_PREFLIGHT, **seen}, {**WANTED, **wanted}) == told


def test_a_path_with_a_space_is_the_same_place() -> None:
    says = ["place='/my media'", "cache='/my cache'"]
    wanted = {**WANTED, "path": "/my media", "cache_path": "/my cache"}
    assert preflight_problems({**AT_PREFLIGHT, "says": says, "media_path": ""}, wanted) == []
    assert removal_problems({**AT_REMOVAL, "says": says}, wanted) == []


REMOUNT = (
    "('systemctl restart matrix-synapse-bucket-mount.service'; 'journalctl --unit=matrix-synapse-bucket-mount.service'"
    " says why it is away)"
)
AWAY = (
    "The bucket is not mounted at /media now, and so nothing can tell whether Synapse would serve its media without it."
    f" Mount it {REMOUNT} and run this again, or set bucket_mount_accept_unserved_media to true."
)
WAITING = [f"{CACHE}/vfsMeta/bucket/file"]
WAITING_PROBLEM = (
    f"1 files in {CACHE} are not in the bucket yet, and nothing uploads them now (one of them is"
    f" {CACHE}/vfs/bucket/file). {{}} {BY_HAND}"
)
BY_SERVICE = WAITING_PROBLEM.format(
    f"Mount the bucket {REMOUNT}, wait until 'matrix-synapse-bucket-mount pending' says 0, and run this again."
)
BY_ROLE = WAITING_PROBLEM.format(
    "Run this role with bucket_mount_enabled set to true first, which mounts the bucket and uploads them."
)
NOTHING = {"is_installed": False, "has_command": False, "says": []}
OTHER_VARIABLES = [
    "bucket_mount_path: '/media' is not where the bucket was mounted, which is /other. Set it to that.",
    f"bucket_mount_cache_path: '{CACHE}' is not where the cache is, which is /else. Set it to that.",
]
UNNAMED = (
    "bucket_mount_synapse_services: {} would not start any more without the mount's command, and could write meanwhile."
    " Write {} there too; where it is no service any more, remove its directory in /etc/systemd/system."
)
OTHERS = {**SYNAPSE, "user_problems": ["Another user."], "dependent_problems": ["systemd stops it too."]}
TEST_REMOVAL: dict[str, tuple[Mapping[str, Any], Mapping[str, Any], Sequence[str]]] = {
    "the mount is away, or was disabled": ({"mounted": []}, {}, [AWAY]),
    "that, and it is accepted": ({"mounted": []}, {"accept_unserved_media": True}, []),
    "an interrupted removal": ({"mounted": [], "is_given_back": True}, {}, []),
    "nothing of the role's": ({**NOTHING, "mounted": []}, {}, []),
    "media in the cache, and nobody uploads it": ({"mounted": [], "waiting": WAITING}, {}, [BY_SERVICE, AWAY]),
    "that, although it is accepted": (
        {"mounted": [], "waiting": WAITING},
        {"accept_unserved_media": True},
        [BY_SERVICE],
    ),
    "an interrupted removal, and media in the cache": (
        {"mounted": [], "waiting": WAITING, "is_given_back": True},
        {},
        [BY_SERVICE],
    ),
    "media in the cache, and no command": ({"has_command": False, "waiting": WAITING}, {}, [BY_ROLE]),
    "media in the cache, and nothing of the role's": ({**NOTHING, "mounted": [], "waiting": WAITING}, {}, [BY_ROLE]),
    "media in the cache that is on its way": ({"waiting": WAITING}, {}, []),
    "a cache that can't be read": (
        {"unreadable": [f"grep: {CACHE}/vfsMeta: Not a directory"]},
        {},
        [
            f"Could not see what is only in the cache {CACHE}: grep: {CACHE}/vfsMeta: Not a directory. Correct that, or"
            " bucket_mount_cache_path."
        ],
    ),
    "what was set aside": ({"aside": ASIDE}, {}, [ASIDE_PROBLEM]),
    "that, and nothing of the role's": ({**NOTHING, "aside": ASIDE}, {}, []),
    "other variables, by which nothing else is judged": (
        {"mounted": [], "says": ["place=/other", "cache=/else"], "waiting": WAITING, "aside": ASIDE},
        {},
        OTHER_VARIABLES,
    ),
    "a service that is not named": (
        {"other_services": ["worker.service"]},
        {},
        [UNNAMED.format("worker.service", "it")],
    ),
    "services that are not named": (
        {"other_services": ["worker@2.service", "worker@1.service"]},
        {},
        [UNNAMED.format("worker@1.service and worker@2.service", "them")],
    ),
    "something else over it": (
        {"mounted": [*MOUNTED, "ext4 /dev/sdb1"]},
        {},
        [
            "Could not unmount the bucket at /media: something else is mounted there (ext4 /dev/sdb1). Unmount that,"
            " and take it out of /etc/fstab."
        ],
    ),
    "the media store's own disk, and nothing of the role's": ({**NOTHING, "mounted": ["ext4 /dev/sdb1"]}, {}, []),
    "Synapse's services": ({"synapse": OTHERS}, {}, ["Another user.", "systemd stops it too."]),
    "those, and nothing of the role's": ({**NOTHING, "synapse": OTHERS}, {}, []),
}


@pytest.mark.parametrize("name", TEST_REMOVAL)
def test_why_the_mount_can_not_be_taken_away(name: str) -> None:
    seen, wanted, told = TEST_REMOVAL[name]
    assert removal_problems({**AT_REMOVAL, **seen}, {**NAMES, **wanted}) == told


TRIED: Mapping[str, Any] = {
    "put_back": [{"changed": True}],
    "is_first": False,
    "was_started": True,
    "health": {"status": 200},
    "uploaded": {"skipped": True},
}
PUT_BACK = "The previous state was put back."
SERVES = "Synapse serves with it."
STORED = (
    f"What Synapse has stored while {SOURCE} was mounted is there alone, and Synapse does not find it in {OLD}. Copy it"
    ' there, as docs/bucket-mount.md tells ("Copy by hand").'
)
STORED_FIRST = (
    "What Synapse has stored while the bucket was mounted is in the bucket alone, and is served when it is mounted"
    " again."
)
SILENT = "Synapse does not answer at http://127.0.0.1:8008/health with it either."
ANOTHER = {"says": [f"bucket={OLD}"]}
TEST_PUT_BACK: dict[str, tuple[Mapping[str, Any], Mapping[str, Any], str]] = {
    "a change of settings": ({}, {}, f"{PUT_BACK} {SERVES}"),
    "the first": ({"is_first": True}, {}, f"{PUT_BACK} {SERVES} {STORED_FIRST}"),
    "another bucket": ({}, ANOTHER, f"{PUT_BACK} {SERVES} {STORED}"),
    "another bucket, before Synapse was started": ({"was_started": False}, ANOTHER, f"{PUT_BACK} {SERVES}"),
    "another bucket, which does not take it": (
        {"uploaded": {"rc": 1, "stderr": "2 files are not there."}},
        ANOTHER,
        f"{PUT_BACK} {SERVES} {STORED} 2 files are not there.",
    ),
    "another bucket, and no command to ask": (
        {"uploaded": {"rc": 2, "stderr": "", "msg": "No such file."}},
        ANOTHER,
        f"{PUT_BACK} {SERVES} {STORED} No such file.",
    ),
    "nothing serves": ({"health": {"status": -1}}, {}, f"{PUT_BACK} {SILENT}"),
    "nothing answers": ({"health": {"msg": "refused"}}, {}, f"{PUT_BACK} {SILENT}"),
    "somebody has stopped Synapse": (
        {"health": {"skipped": True}},
        {"synapse": {**SYNAPSE, "stopped": ["synapse.service"]}},
        PUT_BACK,
    ),
    "the disk is full": (
        {"put_back": [{"changed": True}, {"msg": "Could not write '/c': No space left on device."}]},
        {},
        f"Could not put back all of the previous state: Could not write '/c': No space left on device. {SERVES}",
    ),
}


@pytest.mark.parametrize("name", TEST_PUT_BACK)
def test_what_became_of_the_host_where_synapse_was_not_given_the_mount(name: str) -> None:
    tried, seen, told = TEST_PUT_BACK[name]
    assert put_back_words({**TRIED, **tried}, {**SEEN, **seen}, WANTED) == told


FILTERS: Mapping[str, Any] = FilterModule().filters()


def test_filters_give_what_the_rules_do() -> None:
    assert FILTERS["bucket_mount_state"](SEEN)["place"] == "/media"
    assert FILTERS["bucket_mount_change"](SEEN, WANTED)["stops_synapse"] is False
    assert FILTERS["bucket_mount_preflight_problems"](AT_PREFLIGHT, WANTED) == []
    assert FILTERS["bucket_mount_removal_problems"](AT_REMOVAL, NAMES) == []
    assert FILTERS["bucket_mount_put_back_words"](TRIED, SEEN, WANTED) == f"{PUT_BACK} {SERVES}"


@pytest.mark.parametrize(
    ("seen", "cause"),
    [
        ("text", "its input is no mapping of what was seen, or is wanted"),
        ({"mounted": []}, "its input has no 'says'"),
    ],
)
def test_filters_refuse_what_they_can_not_judge(seen: object, cause: str) -> None:
    with pytest.raises(AnsibleFilterError) as refused:
        FILTERS["bucket_mount_state"](seen)
    assert str(refused.value) == f"Could not run the filter matrixops.synapse_s3.bucket_mount_state: {cause}."
