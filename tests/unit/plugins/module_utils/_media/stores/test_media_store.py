# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import (
    AccessError,
    MediaError,
    UnavailableError,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.media_path import Root, parse_media_path
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.disk_errors import LocalFileError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.media_store import (
    FileChangedError,
    LocalFile,
    MediaStore,
    PassedOver,
    links_problems,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture
def media(tmp_path: Path) -> MediaStore:
    return MediaStore(tmp_path)


def scan(media: MediaStore, passed_over: list[PassedOver] | None = None) -> Iterator[LocalFile]:
    """The files, where every directory can be read."""

    def fail(error: MediaError) -> None:
        raise error

    return media.scan(fail, (passed_over if passed_over is not None else []).append)


def write(media: MediaStore, path: str, content: bytes = b"content") -> LocalFile:
    target = media.path / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return next(file for file in scan(media) if file.path == path)


def test_missing_directory(tmp_path: Path) -> None:
    missing = tmp_path / "media"

    with pytest.raises(UnavailableError) as caught:
        MediaStore(missing)

    assert str(caught.value) == (
        f"Could not open the media store {str(missing)!r}: there is no such directory."
        " Mount it, or correct media_store_path in Synapse's configuration."
    )


def test_scan_sees_only_media(media: MediaStore) -> None:
    write(media, "local_content/aa/bb/cc")
    for path in ("url_cache/2026-01-01/a", "url_cache_thumbnails/2026-01-01/a/1-1-image-png-crop", "file", "tmp/a"):
        (media.path / path).parent.mkdir(parents=True, exist_ok=True)
        (media.path / path).write_bytes(b"")

    assert [(file.path, file.size) for file in scan(media)] == [("local_content/aa/bb/cc", 7)]


def test_scan_follows_no_link(media: MediaStore, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "bb").mkdir()
    (outside / "bb" / "cc").write_bytes(b"elsewhere")
    (media.path / "local_content" / "ab").mkdir(parents=True)
    (media.path / "local_content" / "aa").symlink_to(outside)
    (media.path / "local_content" / "ab" / "link").symlink_to(outside / "bb" / "cc")
    (media.path / "remote_content").symlink_to(outside)

    assert list(scan(media)) == []
    assert links_problems(media.path) == [
        f"Could not use the media store {str(media.path)!r}: remote_content is a symbolic link, which is never"
        " followed. Mount the other disk there instead (a bind mount will do)."
    ]


LINK = "a symbolic link, which is never followed"
DIRECTORY = "a directory that Synapse does not make"
FILE = "a file that Synapse does not write"
SPECIAL = "a socket, pipe or device"

TEST_PASSED_OVER = [
    # A disk mounted at remote_content, as our own message recommends, or a dataset with snapshots.
    ("remote_content/lost+found/", DIRECTORY),
    ("remote_content/.snapshot/", DIRECTORY),
    ("remote_content/.zfs/", DIRECTORY),
    ("remote_content/@eaDir/", DIRECTORY),
    ("local_content/lost+found/", DIRECTORY),
    ("local_content/.snapshot/", DIRECTORY),
    ("local_content/aa/.snapshot/", DIRECTORY),
    ("local_thumbnails/aa/bb/.snapshot/", DIRECTORY),
    ("local_content/Abc/", DIRECTORY),
    ("local_content/example.org/", DIRECTORY),
    ("local_content/aa/bb/cc/", DIRECTORY),
    ("remote_content/example.org/aa/bb/cc/", DIRECTORY),
    ("local_thumbnails/aa/bb/cc/1-1-image-png-crop/", DIRECTORY),
    ("local_content/notes", FILE),
    ("local_content/aa/cc", FILE),
    ("remote_content/example.org/aa/bb.tar", FILE),
    ("local_content/aa/bb/no media", FILE),
    ("local_content/aa/bb/.cc.Xy12Zz", FILE),
    ("local_content/aa/bb/cc.part~", FILE),
    ("local_thumbnails/aa/bb/cc/original", FILE),
    ("local_thumbnails/aa/bb/cc/1-1-image-png", FILE),
    ("remote_content/matrix.org@", LINK),
    ("local_content/aa@", LINK),
    ("local_content/aa/bb/cc@", LINK),
    ("local_content/aa/bb/no media@", LINK),
    ("local_content/aa/bb/cc|", SPECIAL),
    ("local_content/agent|", SPECIAL),
]


@pytest.mark.parametrize(("path", "reason"), TEST_PASSED_OVER)
def test_nothing_is_passed_over_in_silence(
    media: MediaStore, tmp_path_factory: pytest.TempPathFactory, path: str, reason: str
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    write(media, "local_content/zz/zz/seen")
    target = media.path / path.rstrip("/@|")
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.endswith("/"):
        target.mkdir()
        (target / "aa").write_bytes(b"")
    elif path.endswith("@"):
        target.symlink_to(outside)
    elif path.endswith("|"):
        os.mkfifo(target)
    else:
        target.write_bytes(b"content")
    passed_over: list[PassedOver] = []

    assert [file.path for file in scan(media, passed_over)] == ["local_content/zz/zz/seen"]
    assert passed_over == [PassedOver(path.rstrip("/@|"), reason, is_problem=reason == LINK)]


@pytest.mark.parametrize("root", [root.value for root in Root])
def test_root_that_is_passed_over_is_told(media: MediaStore, root: str) -> None:
    """`status` ended with 0 files and 0."""
    passed_over: list[PassedOver] = []
    (media.path / root).symlink_to("/elsewhere")
    assert list(scan(media, passed_over)) == []
    assert passed_over == [PassedOver(root, LINK, is_problem=True)]

    passed_over.clear()
    (media.path / root).unlink()
    (media.path / root).write_bytes(b"")
    assert list(scan(media, passed_over)) == []
    assert passed_over == [PassedOver(root, "not a directory, where Synapse has one", is_problem=True)]
    assert not media.has_roots()


def test_names_that_no_terminal_can_show_are_spelt_out(media: MediaStore) -> None:
    for name in (b"caf\xe9", b"line\nAll done", "Straße".encode()):
        (media.path / "local_content" / os.fsdecode(name)).mkdir(parents=True)
    passed_over: list[PassedOver] = []

    assert list(scan(media, passed_over)) == []
    assert [each.path for each in passed_over] == [
        "local_content/Straße",
        "local_content/caf\\xe9",
        "local_content/line\\nAll done",
    ]


def test_directory_that_synapse_does_not_make_is_never_entered(
    media: MediaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unreadable lost+found made every night fail."""
    file = write(media, "remote_content/example.org/aa/bb/cc")
    (media.path / "remote_content" / "lost+found").mkdir(mode=0o700)
    scandir = os.scandir

    def failing(path: str) -> Any:
        if path.endswith("lost+found"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing)

    assert list(scan(media)) == [file]


NAMES = st.text("a-.0Z", min_size=1, max_size=3).filter(lambda name: not name.startswith("."))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.sets(st.tuples(NAMES, NAMES), min_size=1))
def test_scan_goes_in_the_order_of_keys(tmp_path_factory: pytest.TempPathFactory, names: set[tuple[str, str]]) -> None:
    """The origins "a" and "a-b", as "a/" and "a-b/", must come in the order of S3; and so must files."""
    media = MediaStore(tmp_path_factory.mktemp("media"))
    for origin, name in names:
        target = media.path / "remote_content" / origin / "aa" / "bb" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"")

    found = [file.path.encode() for file in scan(media)]

    assert found == sorted(found)
    assert len(found) == len(names)


COMPONENTS = st.sampled_from(
    [
        *("aa", "bb", ".b", "b.", "abc", "a b", "x.org", "[::1]", ".x"),
        *("1-1-image-png", "01-1-image-png-crop", "1-1-image-png-crop", "1-1-image-x-icon-scale"),
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.sampled_from(Root), st.lists(COMPONENTS, min_size=1, max_size=6))
def test_scan_sees_what_is_a_media_path_and_tells_the_rest(
    tmp_path_factory: pytest.TempPathFactory, root: Root, components: list[str]
) -> None:
    """The scan decides level by level, and `parse_media_path` on the whole: they agree."""
    media = MediaStore(tmp_path_factory.mktemp("media"))
    path = "/".join((root.value, *components))
    (media.path / path).parent.mkdir(parents=True)
    (media.path / path).write_bytes(b"")
    passed_over: list[PassedOver] = []

    found = [file.path for file in scan(media, passed_over)]

    assert found == ([path] if parse_media_path(path) else [])
    assert len(found) + len(passed_over) == 1


def test_remove_takes_empty_directories_but_no_root(media: MediaStore) -> None:
    write(media, "local_content/aa/bb/other")
    first = write(media, "local_content/aa/cc/file")
    last = write(media, "local_thumbnails/aa/bb/cc/1-1-image-png-crop")

    media.remove(first)
    media.remove(last)

    assert sorted(str(path.relative_to(media.path)) for path in media.path.rglob("*")) == [
        "local_content",
        "local_content/aa",
        "local_content/aa/bb",
        "local_content/aa/bb/other",
        "local_thumbnails",
    ]


def below(media: MediaStore) -> list[str]:
    return sorted(str(path.relative_to(media.path)) for path in media.path.rglob("*"))


def empty_directories(media: MediaStore) -> list[str]:
    met: list[str] = []
    list(media.scan(lambda error: pytest.fail(str(error)), lambda _each: None, met.append))
    return met


LATER = 2**62


def test_empty_directories_that_are_met_can_be_removed_at_once(media: MediaStore) -> None:
    """Upstream's script leaves them, hundreds of thousands."""
    write(media, "local_content/aa/bb/file")
    for path in (
        *("local_content/aa/cc", "local_content/dd", "local_thumbnails/aa/bb/cc", "local_thumbnails/aa/bb/dd"),
        *("remote_content/example.org/aa/bb", "remote_content/a.org", "remote_thumbnail"),
        *("local_content/lost+found", "local_content/aa/bbb"),
    ):
        (media.path / path).mkdir(parents=True)
    met: list[tuple[str, bool]] = []

    list(
        media.scan(
            lambda error: pytest.fail(str(error)),
            lambda _each: None,
            lambda directory: met.append((directory, media.remove_empty(directory, LATER))),
        )
    )

    assert met == [
        ("local_content/aa/cc", True),
        ("local_content/dd", True),
        ("local_thumbnails/aa/bb/cc", True),
        ("local_thumbnails/aa/bb/dd", True),
        ("remote_content/a.org", True),
        ("remote_content/example.org/aa/bb", True),
    ]
    assert below(media) == [
        *("local_content", "local_content/aa", "local_content/aa/bb", "local_content/aa/bb/file"),
        *("local_content/aa/bbb", "local_content/lost+found"),
        *("local_thumbnails", "remote_content", "remote_thumbnail"),
    ]


def test_directory_that_cannot_be_read_is_not_empty(media: MediaStore, monkeypatch: pytest.MonkeyPatch) -> None:
    (media.path / "local_content" / "aa").mkdir(parents=True)
    fail(monkeypatch, "scandir", errno.EACCES)
    met: list[str] = []

    list(media.scan(lambda _error: None, lambda _each: None, met.append))

    assert met == []


def test_young_empty_directory_stays(media: MediaStore) -> None:
    """Synapse may be about to write into it."""
    directory = media.path / "local_content" / "aa"
    directory.mkdir(parents=True)
    changed_ns = directory.stat().st_mtime_ns

    assert empty_directories(media) == ["local_content/aa"]
    assert not media.remove_empty("local_content/aa", changed_ns - 1)
    assert directory.exists()
    assert media.remove_empty("local_content/aa", changed_ns)
    assert below(media) == ["local_content"]


def test_directory_above_is_removed_however_young_it_looks(media: MediaStore) -> None:
    """Its time is that of the removal below it; it held a directory that was old."""
    for name in ("cc", "dd"):
        (media.path / "local_thumbnails" / "aa" / "bb" / name).mkdir(parents=True)
    older_than_ns = (media.path / "local_thumbnails" / "aa" / "bb" / "dd").stat().st_mtime_ns

    assert media.remove_empty("local_thumbnails/aa/bb/cc", older_than_ns)
    assert media.remove_empty("local_thumbnails/aa/bb/dd", older_than_ns)
    assert below(media) == ["local_thumbnails"]


@pytest.mark.parametrize("change", ["filled", "gone", "a file", "a link", "a link above"])
def test_directory_that_is_no_longer_empty_stays(
    media: MediaStore, tmp_path_factory: pytest.TempPathFactory, change: str
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "bb").mkdir()
    directory = media.path / "local_content" / "aa" / "bb"
    directory.mkdir(parents=True)
    if change == "filled":
        (directory / "cc").write_bytes(b"content")
    else:
        directory.rmdir()
    if change == "a file":
        directory.write_bytes(b"content")
    elif change == "a link":
        directory.symlink_to(outside / "bb")
    elif change == "a link above":
        directory.parent.rmdir()
        directory.parent.symlink_to(outside)
    before = below(media)

    assert not media.remove_empty("local_content/aa/bb", LATER)

    assert below(media) == before
    assert (outside / "bb").is_dir()


@pytest.mark.parametrize("directory", [root.value for root in Root])
def test_root_is_never_removed(media: MediaStore, directory: str) -> None:
    (media.path / directory).mkdir()

    assert empty_directories(media) == []
    assert not media.remove_empty(directory, LATER)
    assert (media.path / directory).is_dir()


TEST_REFUSED_REMOVALS = [
    (errno.EACCES, AccessError, "permission denied. Give it and the one above it to Synapse's user."),
    (
        errno.EROFS,
        UnavailableError,
        "Read-only file system. Mount it writable (the volume of a container too). A disk with errors is made"
        " read-only by the kernel, whose log tells.",
    ),
    (errno.EIO, UnavailableError, "Input/output error. Check its disk."),
]


@pytest.mark.parametrize(("number", "kind", "message"), TEST_REFUSED_REMOVALS)
def test_empty_directory_that_cannot_be_removed(
    media: MediaStore, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception], message: str
) -> None:
    (media.path / "local_content" / "aa").mkdir(parents=True)
    fail(monkeypatch, "rmdir", number)

    with pytest.raises(kind) as caught:
        media.remove_empty("local_content/aa", LATER)

    directory = str(media.path / "local_content/aa")
    assert str(caught.value) == f"Could not remove the empty directory {directory!r}: {message}"


@pytest.mark.parametrize("number", [errno.EBUSY, errno.ENOTEMPTY, errno.ENOENT])
def test_mount_point_stays(media: MediaStore, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    (media.path / "remote_content" / "example.org").mkdir(parents=True)
    fail(monkeypatch, "rmdir", number)

    assert not media.remove_empty("remote_content/example.org", LATER)


@pytest.mark.parametrize(
    ("change", "how", "is_gone"),
    [
        ("content", "its length is another", False),
        ("same length and time", "its owner, mode, name or content was changed", False),
        ("time", "its modification time is another", False),
        ("replaced", "its owner, mode, name or content was changed", False),
        ("gone", "another thing has its name", True),
        ("link", "another thing has its name", False),
    ],
)
def test_changed_file_is_neither_read_nor_removed(media: MediaStore, change: str, how: str, *, is_gone: bool) -> None:
    file = write(media, "local_content/aa/bb/cc")
    target = media.path / file.path
    if change == "content":
        target.write_bytes(b"longer content")
        os.utime(target, ns=(file.modified_ns, file.modified_ns))
    elif change == "same length and time":
        target.write_bytes(b"CONTENT")
        os.utime(target, ns=(file.modified_ns, file.modified_ns))
    elif change == "time":
        os.utime(target, ns=(1, 1))
    elif change == "replaced":
        (media.path / "new").write_bytes(b"content")
        os.utime(media.path / "new", ns=(file.modified_ns, file.modified_ns))
        (media.path / "new").replace(target)
    else:
        target.unlink()
        if change == "link":
            (media.path / "elsewhere").write_bytes(b"content")
            target.symlink_to(media.path / "elsewhere")
    left = target.read_bytes() if target.exists() else None

    for told in (media.remove, media.read, lambda file: media.open(file).__enter__()):
        with pytest.raises(FileChangedError) as caught:
            told(file)
        assert (caught.value.how, caught.value.is_gone) == (how, is_gone)

    assert (target.read_bytes() if target.exists() else None) == left


def test_file_system_whose_inode_numbers_do_not_last(media: MediaStore) -> None:
    """SMB without serverino, and some programs of FUSE: each look gives another number."""
    file = write(media, "local_content/aa/bb/cc")
    seen = file._replace(inode=file.inode + 1)

    for told in (media.remove, media.read, lambda file: media.open(file).__enter__()):
        with pytest.raises(LocalFileError) as caught:
            told(seen)
        assert str(caught.value) == (
            "Could not tell whether the local file is still the one that was seen: its inode number is another, and"
            " nothing else is. Mount its file system so that the numbers last: 'serverino' for SMB; with FUSE as the"
            " program's manual says."
        )
        assert caught.value.concerns_all

    assert (media.path / file.path).exists()


def test_file_that_changes_while_it_is_read(media: MediaStore) -> None:
    file = write(media, "local_content/aa/bb/cc")

    def read_while_it_grows() -> None:
        with media.open(file) as source:
            source.read(1)
            (media.path / file.path).write_bytes(b"other and longer")

    with pytest.raises(FileChangedError):
        read_while_it_grows()


def fail(monkeypatch: pytest.MonkeyPatch, function: str, number: int) -> None:
    """Let a function of ``os`` fail: as root, permissions stop no test."""

    def failing(path: object, *_arguments: object, **_options: object) -> object:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(os, function, failing)


def test_media_store_behind_a_closed_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, "stat", errno.EACCES)

    with pytest.raises(AccessError) as caught:
        MediaStore(tmp_path)

    assert str(caught.value) == (
        f"Could not open the media store {str(tmp_path)!r}: permission denied. Run this as root or as Synapse's user."
    )


def test_media_store_on_a_dead_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, "stat", errno.ENOTCONN)

    with pytest.raises(UnavailableError) as caught:
        MediaStore(tmp_path)

    assert str(caught.value) == (
        f"Could not open the media store {str(tmp_path)!r}: Transport endpoint is not connected."
        " The program that serves this file system has ended: mount it again."
    )


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [
        (errno.EACCES, AccessError, "permission denied. Give it to Synapse's user."),
        (errno.EIO, UnavailableError, "Input/output error. Check its disk."),
    ],
)
def test_directory_that_cannot_be_read(
    media: MediaStore, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception], message: str
) -> None:
    write(media, "local_content/aa/bb/cc")
    fail(monkeypatch, "scandir", number)

    with pytest.raises(kind) as caught:
        list(scan(media))

    assert str(caught.value) == f"Could not read the directory {str(media.path / 'local_content')!r}: {message}"


