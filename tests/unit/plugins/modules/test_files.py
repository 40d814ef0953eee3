# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ``files``: check mode predicts what a run does, a run is idempotent, and `previous` takes it back."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.modules.files import (
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
    defaults = {"state": "file", "content": None, "target": None, "owner": OWNER, "group": GROUP, "mode": None}
    return wanted_entry({**defaults, **option, "path": str(path)})


def again(option: Mapping[str, str]) -> Any:
    """The entry for an option that the module returned."""
    return wanted(Path(option["path"]), **{name: value for name, value in option.items() if name != "path"})


def run(options: Mapping[str, Any], *, check_mode: bool = False) -> dict[str, Any]:
    """Apply what a result's ``previous`` says, as a task that is given it would."""
    present = [again(option) for option in options["present"]]
    return apply(present, [Path(path) for path in options["absent"]], check_mode=check_mode)


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
