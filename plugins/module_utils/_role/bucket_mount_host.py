# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role ``bucket_mount`` makes of what its tasks have seen on a host: pure rules, and its words for them.

``Seen`` is what the tasks have registered, ``Wanted`` what the variables say; the role's ``vars/main.yml`` has both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any

from .bucket_mount import NAME_PREFIX

Seen = Mapping[str, Any]
Wanted = Mapping[str, Any]
_DOC = "docs/bucket-mount.md"
_BY_HAND = f'If the bucket does not take them that way, copy them by hand, as {_DOC} tells ("Copy by hand").'
_FUSE = "/dev/fuse"


@dataclass(frozen=True)
class State:
    """How the host is.

    :param place: where the bucket was mounted, as the command on the host says, quoted for a shell; empty without one.
    :param bucket: which one, in words, quoted too.
    :param cache: the directory of its cache, quoted too.
    :param left_stopped: Synapse's services that a run of the role has stopped which was interrupted.
    :param stopped: those that somebody else has stopped.
    :param stays_stopped: what a refusal says too, as it leaves that so; one sentence, or none.
    """

    place: str
    bucket: str
    cache: str
    left_stopped: Sequence[str]
    stopped: Sequence[str]
    stays_stopped: Sequence[str]


@dataclass(frozen=True)
class Change:
    """What becomes of it with the mount that is wanted.

    :param is_another: whether it is another bucket than before, by its name, its prefix or its address.
    :param leaves_cache: whether what is written until the end would wait in the cache for ever.
    :param leaves_all: whether all that waits there now would too, though it goes to the same place as before.
    :param stops_synapse: whether Synapse has to be stopped for the mount. What runs may be another one than the command
        says, after a run that was interrupted.
    """

    is_another: bool
    leaves_cache: bool
    leaves_all: bool
    stops_synapse: bool


def state(seen: Seen) -> State:
    """How the host is."""
    now = _now(seen)
    left_stopped = now.get("stopped", "").split()
    services = ", ".join(left_stopped)
    stays = f"Synapse stays stopped ({services}), by a run of this role that was interrupted, until one goes through."
    return State(
        place=now.get("place", ""),
        bucket=now.get("bucket", ""),
        cache=now.get("cache", ""),
        left_stopped=left_stopped,
        stopped=[service for service in seen["synapse"]["stopped"] if service not in left_stopped],
        stays_stopped=[stays] if left_stopped else [],
    )


def change(seen: Seen, wanted: Wanted) -> Change:
    """What becomes of it with the mount that is wanted."""
    uploads = json.loads(_now(seen).get("uploads", "{}"))
    is_another = state(seen).bucket not in ("", quote(wanted["source"]))
    leaves_cache = bool(uploads) and uploads != (wanted["uploads"] if wanted["tool"] == "rclone" else {})
    return Change(
        is_another=is_another,
        leaves_cache=leaves_cache,
        leaves_all=leaves_cache and uploads.get("to") == wanted["uploads"]["to"],
        stops_synapse=not seen["mounted"] or is_another or leaves_cache or bool(seen["service"]["outdated"]),
    )


def preflight_problems(seen: Seen, wanted: Wanted) -> list[str]:
    """Why the bucket can't be mounted on this host as it is, one message each."""
    return [
        *_missing_problems(seen, wanted),
        *_place_problems(seen, wanted),
        *_media_problems(seen, wanted),
        *_synapse_problems(seen["synapse"], "problems", "user_problems", "root_problems"),
        *(_synapse_problems(seen["synapse"], "dependent_problems") if change(seen, wanted).stops_synapse else []),
        *_synapse_problems(seen["synapse"], "health_problems"),
    ]


def removal_problems(seen: Seen, wanted: Wanted) -> list[str]:
    """Why the mount can't be taken away yet, one message each."""
    # By variables that are not those of the mount nothing else can be judged: their cache may be somebody else's.
    return _other_variables_problems(seen, wanted) or _loss_problems(seen, wanted)


