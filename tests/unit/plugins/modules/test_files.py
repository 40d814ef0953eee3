# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ``files``: check mode predicts what a run does, a run is idempotent, and `previous` takes it back."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._selinux import (
    SELinux,
    read_context,
    write_context,
)
from ansible_collections.matrixops.synapse_s3.plugins.modules.files import (
    WITHOUT_SELINUX,
    FilesError,
    apply,
    look,
    option_for,
    wanted_entry,
)

OWNER = str(os.getuid())
GROUP = str(os.getgid())


def wanted(path: Path, **option: str) -> Any:
    """An entry as the module's options give it."""
    defaults = {
        "state": "file",
        "content": None,
        "target": None,
        "owner": OWNER,
        "group": GROUP,
        "mode": None,
        "context": None,
    }
    return wanted_entry({**defaults, **option, "path": str(path)})


def again(option: Mapping[str, str]) -> Any:
    """The entry for an option that the module returned."""
    return wanted(Path(option["path"]), **{name: value for name, value in option.items() if name != "path"})


def run(options: Mapping[str, Any], selinux: SELinux = WITHOUT_SELINUX) -> dict[str, Any]:
    """Apply what a result's ``previous`` says, as a task that is given it would."""
    present = [again(option) for option in options["present"]]
    return apply(present, [Path(path) for path in options["absent"]], check_mode=False, selinux=selinux)


def tree(root: Path) -> dict[str, tuple[str, str, int]]:
    """Everything below ``root``."""
    return {
        str(path.relative_to(root)): (entry.state, entry.text, entry.mode)
        for path in sorted(root.rglob("*"))
        if (entry := look(path)) is not None
    }


def test_makes_files_links_and_directories(tmp_path: Path) -> None:
    base = tmp_path / "base"
    entries = [
        wanted(base, state="directory"),
        wanted(base / "text", content="größe\n", mode="0640"),
        wanted(base / "link", state="link", target="text"),
    ]

    check = apply(entries, [], check_mode=True)
    assert tree(tmp_path) == {}
    create = apply(entries, [], check_mode=False)
    assert tree(tmp_path) == {
        "base": ("directory", "", 0o755),
        "base/link": ("link", "text", 0o777),
        "base/text": ("file", "größe\n", 0o640),
    }
    create_idem = apply(entries, [], check_mode=False)
    create_idem_check = apply(entries, [], check_mode=True)

    assert check == create
    assert create["changed"] is True
    assert create["paths"] == [str(base), str(base / "text"), str(base / "link")]
    assert (
        create_idem
        == create_idem_check
        == {
            "changed": False,
            "paths": [],
            "previous": {"present": [], "absent": []},
            "diff": [],
        }
    )


def test_previous_takes_a_change_back(tmp_path: Path) -> None:
    kept, changed, link = tmp_path / "kept", tmp_path / "changed", tmp_path / "link"
    kept.write_text("kept\n")
    changed.write_text("old\n")
    changed.chmod(0o600)
    link.symlink_to("kept")
    before = tree(tmp_path)

    result = apply(
        [
            wanted(kept, content="kept\n", mode=f"{kept.stat().st_mode & 0o777:04o}"),
            wanted(changed, content="new\n"),
            wanted(link, state="link", target="changed"),
            wanted(tmp_path / "new", state="directory"),
            wanted(tmp_path / "new" / "file", content="new\n"),
        ],
        [],
        check_mode=False,
    )
    assert result["paths"] == [str(changed), str(link), str(tmp_path / "new"), str(tmp_path / "new" / "file")]

    run(result["previous"])
    assert tree(tmp_path) == before


def test_previous_takes_a_removal_back(tmp_path: Path) -> None:
    directory = tmp_path / "directory"
    directory.mkdir(mode=0o750)
    (directory / "file").write_text("text\n")
    before = tree(tmp_path)
    paths = [directory / "file", directory]

    check = apply([], paths, check_mode=True)
    assert tree(tmp_path) == before
    removed = apply([], paths, check_mode=False)
    assert tree(tmp_path) == {}
    assert check == removed
    assert apply([], paths, check_mode=False)["changed"] is False

    run(removed["previous"])
    assert tree(tmp_path) == before


def test_directory_of_others_stays(tmp_path: Path) -> None:
    (tmp_path / "ours").write_text("")
    (tmp_path / "theirs").write_text("")

    assert apply([], [tmp_path / "ours", tmp_path], check_mode=True)["paths"] == [str(tmp_path / "ours")]
    assert apply([], [tmp_path / "ours", tmp_path], check_mode=False)["paths"] == [str(tmp_path / "ours")]
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


