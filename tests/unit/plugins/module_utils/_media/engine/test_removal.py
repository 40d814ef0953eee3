# SPDX-License-Identifier: GPL-3.0-or-later
"""Below a mount of the bucket each file is its object: tests/integration/test_mounts.py has the real mounts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.removal import Remover, RunMustEndError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.content import content_of
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import (
    ConfigurationError,
    UnavailableError,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.aside import Aside, left_in
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.disk_errors import LocalFileError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.media_store import (
    FileChangedError,
    LocalFile,
    MediaStore,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    RemoteObject,
    StoreUnavailable,
)
from ansible_collections.matrixops.synapse_s3.tests.unit.fakes import MemoryStore

FIRST, SECOND = "local_content/aa/bb/cc", "local_content/aa/bb/dd"
DATA = {FIRST: b"first", SECOND: b"second"}


class MountedBucket(MemoryStore):
    """A bucket whose objects are the files below a directory. ``cached``: HEAD answers for what is gone."""

    def __init__(self, root: Path, *, cached: bool = False) -> None:
        super().__init__()
        self.root = root
        self.cached = cached
        self.refuses_put = False
        self._seen: dict[str, RemoteObject] = {}
        self.refresh()

    def refresh(self) -> None:
        files = (path for path in self.root.rglob("*") if path.is_file())
        self.objects = {path.relative_to(self.root).as_posix(): path.read_bytes() for path in files}

    def head(self, key: str) -> RemoteObject | None:
        self.refresh()
        found = super().head(key)
        if found is None:
            return self._seen.get(key) if self.cached else None
        self._seen[key] = found
        return found

    def list(self, prefix: str, after: str = "", page_size: int = 1000) -> Iterator[RemoteObject]:
        self.refresh()
        return super().list(prefix, after, page_size)


@pytest.fixture
def media(tmp_path: Path) -> MediaStore:
    for path, data in DATA.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    return MediaStore(tmp_path)


@pytest.fixture
def aside(tmp_path_factory: pytest.TempPathFactory) -> Aside:
    return Aside(tmp_path_factory.mktemp("state"))


def scan(media: MediaStore) -> dict[str, LocalFile]:
    return {file.path: file for file in media.scan(lambda error: pytest.fail(str(error)))}


def local(media: MediaStore) -> dict[str, bytes]:
    return {path: (media.path / path).read_bytes() for path in scan(media)}


def no_wait(_seconds: float) -> None:
    pass


def test_bucket_that_is_another_thing_than_the_disk(media: MediaStore, aside: Aside) -> None:
    store = MemoryStore(DATA)
    remover = Remover(media, store, aside, no_wait)

    for path, file in scan(media).items():
        remover.remove(file, path, content_of(DATA[path]))

    assert local(media) == {}
    assert store.objects == DATA
    # Four looks for the first removal, none for the others.
    assert store.requests == 4


def test_list_that_leaves_the_object_out_all_along(media: MediaStore, aside: Aside) -> None:
    """What a listing did not show before tells nothing afterwards."""

    class Unlisted(MemoryStore):
        def list(self, prefix: str, after: str = "", page_size: int = 1000) -> Iterator[RemoteObject]:
            assert (prefix, after) == (FIRST, "")
            assert page_size
            return iter(())

    Remover(media, Unlisted(DATA), aside, no_wait).remove(scan(media)[FIRST], FIRST, content_of(DATA[FIRST]))

    assert list(local(media)) == [SECOND]


@pytest.mark.parametrize("cached", [False, True])
def test_media_store_that_is_the_bucket_itself(media: MediaStore, aside: Aside, cached: bool) -> None:
    store = MountedBucket(media.path, cached=cached)
    for path in DATA:
        store.head(path)
    remover = Remover(media, store, aside, no_wait)
    files = scan(media)

    for path in (FIRST, SECOND):
        with pytest.raises(RunMustEndError) as caught:
            remover.remove(files[path], path, content_of(DATA[path]))
        assert isinstance(caught.value.error, ConfigurationError)
        assert str(caught.value.error) == (
            f"Could not free the local disk: the media store is the bucket itself. When {FIRST!r} was removed below it,"
            " its object was gone too; it was put back, and no other file was removed. Unmount the bucket there, and"
            " give Synapse a media_store_path on a disk of this host."
        )

    assert local(media) == DATA


def test_bucket_that_goes_away_just_then(media: MediaStore, aside: Aside) -> None:
    """It can't be told from a mount of the bucket: the file comes back."""

    class Gone(MemoryStore):
        def head(self, _key: str) -> RemoteObject | None:
            raise StoreUnavailable("The bucket does not answer.")

    remover = Remover(media, Gone(DATA), aside, no_wait)

    with pytest.raises(RunMustEndError) as caught:
        remover.remove(scan(media)[FIRST], FIRST, content_of(DATA[FIRST]))

    assert isinstance(caught.value.error, UnavailableError)
    assert str(caught.value.error) == (
        f"Could not see whether the bucket still holds {FIRST!r} after its local file was removed: The bucket does not"
        " answer. The file was put back. Run this again when the bucket can be used."
    )
    assert local(media) == DATA