def put_back_words(tried: Seen, seen: Seen, wanted: Wanted) -> str:
    """What became of the host, and of what Synapse has stored meanwhile, where it could not be given the mount.

    :param tried: ``put_back``, what each step that puts back has returned; ``is_first``, whether there was no mount
        before; ``was_started``, whether Synapse was started with the new one; ``health`` and ``uploaded``, what the
        steps have returned that asked for them.
    """
    now = state(seen)
    errors = [step["msg"] for step in tried["put_back"] if "msg" in step]
    words = (
        ["Could not put back all of the previous state:", *errors] if errors else ["The previous state was put back."]
    )
    if not now.stopped:
        is_well = tried["health"].get("status") == 200
        url = wanted["health_url"]
        words.append("Synapse serves with it." if is_well else f"Synapse does not answer at {url} with it either.")
    if tried["was_started"] and tried["is_first"]:
        where = "is in the bucket alone, and is served when it is mounted again"
        words.append(f"What Synapse has stored while the bucket was mounted {where}.")
    elif tried["was_started"] and change(seen, wanted).is_another:
        where = f"is there alone, and Synapse does not find it in {now.bucket}"
        copy = f'Copy it there, as {_DOC} tells ("Copy by hand")'
        words.append(f"What Synapse has stored while {wanted['source']} was mounted {where}. {copy}.")
    if tried["uploaded"].get("rc", 0) != 0:
        words.append(tried["uploaded"].get("stderr") or tried["uploaded"]["msg"])
    return " ".join(words)


def _now(seen: Seen) -> Mapping[str, str]:
    """What the command on the host says of itself, and the note beside it; empty where there is none."""
    return dict(line.split("=", 1) for line in seen["says"])


def _on_top(seen: Seen) -> str:
    """What is mounted there, in the words of findmnt; of several the one that is seen."""
    return str(seen["mounted"][-1]).strip()


def _is_fuse(seen: Seen) -> bool:
    return _on_top(seen).startswith("fuse")


def _synapse_problems(info: Seen, *kinds: str) -> list[str]:
    return [problem for kind in kinds for problem in info[kind]]


def _missing_problems(seen: Seen, wanted: Wanted) -> list[str]:
    problems = []
    if not seen["has_user"]:
        user = wanted["synapse_user"]
        cause = f"this host has none of that name. Correct {NAME_PREFIX}synapse_user"
        problems.append(f"Could not find the user '{user}': {cause}.")
    if _FUSE in seen["missing"]:
        cause = "this host can't mount a bucket. In a container, give it that device and the capability SYS_ADMIN"
        problems.append(f"Could not find {_FUSE}: {cause}.")
    files = [path for path in seen["missing"] if path != _FUSE]
    if files:
        names = f"{NAME_PREFIX}goofys_path or {NAME_PREFIX}ca_bundle_path"
        problems.append(f"Could not find {' and '.join(files)}. Put it there, or correct {names}.")
    return problems


def _place_problems(seen: Seen, wanted: Wanted) -> list[str]:
    """What keeps the bucket from being mounted there, or Synapse from using it."""
    path, media_path = wanted["path"], seen["media_path"]
    could_not = f"Could not mount the bucket at {path}"
    correct = f"correct {NAME_PREFIX}path"
    now = state(seen)
    problems = []
    # Somebody's own mount, such as one of /etc/fstab, is not the role's to unmount.
    runs = not seen["service"]["problems"] and not seen["service"]["stopped"]
    if seen["mounted"] and not (runs and _is_fuse(seen)):
        problems.append(f"{could_not}: something else is mounted there ({_on_top(seen)}). Unmount it, or {correct}.")
    if seen["fstab"]:
        cause = f"/etc/fstab has {seen['fstab']} mounted there, which 'mount --all' or the next boot would do"
        problems.append(f"{could_not}: {cause}. Take that out of it, or {correct}.")
    if len(set(seen["real_paths"])) > 1:
        cause = f"is not Synapse's media_store_path, which is '{media_path}', and Synapse would not use the mount"
        problems.append(f"{NAME_PREFIX}path: '{path}' {cause}. Set it to that.")
    if seen["hidden"]:
        cause = f"{seen['hidden']} is there, and the mount would hide it"
        way_on = (
            f"Bring media that is only there to the bucket first, and move the directory elsewhere, as {_DOC} tells"
        )
        problems.append(f"{could_not}: {cause}. {way_on}.")
    if now.place not in ("", quote(path)) and not media_path:
        cause = f"is not where the bucket was mounted, which is {now.place}"
        unseen = "and whether Synapse's media_store_path is another now could not be seen"
        way_on = f"Set it to that, or take the mount away first ({NAME_PREFIX}enabled set to false)"
        problems.append(f"{NAME_PREFIX}path: '{path}' {cause}, {unseen}. {way_on}.")
    return problems