def test_a_directory_of_others_keeps_its_permissions(tmp_path: Path) -> None:
    directory = tmp_path / "matrix-synapse.service.d"
    directory.mkdir(mode=0o700)
    assert apply([wanted(directory, state="directory")], [], check_mode=False)["changed"] is False
    assert apply([wanted(directory, state="directory", mode="0755")], [], check_mode=False)["changed"] is True
    assert directory.stat().st_mode & 0o777 == 0o755


def test_nothing_is_left_beside_a_replaced_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    apply([wanted(tmp_path / "file", content="new")], [], check_mode=False)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file": "new"}


TEST_DIFFERENCES = [
    ({"content": "a\n", "mode": "0644"}, {"content": "b\n", "mode": "0600"}, ("a\n", "b\n")),
    (
        {"content": "a\n", "mode": "0644"},
        {"content": "a\n", "mode": "0600"},
        (f"file, owner {OWNER}, group {GROUP}, mode 0644\n", f"file, owner {OWNER}, group {GROUP}, mode 0600\n"),
    ),
]


@pytest.mark.parametrize(("old", "new", "shown"), TEST_DIFFERENCES)
def test_differences(tmp_path: Path, old: dict[str, str], new: dict[str, str], shown: tuple[str, str]) -> None:
    path = tmp_path / "file"
    apply([wanted(path, **old)], [], check_mode=False)
    (difference,) = apply([wanted(path, **new)], [], check_mode=True)["diff"]
    assert (difference["before"], difference["after"]) == shown
    assert difference["after_header"] == f"{path} (file, owner {OWNER}, group {GROUP}, mode {new['mode']})"


def test_option_for_is_the_inverse(tmp_path: Path) -> None:
    for entry in (
        wanted(tmp_path / "a", content="text"),
        wanted(tmp_path / "b", state="link", target="a"),
        wanted(tmp_path / "c", state="directory", mode="0700"),
    ):
        assert again(option_for(entry)) == entry


def test_refuses_to_replace_a_directory(tmp_path: Path) -> None:
    message = f"Could not make the file {str(tmp_path)!r}: a directory is there. Move it away."
    with pytest.raises(FilesError, match=f"^{re.escape(message)}$"):
        apply([wanted(tmp_path, content="")], [], check_mode=True)


def test_refuses_to_replace_what_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    message = f"Could not replace {str(tmp_path / 'binary')!r}: a file is there that is not UTF-8 text. Move it away."
    with pytest.raises(FilesError, match=f"^{re.escape(message)}$"):
        apply([wanted(tmp_path / "binary", content="")], [], check_mode=True)