def test_each_file_system_has_a_first_removal(media: MediaStore, aside: Aside) -> None:
    store = MemoryStore(DATA)
    remover = Remover(media, store, aside, no_wait)
    files = scan(media)
    remover.remove(files[FIRST], FIRST, content_of(DATA[FIRST]))
    other = files[SECOND]._replace(device=os.makedev(7, 7))

    with pytest.raises(Exception, match=SECOND):
        remover.remove(other, SECOND, content_of(DATA[SECOND]))

    # It was read, to have a copy, and is not as it was seen: nothing was removed.
    assert SECOND in local(media)


def test_run_that_is_killed_before_it_has_looked(media: MediaStore, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What was removed first is put back by the next run."""

    class Killed(BaseException):
        pass

    class Killing(MountedBucket):
        def head(self, _key: str) -> RemoteObject | None:
            raise Killed

    state = tmp_path_factory.mktemp("state")
    remover = Remover(media, Killing(media.path), Aside(state), no_wait)
    copies = []

    def keep(place: str, **_options: object) -> None:
        copies.append(place)

    with pytest.MonkeyPatch.context() as patch:
        # A kill cleans up nothing.
        patch.setattr(shutil, "rmtree", keep)
        with pytest.raises(Killed):
            remover.remove(scan(media)[FIRST], FIRST, content_of(DATA[FIRST]))
    assert FIRST not in local(media)

    (left,) = left_in(state)
    assert left.put_back(media)
    assert local(media) == DATA
    assert list(left_in(state)) == []


def test_copies_of_many_threads(media: MediaStore, tmp_path: Path) -> None:
    """The directory goes with the last copy, also while another thread makes the next."""
    aside, files = Aside(tmp_path / "copies"), list(scan(media).values())

    def keep(number: int) -> None:
        for _turn in range(100):
            with aside.copy(media, files[number]):
                pass

    with ThreadPoolExecutor(len(files)) as pool:
        list(pool.map(keep, range(len(files))))
    assert not (tmp_path / "copies").exists()


def test_file_that_changes_while_it_is_copied_is_not_put_back_later(
    media: MediaStore, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy stayed, whole as it seemed: the next run put it back for a file that had gone meanwhile."""
    directory = tmp_path_factory.mktemp("state") / "copies"
    target, copy = media.path / FIRST, shutil.copyfileobj

    def copy_and_change(source: BinaryIO, content: BinaryIO) -> None:
        copy(source, content)
        target.write_bytes(b"other")

    monkeypatch.setattr(shutil, "copyfileobj", copy_and_change)
    with pytest.raises(FileChangedError), Aside(directory).copy(media, scan(media)[FIRST]):
        pass

    assert not directory.exists()
    assert list(left_in(directory)) == []


def test_what_can_not_be_put_back_is_kept(media: MediaStore, aside: Aside, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> bool:
        raise LocalFileError("Could not put back the local file: the disk is gone.")

    monkeypatch.setattr(media, "put_back", fail)
    store = MountedBucket(media.path)
    remover = Remover(media, store, aside, no_wait)

    with pytest.raises(RunMustEndError) as caught:
        remover.remove(scan(media)[FIRST], FIRST, content_of(DATA[FIRST]))

    place = Path(str(caught.value).partition("Its content is in '")[2].partition("'")[0])
    assert str(caught.value) == (
        f"Could not put back {FIRST!r}, whose object was gone, or could not be seen, after it was removed: Could not"
        " put back the local file: the disk is gone."
        f" Its content is in {str(place)!r}: keep that until the file is back."
    )
    assert place.read_bytes() == DATA[FIRST]