def test_directory_that_may_be_listed_but_not_entered(media: MediaStore, monkeypatch: pytest.MonkeyPatch) -> None:
    write(media, "local_content/aa/bb/cc")

    class Entry:
        name = "cc"

        def stat(self, *, follow_symlinks: bool) -> os.stat_result:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(follow_symlinks))

    entries = media._entries

    def listed_only(directory: str, *arguments: Any) -> list[Any]:
        found: list[Any] = entries(directory, *arguments)
        return [Entry()] if directory == "local_content/aa/bb" else found

    monkeypatch.setattr(media, "_entries", listed_only)

    with pytest.raises(AccessError) as caught:
        list(scan(media))

    assert str(caught.value) == (
        f"Could not read the directory {str(media.path / 'local_content/aa/bb')!r}: permission denied."
        " Give it to Synapse's user."
    )


def test_a_directory_that_cannot_be_read_hides_no_other(media: MediaStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for directory in ("aa", "bb", "cc"):
        write(media, f"local_content/{directory}/dd/file")
    scandir = os.scandir

    def failing(path: str) -> Any:
        if path.endswith("/bb"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing)
    errors: list[str] = []

    found = [file.path for file in media.scan(lambda error: errors.append(str(error)))]

    assert found == ["local_content/aa/dd/file", "local_content/cc/dd/file"]
    assert errors == [
        f"Could not read the directory {str(media.path / 'local_content/bb')!r}: permission denied."
        " Give it to Synapse's user."
    ]


class UnknownEntry:
    """An entry of a file system whose listings do not tell the kind, where one inode can't be looked at."""

    def __init__(self, entry: Any, broken: str) -> None:
        self._entry = entry
        self.name = entry.name
        self._is_broken = entry.name == broken

    def __getattr__(self, name: str) -> Any:
        if self._is_broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO), self.name)
        return getattr(self._entry, name)


