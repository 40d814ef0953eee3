# SPDX-License-Identifier: GPL-3.0-or-later
"""What a directory holds of the role's own is told from what is somebody else's, and nothing else is removed."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._own_directory import (
    OwnDirectory,
    directory_problems,
    parse_name,
    removal,
    remove,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.host_plan import BASE_NAMES
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.host_plan import STATE_NAMES as STATE

NAME = "matrix-synapse-s3-storage-provider"
VARIABLE = "matrix_synapse_ext_synapse_s3_storage_provider_base_path"
PROOF = f"{NAME}.pyz"
LIBRARY = "lib-0123456789abcdef"
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


def base_directory(path: Path, named: str = "") -> OwnDirectory:
    """As the role has its base path."""
    return OwnDirectory(path, NAMES, PROOF, named, VARIABLE)


def take_away(base: Path) -> list[str]:
    """Remove what is the role's; what stays, by the module."""
    content = removal(base_directory(base))
    remove(content.own)
    return [str(path.relative_to(base)) for path in content.foreign]


def problems(base: Path) -> list[str]:
    return directory_problems(base_directory(base))


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


def test_files_of_others_beside_an_installation_survive(tmp_path: Path) -> None:
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
    assert directory_problems(base_directory(base, NAME)) == []
    assert len(directory_problems(base_directory(base))) == 1


def test_state_of_the_program_s_goes_from_beside_others_files(tmp_path: Path) -> None:
    state = tmp_path / NAME
    (state / "s3_media_upload").mkdir(parents=True)
    (state / "s3_media_upload/cache.db").write_bytes(b"SQLite")
    (state / "theirs").write_text("theirs")
    remove(removal(OwnDirectory(state, STATE_NAMES, named=NAME)).own)
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
    content = removal(base_directory(base))
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
    assert removal(base_directory(tmp_path / "file")).own == {}


def test_the_state_that_the_program_leaves_goes_by_name(tmp_path: Path) -> None:
    state = tmp_path / NAME
    (state / "s3_media_upload").mkdir(parents=True)
    (state / "s3_media_upload/cache.db").write_bytes(b"SQLite")
    (state / "s3_media_upload/database.yaml").write_text("postgres: {}")
    content = removal(OwnDirectory(state, STATE_NAMES))
    assert content.foreign == []
    remove(content.own)
    assert listing(tmp_path) == []
