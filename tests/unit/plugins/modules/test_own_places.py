# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ``own_places``: the role's own is told from what is somebody else's, and nothing else is removed."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.host_plan import BASE_NAMES
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.host_plan import STATE_NAMES as STATE
from ansible_collections.matrixops.synapse_s3.plugins.modules.own_places import (
    directory_problems,
    file_problem,
    former_places,
    is_foreign,
    missing_problems,
    named_paths,
    parse_name,
    removal,
    remove,
    temporary_directories,
)

NAME = "matrix-synapse-s3-storage-provider"
VARIABLE = "matrix_synapse_ext_synapse_s3_storage_provider_base_path"
PROOF = f"{NAME}.pyz"
LIBRARY = "lib-0123456789abcdef"
MARK = "role matrixops.synapse_s3.storage_provider"
NAMES = [parse_name(text) for text in BASE_NAMES]
STATE_NAMES = [parse_name(text) for text in STATE]


def install(base: Path) -> Path:
    """What the role has made there, and what Python has."""
    for directory in (base, base / "import", base / "import/__pycache__", base / "bin", base / LIBRARY / "boto3"):
        directory.mkdir(parents=True, exist_ok=True)
    for name in (
        PROOF,
        "import/s3_storage_provider.py",
        "import/__pycache__/s3_storage_provider.cpython-311.pyc",
        "bin/s3_media_upload",
        f"{LIBRARY}/boto3/session.py",
    ):
        (base / name).write_bytes(b"PK\xff")
    (base / "lib").symlink_to(LIBRARY)
    return base


def listing(top: Path) -> list[str]:
    return sorted(str(path.relative_to(top)) for path in top.rglob("*"))


def take_away(base: Path) -> list[str]:
    """Remove what is the role's; what stays, by the module."""
    content = removal(base, NAMES, PROOF)
    remove(content.own)
    return [str(path.relative_to(base)) for path in content.foreign]


def problems(base: Path) -> list[str]:
    return directory_problems(base, NAMES, PROOF, VARIABLE)


def test_a_directory_that_is_missing_or_empty_is_the_role_s(tmp_path: Path) -> None:
    assert problems(tmp_path / "missing") == []
    assert problems(tmp_path) == []


def test_an_installation_is_the_role_s_and_goes_as_a_whole(tmp_path: Path) -> None:
    base = install(tmp_path / "base")
    assert problems(base) == []
    assert take_away(base) == []
    assert not base.exists()
    assert take_away(base) == []


@pytest.mark.parametrize("kept", [["import/", "bin/"], ["import/", LIBRARY], ["lib", LIBRARY]])
def test_an_installation_that_was_interrupted_is_the_role_s(tmp_path: Path, kept: list[str]) -> None:
    base = install(tmp_path / "base")
    for path in sorted(base.iterdir()):
        if not any(path.name == name.rstrip("/") for name in kept):
            remove({path: True})
    assert problems(base) == []
    take_away(base)
    assert not base.exists()


def test_the_homeserver_s_directory_as_base_path_is_refused_and_stays_whole(tmp_path: Path) -> None:
    for name in ("media_store", "conf.d", "bin", "lib"):
        (tmp_path / name).mkdir()
    for name in ("homeserver.yaml", "signing.key", "media_store/photo", "bin/backup"):
        (tmp_path / name).write_text("theirs")
    before = listing(tmp_path)
    assert problems(tmp_path) == [
        f"Could not use '{tmp_path}' as {VARIABLE}: it holds 'bin/backup', 'conf.d', 'homeserver.yaml' and 3 more,"
        " which this role has not put there. Give a directory that is this role's alone; it need not exist."
    ]
    assert take_away(tmp_path) == ["bin/backup", "conf.d", "homeserver.yaml", "lib", "media_store", "signing.key"]
    assert listing(tmp_path) == before


def test_another_s_files_beside_an_installation_survive(tmp_path: Path) -> None:
    base = install(tmp_path / "base")
    (base / "notes.txt").write_text("theirs")
    (base / "media_store/local_content").mkdir(parents=True)
    (base / "bin/backup").write_text("theirs")
    (base / "lib-old").mkdir()
    assert problems(base) == []
    assert take_away(base) == ["bin/backup", "lib-old", "media_store", "notes.txt"]
    left = ["bin", "bin/backup", "lib-old", "media_store", "media_store/local_content", "notes.txt"]
    assert listing(base) == left
    # The second removal leaves them alone, too.
    take_away(base)
    assert listing(base) == left


