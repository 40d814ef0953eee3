# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ``own_places``: the role's own files and temporary directories are told from what is somebody else's."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.modules.own_places import (
    file_problem,
    former_places,
    is_foreign,
    missing_problems,
    named_paths,
    temporary_directories,
)

NAME = "matrix-synapse-s3-storage-provider"
PROOF = f"{NAME}.pyz"
MARK = "role matrixops.synapse_s3.storage_provider"


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
        self.base.mkdir(parents=True)
        (self.base / PROOF).touch()
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
    shutil.rmtree(installed.base)
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


@pytest.mark.parametrize(("says_whose", "is_former"), [(f"# {MARK}\n", False), ("", True)])
def test_a_former_place_that_another_service_still_uses(
    installed: Installed, tmp_path: Path, says_whose: str, is_former: bool
) -> None:
    """One that is no longer named keeps its drop-in; or another installation has its units there."""
    dropin = installed.units / "worker.service.d/synapse-s3-storage-provider.conf"
    dropin.parent.mkdir()
    dropin.write_text(f'{says_whose}[Service]\nEnvironment="PYTHONPATH={installed.base}/import"\n')
    files, directories = replace(installed, base=tmp_path / "new", bin=tmp_path / "new-bin").former()
    assert (bool(files), bool(directories)) == (is_former, is_former)
