# SPDX-License-Identifier: GPL-3.0-or-later
"""SELinux contexts: what is made gets the one that is due at its place, and where SELinux is off nothing happens."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils import _selinux
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._selinux import SELinux, selinux_of

UNIT = "unconfined_u:object_r:unit_t:s0"


class Helpers:
    """What an `AnsibleModule` has of SELinux, on a host whose policy knows one directory, and the files in it."""

    def __init__(self, directory: Path, *, enabled: bool = True) -> None:
        self.directory, self.enabled = directory, enabled

    def selinux_enabled(self) -> bool:
        return self.enabled

    def selinux_default_context(self, path: str, mode: int) -> list[str | None]:
        if Path(path) == self.directory:
            return ["system_u", "object_r", "unit_dir_t", "s0"]
        if Path(path).parent == self.directory:
            return ["system_u", "object_r", "link_t" if stat.S_ISLNK(mode) else "unit_t", "s0"]
        return [None, None, None, None]


def recording(directory: Path, context: str) -> tuple[SELinux, list[tuple[str, str]]]:
    """A host where all has the context, and what is set on it."""
    written: list[tuple[str, str]] = []
    return SELinux(
        selinux_of(Helpers(directory)).default_type,
        read=lambda _path: context,
        write=lambda path, new: written.append((path.name, new)),
    ), written


TEST_DUE = [
    ("the policy's type, with the user and the level that it has", "unconfined_u:object_r:unit_dir_t:s0:c1,c2", True),
    ("nothing, in a directory with another type than the policy's", "system_u:object_r:container_file_t:s0", False),
    ("nothing, in a directory without a context", "", False),
]


@pytest.mark.parametrize(("inherited", "is_set"), [row[1:] for row in TEST_DUE], ids=[row[0] for row in TEST_DUE])
def test_what_is_new_gets(tmp_path: Path, inherited: str, is_set: bool) -> None:
    (tmp_path / "made").write_text("")
    selinux, written = recording(tmp_path, inherited)
    selinux.give(tmp_path / "made", tmp_path / "place", "")
    assert written == ([("made", inherited.replace("unit_dir_t", "unit_t"))] if is_set else [])


def test_a_link_gets_what_the_policy_has_for_links(tmp_path: Path) -> None:
    (tmp_path / "made").symlink_to("nothing")
    selinux, written = recording(tmp_path, "u:r:unit_dir_t:s0")
    selinux.give(tmp_path / "made", tmp_path / "place", "")
    assert written == [("made", "u:r:link_t:s0")]


def test_the_place_is_where_links_to_its_directory_lead(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to("directory")
    selinux, written = recording(tmp_path / "directory", "u:r:unit_dir_t:s0")
    selinux.give(tmp_path, tmp_path / "link/place", "")
    assert written == [(tmp_path.name, "u:r:unit_t:s0")]


def test_a_place_that_the_policy_does_not_know_changes_nothing(tmp_path: Path) -> None:
    selinux, written = recording(tmp_path / "elsewhere", "u:r:unit_dir_t:s0")
    selinux.give(tmp_path, tmp_path / "place", "")
    assert written == []


def test_a_context_that_is_asked_for_is_set_unless_it_is_there(tmp_path: Path) -> None:
    selinux, written = recording(tmp_path, "u:r:unit_dir_t:s0")
    selinux.give(tmp_path, tmp_path, UNIT)
    assert written == [(tmp_path.name, UNIT)]
    selinux.give(tmp_path, tmp_path, "u:r:unit_dir_t:s0")
    assert len(written) == 1


def test_without_selinux_nothing_is_read_or_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError

    monkeypatch.setattr(os, "getxattr", refuse)
    monkeypatch.setattr(os, "setxattr", refuse)
    selinux = selinux_of(Helpers(tmp_path, enabled=False))
    assert selinux.context(tmp_path) == ""
    selinux.give(tmp_path, tmp_path, "")
    selinux.give(tmp_path, tmp_path, UNIT)


def failing(number: int) -> Callable[..., None]:
    def fail(*_arguments: object, **_options: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_file_system_that_keeps_no_contexts_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getxattr", failing(errno.ENOTSUP))
    monkeypatch.setattr(os, "setxattr", failing(errno.ENOTSUP))
    assert _selinux.read_context(tmp_path) == ""
    _selinux.write_context(tmp_path, UNIT)


def test_a_context_that_is_refused_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "setxattr", failing(errno.EACCES))
    with pytest.raises(PermissionError):
        _selinux.write_context(tmp_path, UNIT)