@pytest.mark.parametrize("broken", ["b.org", "lost+found"])
def test_one_entry_that_cannot_be_looked_at_hides_no_other(
    media: MediaStore, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    paths = [f"remote_content/{origin}/aa/bb/cc" for origin in ("a.org", "c.org")]
    for path in paths:
        write(media, path)
    (media.path / "remote_content" / broken).mkdir()
    scandir = os.scandir

    @contextmanager
    def unknown(path: str) -> Iterator[Iterator[UnknownEntry]]:
        with scandir(path) as listing:
            yield (UnknownEntry(entry, broken) for entry in listing)

    monkeypatch.setattr(os, "scandir", unknown)
    errors: list[str] = []
    passed_over: list[PassedOver] = []

    assert [file.path for file in media.scan(lambda error: errors.append(str(error)), passed_over.append)] == paths
    assert passed_over == []
    assert errors == [
        f"Could not read the directory {str(media.path / 'remote_content' / broken)!r}: Input/output error."
        " Check its disk."
    ]


def test_directory_with_an_entry_that_cannot_be_looked_at_is_not_empty(
    media: MediaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    (media.path / "local_content" / "aa" / "bb").mkdir(parents=True)
    scandir = os.scandir

    @contextmanager
    def unknown(path: str) -> Iterator[Iterator[UnknownEntry]]:
        with scandir(path) as listing:
            yield (UnknownEntry(entry, "bb") for entry in listing)

    monkeypatch.setattr(os, "scandir", unknown)
    met: list[str] = []

    list(media.scan(lambda _error: None, lambda _each: None, met.append))

    assert met == []


def test_directory_that_is_replaced_by_a_file(media: MediaStore, monkeypatch: pytest.MonkeyPatch) -> None:
    write(media, "local_content/aa/bb/cc")
    fail(monkeypatch, "scandir", errno.ENOTDIR)

    assert list(scan(media)) == []


@pytest.mark.parametrize("root", [root.value for root in Root])
def test_root_that_cannot_be_looked_at(media: MediaStore, monkeypatch: pytest.MonkeyPatch, root: str) -> None:
    """`Path.is_dir` raised an OSError that nobody took for one of the media store."""
    file = write(media, "local_content/aa/bb/cc")
    (media.path / root).mkdir(exist_ok=True)
    lstat = Path.lstat

    def failing(path: Path) -> os.stat_result:
        if path.name == root:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))
        return lstat(path)

    monkeypatch.setattr(Path, "lstat", failing)
    message = (
        f"Could not read the directory {str(media.path / root)!r}: Stale file handle. The NFS server does not know it"
        " any more: mount it again."
    )
    errors: list[str] = []

    found = list(media.scan(lambda error: errors.append(str(error))))

    assert found == ([] if root == "local_content" else [file])
    assert errors == [message]
    with pytest.raises(UnavailableError) as caught:
        links_problems(media.path)
    assert str(caught.value) == message
    with pytest.raises(UnavailableError) as caught:
        MediaStore(media.path)
    assert str(caught.value) == message