def test_missing_directory(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "file"
    message = f"Could not write {str(path)!r}: No such file or directory."
    with pytest.raises(FilesError, match=f"^{re.escape(message)}$"):
        apply([wanted(path, content="")], [], check_mode=False)


def test_what_fails_half_way_changes_nothing(tmp_path: Path) -> None:
    for name in ("replaced", "kept/by-others", "removed"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("old")
    before = tree(tmp_path)
    new = [
        wanted(tmp_path / "replaced", content="new", mode="0600"),
        wanted(tmp_path / "made", state="directory"),
        wanted(tmp_path / "made" / "file", content="new"),
    ]
    for failing, absent in (
        ([wanted(tmp_path / "missing" / "file", content="new")], []),
        # By then it is no directory that could be removed.
        ([wanted(tmp_path / "kept" / "new", content="new")], ["removed", "kept/by-others", "kept"]),
    ):
        with pytest.raises(FilesError, match=r"^Could not (write|remove)"):
            apply([*new, *failing], [tmp_path / path for path in absent], check_mode=False)
        assert tree(tmp_path) == before


TEST_UNKNOWN_OWNERS = [
    ({"owner": "no-such-user"}, "Could not find the user 'no-such-user': this host has none of that name."),
    ({"group": "no-such-group"}, "Could not find the group 'no-such-group': this host has none of that name."),
]


@pytest.mark.parametrize(("option", "message"), TEST_UNKNOWN_OWNERS)
def test_unknown_owners(tmp_path: Path, option: dict[str, str], message: str) -> None:
    with pytest.raises(FilesError, match=f"^{re.escape(message)}$"):
        wanted(tmp_path / "file", content="", **option)


OLD_CONTEXT = "system_u:object_r:old_t:s0"


def default_type(path: Path, kind: int) -> str:
    """A policy that knows each path by its name, and files and directories apart."""
    return f"{path.name}_{'dir' if stat.S_ISDIR(kind) else 'file'}_t"


def inherited(path: Path) -> str:
    """The context that it has, or with SELinux would have had from the beginning: its directory's."""
    return read_context(path) or (inherited(path.parent) if path.exists() or path.is_symlink() else "")


def contexts(root: Path) -> dict[str, str]:
    """The contexts of everything below ``root``."""
    return {str(path.relative_to(root)): inherited(path) for path in sorted(root.rglob("*"))}


@pytest.fixture
def selinux(tmp_path: Path) -> SELinux:
    """The host's own contexts, which the kernel keeps for root without SELinux too, but lets nothing inherit."""
    try:
        write_context(tmp_path, OLD_CONTEXT)
    except PermissionError:
        pytest.skip("only root may set security.selinux; the other tests here have contexts that are made up")
    if read_context(tmp_path) != OLD_CONTEXT:
        pytest.skip("this file system keeps no security.selinux; the other tests here have contexts that are made up")
    write_context(tmp_path, f"system_u:object_r:{tmp_path.name}_dir_t:s0")
    return SELinux(default_type, inherited, write_context)


def test_with_selinux_what_is_replaced_keeps_its_context_and_what_is_new_gets_its_place_s(
    tmp_path: Path, selinux: SELinux
) -> None:
    (tmp_path / "old").write_text("old")
    (tmp_path / "link").symlink_to("old")
    for name in ("old", "link"):
        write_context(tmp_path / name, OLD_CONTEXT)
    directory = tmp_path / "new"
    entries = [
        wanted(tmp_path / "old", content="new"),
        wanted(tmp_path / "link", state="link", target="new"),
        wanted(directory, state="directory"),
        wanted(directory / "file", content="new"),
        wanted(directory / "link", state="link", target="file"),
    ]
    result = apply(entries, [], check_mode=False, selinux=selinux)
    assert contexts(tmp_path) == {
        "old": OLD_CONTEXT,
        "link": OLD_CONTEXT,
        "new": "system_u:object_r:new_dir_t:s0",
        "new/file": "system_u:object_r:file_file_t:s0",
        "new/link": "system_u:object_r:link_file_t:s0",
    }
    assert apply(entries, [], check_mode=False, selinux=selinux)["changed"] is False

    run(result["previous"], selinux)
    assert contexts(tmp_path) == {"old": OLD_CONTEXT, "link": OLD_CONTEXT}


def test_with_selinux_what_is_removed_comes_back_with_its_context(tmp_path: Path, selinux: SELinux) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory/file").write_text("text")
    (tmp_path / "directory/link").symlink_to("file")
    paths = [tmp_path / "directory/link", tmp_path / "directory/file", tmp_path / "directory"]
    for path in paths:
        write_context(path, OLD_CONTEXT)
    before = contexts(tmp_path)

    run(apply([], paths, check_mode=False, selinux=selinux)["previous"], selinux)
    assert contexts(tmp_path) == before
    assert len(before) == len(paths)


def test_with_selinux_what_fails_half_way_changes_no_context(tmp_path: Path, selinux: SELinux) -> None:
    for name in ("replaced", "removed", "kept"):
        (tmp_path / name).write_text("old")
        write_context(tmp_path / name, OLD_CONTEXT)
    before = contexts(tmp_path)
    entries = [wanted(tmp_path / "replaced", content="new"), wanted(tmp_path / "made", content="new")]

    def refuse(path: Path, context: str) -> None:
        if context.endswith(":last_file_t:s0"):
            raise PermissionError(errno.EACCES, "Permission denied")
        write_context(path, context)

    strict = replace(selinux, write=refuse)
    message = f"Could not write {str(tmp_path / 'last')!r}: Permission denied."
    with pytest.raises(FilesError, match=f"^{re.escape(message)}$"):
        apply([*entries, wanted(tmp_path / "last", content="new")], [], check_mode=False, selinux=strict)
    assert contexts(tmp_path) == before


def test_a_context_is_set_before_a_file_is_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    written: list[tuple[str, str, bool]] = []
    selinux = SELinux(
        default_type,
        read=lambda path: OLD_CONTEXT if path.name == "old" else f"system_u:object_r:{tmp_path.name}_dir_t:s0",
        write=lambda path, context: written.append((path.name, context, path.read_text() == "new")),
    )
    apply([wanted(tmp_path / "old", content="new")], [], check_mode=False, selinux=selinux)
    assert written == [("new", OLD_CONTEXT, True)]


def test_the_context_is_no_difference_and_is_told_only_with_selinux(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("text")
    selinux = SELinux(default_type, read=lambda _path: OLD_CONTEXT)
    mode = f"{path.stat().st_mode & 0o777:04o}"
    same = wanted(path, content="text", mode=mode, context="system_u:object_r:other_t:s0")
    assert apply([same], [], check_mode=True, selinux=selinux)["changed"] is False
    told = [
        apply([], [path], check_mode=True, selinux=each)["previous"]["present"] for each in (selinux, WITHOUT_SELINUX)
    ]
    option = {"path": str(path), "state": "file", "content": "text", "owner": OWNER, "group": GROUP, "mode": mode}
    assert told == [[{**option, "context": OLD_CONTEXT}], [option]]