def _media_problems(seen: Seen, wanted: Wanted) -> list[str]:
    """What media would be lost, or not be found."""
    source, tool, cache = wanted["source"], wanted["tool"], wanted["cache_path"]
    now, is_another = state(seen), change(seen, wanted).is_another
    problems = []
    if is_another and not wanted["accept_unserved_media"]:
        cause = "Synapse would find none of its media that is only in the latter"
        way_on = f"Bring all of it to the new place first, and then set {NAME_PREFIX}accept_unserved_media to true"
        problems.append(f"Could not mount {source} in place of {now.bucket}: {cause}. {way_on} for this run.")
    if seen["left"]:
        cause = f"{len(seen['left'])} files in {cache} are not in the bucket yet, and would never be uploaded"
        which = f"the bucket, its prefix, {NAME_PREFIX}tool (rclone) and what begins with --s3- in {NAME_PREFIX}options"
        until = f"until '{wanted['name']} pending' says 0 on the host, and then run this again"
        problems.append(
            f"Could not mount {source} with {tool} now: {cause}. Leave {which} as they were {until}. {_BY_HAND}"
        )
    if now.cache not in ("", quote(cache)):
        cause = f"it may hold media that is not in the bucket yet. Leave {NAME_PREFIX}cache_path as it was"
        problems.append(f"Could not move the cache from {now.cache} to {cache}: {cause}.")
    if is_another:
        problems += _aside_problems(seen, wanted)
    return problems


def _aside_problems(seen: Seen, wanted: Wanted) -> list[str]:
    """Of what rclone has lost its notes, and may be the only copy. It belongs to the bucket that is mounted now."""
    if not seen["aside"]:
        return []
    where = f"in {wanted['cache_path']}/aside (one of them is {seen['aside'][0]}), and the bucket may not have them"
    copy = f"copy into {wanted['path']} what is missing there ({_DOC} tells how), remove them, and run this again"
    return [f"{len(seen['aside'])} files are {where}. While it is mounted, {copy}."]


def _other_variables_problems(seen: Seen, wanted: Wanted) -> list[str]:
    """Where the variables are not those of the mount that is there, or what it would leave is not ready for that."""
    now = state(seen)
    path, cache = wanted["path"], wanted["cache_path"]
    problems = []
    if seen["is_installed"] and seen["mounted"] and not _is_fuse(seen):
        cause = f"something else is mounted there ({_on_top(seen)}). Unmount that, and take it out of /etc/fstab"
        problems.append(f"Could not unmount the bucket at {path}: {cause}.")
    if seen["other_services"]:
        others = sorted(seen["other_services"])
        cause = "would not start any more without the mount's command, and could write meanwhile"
        name = f"{NAME_PREFIX}synapse_services: {' and '.join(others)}"
        them = "it" if len(others) == 1 else "them"
        removed = f"where it is no service any more, remove its directory in {wanted['systemd_path']}"
        problems.append(f"{name} {cause}. Write {them} there too; {removed}.")
    if now.place not in ("", quote(path)):
        cause = f"'{path}' is not where the bucket was mounted, which is {now.place}. Set it to that"
        problems.append(f"{NAME_PREFIX}path: {cause}.")
    if now.cache not in ("", quote(cache)):
        cause = f"'{cache}' is not where the cache is, which is {now.cache}. Set it to that"
        problems.append(f"{NAME_PREFIX}cache_path: {cause}.")
    if seen["is_installed"]:
        problems += _synapse_problems(seen["synapse"], "user_problems", "dependent_problems")
    return problems


def _loss_problems(seen: Seen, wanted: Wanted) -> list[str]:
    """What media would be lost by a removal, or may not be served any more."""
    path, cache, service = wanted["path"], wanted["cache_path"], wanted["service"]
    remount = f"('systemctl restart {service}'; 'journalctl --unit={service}' says why it is away)"
    problems = []
    if seen["unreadable"]:
        said = " ".join(seen["unreadable"])
        problems.append(
            f"Could not see what is only in the cache {cache}: {said}. Correct that, or {NAME_PREFIX}cache_path."
        )
    # No wait would end, and without the mount Synapse would not start again.
    if seen["waiting"] and not (seen["mounted"] and seen["has_command"]):
        example = seen["waiting"][0].replace(f"{cache}/vfsMeta/", f"{cache}/vfs/")
        cause = f"in {cache} are not in the bucket yet, and nothing uploads them now (one of them is {example})"
        by_service = f"Mount the bucket {remount}, wait until '{wanted['name']} pending' says 0, and run this again."
        by_role = (
            f"Run this role with {NAME_PREFIX}enabled set to true first, which mounts the bucket and uploads them."
        )
        way_on = by_service if seen["has_command"] else by_role
        problems.append(f"{len(seen['waiting'])} files {cause}. {way_on} {_BY_HAND}")
    if seen["is_installed"]:
        problems += _aside_problems(seen, wanted)
    if seen["is_installed"] and not (seen["mounted"] or seen["is_given_back"] or wanted["accept_unserved_media"]):
        cause = (
            f"The bucket is not mounted at {path} now, and so nothing can tell whether Synapse would serve its media"
        )
        way_on = f"Mount it {remount} and run this again, or set {NAME_PREFIX}accept_unserved_media to true"
        problems.append(f"{cause} without it. {way_on}.")
    return problems