def test_file_system_that_goes_is_told_once(media: MediaStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not once for each of its directories."""
    for name in ("aa", "bb", "cc"):
        write(media, f"local_content/{name}/dd/file")
    file = write(media, "remote_content/example.org/aa/bb/cc")
    scandir, lstat = os.scandir, Path.lstat
    gone = OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
    is_gone = False

    def failing_scandir(path: str) -> Any:
        nonlocal is_gone
        is_gone = is_gone or path.endswith("local_content/bb")
        if is_gone and "local_content" in path:
            raise gone
        return scandir(path)

    def failing_lstat(path: Path) -> os.stat_result:
        if is_gone and path.name == "local_content":
            raise gone
        return lstat(path)

    monkeypatch.setattr(os, "scandir", failing_scandir)
    monkeypatch.setattr(Path, "lstat", failing_lstat)
    errors: list[str] = []

    found = [each.path for each in media.scan(lambda error: errors.append(str(error)))]

    assert found == ["local_content/aa/dd/file", file.path]
    assert errors == [
        f"Could not read the directory {str(media.path / 'local_content')!r}: Transport endpoint is not connected."
        " The program that serves this file system has ended: mount it again."
    ]


def test_root_that_is_replaced_while_it_is_read(media: MediaStore) -> None:
    """As by unmounting its disk: each directory below is "gone by now", and the run ended with "All done"."""
    for name in ("aa", "bb"):
        write(media, f"remote_content/example.org/{name}/dd/file")
    errors: list[str] = []
    files = media.scan(lambda error: errors.append(str(error)))

    assert next(files).path == "remote_content/example.org/aa/dd/file"
    (media.path / "remote_content").rename(media.path / "unmounted")
    (media.path / "remote_content").mkdir()

    assert list(files) == []
    assert errors == [
        f"Could not read the directory {str(media.path / 'remote_content')!r} to its end: it is no longer the one that"
        " it was. Check that its disk is mounted."
    ]


def test_what_a_listener_raises_is_no_failure_of_the_scan(media: MediaStore) -> None:
    (media.path / "local_content" / "aa").mkdir(parents=True)
    errors: list[MediaError] = []

    def stop(directory: str) -> None:
        raise UnavailableError(directory)

    with pytest.raises(UnavailableError, match="local_content/aa"):
        list(media.scan(errors.append, lambda _each: None, stop))
    assert errors == []


TEST_FILE_ERRORS = [
    (errno.EACCES, "permission denied. Give it and its directory to Synapse's user.", False),
    (errno.EIO, "Input/output error. Check its disk.", False),
    (errno.ESTALE, "Stale file handle. The NFS server does not know it any more: mount it again.", True),
]


@pytest.mark.parametrize("function", ["open", "read", "fstat"])
@pytest.mark.parametrize(("number", "message", "concerns_all"), TEST_FILE_ERRORS)
def test_file_that_the_disk_does_not_give(
    media: MediaStore, monkeypatch: pytest.MonkeyPatch, function: str, number: int, message: str, concerns_all: bool
) -> None:
    file = write(media, "local_content/aa/bb/cc")

    def failing(*_arguments: object) -> object:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, function, failing)
        with pytest.raises(LocalFileError) as caught:
            media.read(file)
    assert (str(caught.value), caught.value.concerns_all) == (f"Could not read the local file: {message}", concerns_all)


def test_large_file_that_breaks_off_is_no_failure_of_the_bucket(media: MediaStore) -> None:
    """What boto3 makes of it is a connection that was cut, and so an outage of the bucket for all files."""
    file = write(media, "local_content/aa/bb/cc")

    def upload() -> None:
        with media.open(file) as source:
            assert source.read(1) == b"c"
            # The disk's failure: from here on the kernel refuses to read.
            directory = os.open(media.path, os.O_RDONLY)
            os.dup2(directory, source.fileno())
            os.close(directory)
            try:
                source.read(1)
            except OSError as error:
                raise UnavailableError("Could not store the object: the connection was cut.") from error

    with pytest.raises(LocalFileError) as caught:
        upload()
    assert str(caught.value) == "Could not read the local file: Is a directory. Check its disk."
    assert not caught.value.concerns_all


def no_links(_source: Path, _target: Path) -> None:
    """What rclone mount says."""
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("at_hand", ["bytes", "file"])
def test_file_is_put_back_as_it_was(
    media: MediaStore, monkeypatch: pytest.MonkeyPatch, at_hand: str, links: bool
) -> None:
    """When the bucket turns out to be the media store itself."""
    before = write(media, "local_thumbnails/aa/bb/cc/1-1-image-png-crop")
    target = media.path / before.path
    os.utime(target, ns=(2, 1))
    target.chmod(0o640)
    os.chown(target, 1234, 2345)
    for directory in (media.path / "local_thumbnails", target.parent):
        os.chown(directory, 1234, 2345)
        directory.chmod(0o750)
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    file = next(scan(media))
    content = io.BytesIO(b"content")
    content.seek(3)

    removed = media.remove(file)
    assert below(media) == ["local_thumbnails"]
    assert media.put_back(removed, b"content" if at_hand == "bytes" else content)

    status = target.stat()
    assert target.read_bytes() == b"content"
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1234, 2345, 0o640)
    assert status.st_mtime_ns == 1
    assert [path for path in below(media) if path.startswith("local_thumbnails/aa/bb/cc/")] == [file.path]
    for directory in target.relative_to(media.path).parents[:-1]:
        status = (media.path / directory).stat()
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1234, 2345, 0o750)


@pytest.mark.parametrize("links", [True, False])
def test_file_that_was_put_back_when_the_run_was_killed(
    media: MediaStore, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """What is under its name is all of it, and the part beside it goes with the next try."""
    file = write(media, "local_content/aa/bb/cc")
    removed = media.remove(file)
    with monkeypatch.context() as killed:
        killed.setattr(Path, "unlink", lambda *_arguments, **_options: None)
        fail(killed, "fsync", errno.EIO)
        with pytest.raises(LocalFileError):
            media.put_back(removed, b"content")
    assert [path for path in below(media) if "put-back" in path] != []
    assert file.path not in below(media)
    if not links:
        monkeypatch.setattr(os, "link", no_links)

    assert media.put_back(removed, b"content")
    assert below(media) == ["local_content", "local_content/aa", "local_content/aa/bb", file.path]


@pytest.mark.parametrize("links", [True, False])
def test_file_that_synapse_has_written_meanwhile_is_not_replaced(
    media: MediaStore, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    file = write(media, "local_content/aa/bb/cc")
    if not links:
        monkeypatch.setattr(os, "link", no_links)

    removed = media.remove(file)
    write(media, file.path, b"newer")

    assert not media.put_back(removed, b"content")
    assert (media.path / file.path).read_bytes() == b"newer"
    assert below(media)[-1] == file.path


def test_file_that_is_there_is_not_put_back_on_a_full_disk(media: MediaStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is to be written, and what would free the disk must not stop for that."""
    file = write(media, "local_content/aa/bb/cc")
    removed = media.remove(file)
    write(media, file.path)
    fail(monkeypatch, "fsync", errno.ENOSPC)
    assert not media.put_back(removed, b"content")


def test_file_is_put_back_where_there_is_neither_link_nor_rename(
    media: MediaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As below Mountpoint for S3."""
    file = write(media, "local_content/aa/bb/cc")
    removed = media.remove(file)
    monkeypatch.setattr(os, "link", no_links)
    fail(monkeypatch, "rename", errno.ENOSYS)
    assert media.put_back(removed, b"content")
    assert below(media) == ["local_content", "local_content/aa", "local_content/aa/bb", file.path]


def test_file_that_was_put_back_outlasts_a_power_failure(media: MediaStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name too, and those of the directories that were made for it: its copy elsewhere goes right after."""
    file = write(media, "local_content/aa/bb/cc")
    removed = media.remove(file)
    synced: list[str] = []
    sync = os.fsync

    def record(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    assert media.put_back(removed, b"content")
    directories = [file.path.rpartition("/")[0], "local_content/aa", "local_content"]
    assert synced[1:] == [*(f"{media.path}/{directory}" for directory in directories), str(media.path)]


@pytest.mark.parametrize("links", [True, False])
def test_file_that_cannot_be_put_back_in_full(media: MediaStore, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    """A part of it under its name would be worse than nothing."""
    file = write(media, "local_content/aa/bb/cc")
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    removed = media.remove(file)

    with pytest.raises(LocalFileError) as caught:
        media.put_back(removed, b"cont")
    assert str(caught.value) == "Could not put back the local file: what is at hand is not all of it. Check its disk."
    fail(monkeypatch, "fsync", errno.ENOSPC)
    with pytest.raises(LocalFileError) as caught:
        media.put_back(removed, b"content")
    assert str(caught.value) == "Could not put back the local file: No space left on device. Free some."
    assert below(media) == ["local_content", "local_content/aa", "local_content/aa/bb"]


TEST_REMOVE_ERRORS = [
    (errno.EACCES, "permission denied. Give its directory to Synapse's user.", False),
    (errno.EPERM, "permission denied. Give its directory to Synapse's user.", False),
    (errno.EIO, "Input/output error. Check its disk.", False),
    (errno.ENOSPC, "No space left on device. Free some.", True),
    (
        errno.EROFS,
        "Read-only file system. Mount it writable (the volume of a container too). A disk with errors is made read-only"
        " by the kernel, whose log tells.",
        True,
    ),
]


@pytest.mark.parametrize(("number", "message", "concerns_all"), TEST_REMOVE_ERRORS)
def test_file_that_cannot_be_removed(
    media: MediaStore, monkeypatch: pytest.MonkeyPatch, number: int, message: str, concerns_all: bool
) -> None:
    file = write(media, "local_content/aa/bb/cc")
    fail(monkeypatch, "unlink", number)

    with pytest.raises(LocalFileError) as caught:
        media.remove(file)
    assert str(caught.value) == f"Could not remove the local file: {message}"
    assert caught.value.concerns_all == concerns_all


def test_pipe_in_place_of_a_file_is_not_waited_for(media: MediaStore) -> None:
    file = write(media, "local_content/aa/bb/cc")
    (media.path / file.path).unlink()
    os.mkfifo(media.path / file.path)

    with pytest.raises(FileChangedError), media.open(file):
        pass


def test_find_tells_one_file_as_it_is_now(tmp_path: Path) -> None:
    (tmp_path / "local_content/aa/bb").mkdir(parents=True)
    (tmp_path / "local_content/aa/bb/file").write_bytes(b"123")
    (tmp_path / "local_content/aa/bb/link").symlink_to("file")
    (tmp_path / "local_content/aa/linked").symlink_to("bb")
    media = MediaStore(tmp_path)

    assert media.find("local_content/aa/bb/file") == next(media.scan(lambda _error: None))
    for path in ("bb/none", "none/file", "bb/link", "linked/file", "bb", "bb/file/below"):
        assert media.find(f"local_content/aa/{path}") is None