def test_the_role_comes_back_beside_others_files_into_the_directory_of_its_name(tmp_path: Path) -> None:
    base = install(tmp_path / NAME)
    (base / "notes.txt").write_text("theirs")
    take_away(base)
    assert listing(base) == ["notes.txt"]
    assert directory_problems(base, NAMES, PROOF, VARIABLE, NAME) == []
    assert len(directory_problems(base, NAMES, PROOF, VARIABLE)) == 1


def test_state_of_the_program_s_goes_from_beside_others_files(tmp_path: Path) -> None:
    state = tmp_path / NAME
    (state / "s3_media_upload").mkdir(parents=True)
    (state / "s3_media_upload/cache.db").write_bytes(b"SQLite")
    (state / "theirs").write_text("theirs")
    remove(removal(state, STATE_NAMES, "", NAME).own)
    assert listing(state) == ["theirs"]


def test_nothing_is_removed_through_a_link(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    (theirs / "import").mkdir(parents=True)
    (theirs / "import/s3_storage_provider.py").write_text("theirs")
    base = install(tmp_path / "base")
    (base / "lib-fedcba9876543210").symlink_to(theirs)
    (base / LIBRARY / "theirs").symlink_to(theirs)
    remove({base / "import": True})
    (base / "import").symlink_to(theirs / "import")
    (base / "lib").unlink()
    (base / "lib").symlink_to("/usr/lib")
    assert take_away(base) == ["import", "lib", "lib-fedcba9876543210"]
    assert listing(theirs) == ["import", "import/s3_storage_provider.py"]
    assert listing(base) == ["import", "lib", "lib-fedcba9876543210"]


def test_a_base_path_that_is_a_link_stays(tmp_path: Path) -> None:
    install(tmp_path / "disk")
    (tmp_path / "base").symlink_to("disk")
    assert problems(tmp_path / "base") == []
    assert take_away(tmp_path / "base") == []
    assert listing(tmp_path) == ["base", "disk"]


def test_what_fills_up_while_it_goes_stays(tmp_path: Path) -> None:
    base = install(tmp_path / "base")
    content = removal(base, NAMES, PROOF)
    (base / "bin/backup").write_text("theirs")
    with pytest.raises(OSError, match="Directory not empty"):
        remove(content.own)
    assert (base / "bin/backup").read_text() == "theirs"
    # The proof is still there: the next removal goes on.
    assert (base / PROOF).exists()


def test_a_file_as_base_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("theirs")
    assert problems(tmp_path / "file") == [
        f"Could not use '{tmp_path}/file' as {VARIABLE}: it can't be looked into: Not a directory."
        " Give a directory that is this role's alone; it need not exist."
    ]
    assert removal(tmp_path / "file", NAMES, PROOF).own == {}


def test_the_state_that_the_program_leaves_goes_by_name(tmp_path: Path) -> None:
    state = tmp_path / NAME
    (state / "s3_media_upload").mkdir(parents=True)
    (state / "s3_media_upload/cache.db").write_bytes(b"SQLite")
    (state / "s3_media_upload/database.yaml").write_text("postgres: {}")
    content = removal(state, STATE_NAMES, "")
    assert content.foreign == []
    remove(content.own)
    assert listing(tmp_path) == []


def test_whose_a_file_is(tmp_path: Path) -> None:
    ours, theirs, binary, link = (tmp_path / name for name in ("ours", "theirs", "binary", "link"))
    ours.write_text(f"#!/bin/sh\n# Written by Ansible ({MARK}): change its variables, not this file.\n")
    theirs.write_text("server_name: example.org\n")
    binary.write_bytes(b"\x7fELF\xff")
    link.symlink_to(ours)
    assert [path.name for path in (ours, theirs, binary, link, tmp_path / "missing") if is_foreign(path, MARK)] == [
        *("theirs", "binary", "link"),
    ]
    assert file_problem("/data/homeserver.yaml", "synapse_dropin_path") == (
        "Could not write '/data/homeserver.yaml': what is there was not written by this role."
        " Move it away, or give another place in synapse_dropin_path."
    )


def test_temporary_directories_of_a_run_that_was_interrupted(tmp_path: Path) -> None:
    """They may hold a secret. What only looks like one, or is another user's, is not the role's."""
    for name in ("ours.abc_1234", "ours.zyx98765", "ours.backup", "ours.anothers", "theirs.abc_1234"):
        (tmp_path / name).mkdir()
    os.chown(tmp_path / "ours.anothers", 1234, 1234)
    (tmp_path / "ours.alink123").symlink_to(tmp_path / "theirs.abc_1234")
    (tmp_path / "ours.afile123").touch()
    found = [tmp_path / "ours.abc_1234", tmp_path / "ours.zyx98765"]
    assert temporary_directories(f"{tmp_path}/ours.") == found
    assert temporary_directories(f"{tmp_path}/nowhere/ours.") == []
    assert temporary_directories("") == []


def test_directory_of_the_metrics_that_is_missing(tmp_path: Path) -> None:
    """Each night would fail for it."""
    assert missing_problems({str(tmp_path): "metrics_path"}) == []
    assert missing_problems({f"{tmp_path}/textfile": "metrics_path"}) == [
        f"Could not find the directory '{tmp_path}/textfile': this host has none. Make it, so that Synapse's user can"
        " write into it, or give another place in metrics_path."
    ]


def test_paths_that_a_file_names() -> None:
    text = """#!/bin/sh
# See /usr/share/doc.
set -- /opt/python '/opt/a b/x' /opt/x/x.pyz config=/etc/x --volume /opt/y:/opt/y:ro "/opt/z"
ExecStart=/usr/local/bin/x
A=/b relative/path --other=/not
"""
    assert list(map(str, named_paths(text))) == [
        *("/usr/share/doc.", "/opt/python", "/opt/a", "/opt/x/x.pyz", "/etc/x", "/opt/y:/opt/y:ro", "/opt/z"),
        *("/usr/local/bin/x", "/b"),
    ]


def write_own(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# Written by Ansible ({MARK})\n{text}\n")
    return path


@dataclass(frozen=True)
class Installed:
    """The role's files on a host, with the names that count."""

    base: Path
    bin: Path
    units: Path

    @property
    def commands(self) -> list[Path]:
        return [self.bin / NAME, self.bin / f"{NAME}-shell", self.bin / f"{NAME}-migrate"]

    @property
    def files(self) -> list[Path]:
        return [*self.commands, self.units / f"{NAME}-migrate.service", self.units / f"{NAME}-migrate.timer"]

    def write(self) -> Installed:
        install(self.base)
        command, shell, migrate, service, timer = self.files
        write_own(command, f"set -- /usr/bin/python3 {self.base}/{PROOF} --config /etc/synapse")
        write_own(shell, f"exec {command} shell")
        write_own(migrate, f"exec {command} migrate \\")
        write_own(service, f"ExecStart={migrate}")
        write_own(timer, "OnCalendar=daily")
        return self

    def former(self) -> tuple[list[Path], list[Path]]:
        """What the role finds that is given these places."""
        files, directories = former_places(self.files, {self.base: PROOF}, MARK)
        return sorted(files), directories


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    return Installed(tmp_path / "opt/base", tmp_path / "bin", tmp_path / "units").write()


def test_places_that_have_not_changed_are_no_former_ones(installed: Installed, tmp_path: Path) -> None:
    assert installed.former() == ([], [])
    assert Installed(tmp_path / "no", tmp_path / "nothing", tmp_path / "here").former() == ([], [])


def test_former_base_path_is_the_one_that_the_command_names(installed: Installed, tmp_path: Path) -> None:
    assert replace(installed, base=tmp_path / "new").former() == ([], [installed.base])


def test_former_bin_path_is_the_one_that_the_unit_names(installed: Installed, tmp_path: Path) -> None:
    assert replace(installed, bin=tmp_path / "new").former() == (sorted(installed.commands), [])


def test_both_have_moved(installed: Installed, tmp_path: Path) -> None:
    new = replace(installed, base=tmp_path / "new", bin=tmp_path / "sbin")
    assert new.former() == (sorted(installed.commands), [installed.base])


def test_a_former_place_that_is_gone(installed: Installed, tmp_path: Path) -> None:
    take_away(installed.base)
    assert replace(installed, base=tmp_path / "new").former() == ([], [])


def test_files_of_others_at_a_former_place_are_theirs(installed: Installed, tmp_path: Path) -> None:
    command, shell, migrate = installed.commands
    migrate.write_text(f"#!/bin/sh\nexec {command} migrate")
    shell.unlink()
    shell.symlink_to(command)
    assert replace(installed, bin=tmp_path / "new").former() == ([command], [])


def test_what_a_file_of_others_names_is_not_looked_for(installed: Installed, tmp_path: Path) -> None:
    installed.commands[0].write_text(f"exec {installed.base}/{PROOF}\n")
    assert replace(installed, base=tmp_path / "new").former() == ([], [])


def test_the_same_place_by_way_of_a_link_is_no_former_one(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "sbin").symlink_to("bin")
    (tmp_path / "srv").symlink_to("opt")
    assert replace(installed, bin=tmp_path / "sbin", base=tmp_path / "srv/base").former() == ([], [])
