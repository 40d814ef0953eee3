# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of a file whose removal has yet to be seen to its end. It outlives the process: a kill loses nothing of it.

Copies stand in a directory for each media store and shard, which says so by its name; those of older versions have no
media store in it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from threading import Lock
from typing import BinaryIO, NamedTuple

from ..rules.content import read_content
from ..rules.shard import Shard
from .disk_errors import RUN_AS, LocalFileError, in_words
from .media_store import LocalFile, MediaStore, Removed
from .new_file import sync_directory

_ABOUT = "about.json"
_CONTENT = "content"
_NAME = re.compile(
    r"(?:(?P<once>[0-9a-f]{16})-)?aside-(?:(?P<of>[0-9a-f]{16})-)?(?P<number>[0-9]+)-of-(?P<count>[0-9]+)"
)


@dataclass
class Copy:
    """The copy that is kept. It goes unless ``is_needed``; ``path`` is where it stands."""

    path: Path
    content: BinaryIO
    is_needed: bool = False


class Parent(NamedTuple):
    """Where directories of copies stand, among others; their names begin with ``prefix``."""

    path: Path
    prefix: str = ""


class Directory(NamedTuple):
    """A directory of copies. ``of``: which media store's, as `stamp` has it; None: an older version has made it."""

    path: Path
    of: str | None
    shard: Shard


def stamp(media: MediaStore) -> str:
    """What stands for a media store in a name."""
    return hashlib.sha256(os.fsencode(media.path.resolve())).hexdigest()[:16]


def directory_of(parent: Parent, media: MediaStore, shard: Shard) -> Path:
    """The directory of the copies of a run."""
    return parent.path / f"{parent.prefix}aside-{stamp(media)}-{shard.number}-of-{shard.count}"


def directories_in(parent: Parent) -> list[Directory]:
    """All that are there, whichever media store's. Raises a MediaError."""
    try:
        names = sorted(os.listdir(parent.path))  # noqa: PTH208 (the names are what is asked for)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        what = f"Could not see in {str(parent.path)!r} whether a run that was killed has kept a copy of a file"
        raise in_words(what, error, RUN_AS) from error
    found = []
    for name in names:
        match = _NAME.fullmatch(name.removeprefix(parent.prefix)) if name.startswith(parent.prefix) else None
        if match is not None and _is_own(parent.path / name):
            shard = Shard(int(match["number"]), int(match["count"]))
            found.append(Directory(parent.path / name, match["of"] or match["once"], shard))
    return found


class Left:
    """A copy that a run which was killed has left, in ``place``.

    ``removed``: the file that it is of; None where it was not complete, so that the file was still there.
    ``media_store``: where that was; None where an older version has kept it.
    """

    def __init__(self, place: Path) -> None:
        """Raises LocalFileError when it can't be read."""
        self.place = place
        self.removed, self.media_store = _read_about(place)

    @property
    def path(self) -> str:
        """Where its content stands."""
        return str(self.place / _CONTENT)

    def sha256(self) -> str:
        """Of its content. Raises LocalFileError."""
        with self._open() as content:
            return read_content(content).sha256

    def put_back(self, media: MediaStore) -> bool:
        """Put its file back, and throw it away then; False if there is one by now. Raises LocalFileError."""
        if self.removed is None:
            return False
        with self._open() as content:
            try:
                is_back = media.put_back(self.removed, content)
            except LocalFileError as failure:
                raise LocalFileError(
                    f"Could not put back {self.removed.file.path!r}, which an earlier run was killed while it removed:"
                    f" {failure} Its content is in {self.path!r}: keep that until the file is back."
                ) from failure
        if is_back:
            self.discard()
        return is_back

    def discard(self) -> None:
        _remove(self.place)

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        try:
            with open(self.path, "rb") as content:
                yield content
        except OSError as error:
            of = repr(self.removed.file.path) if self.removed else "a file"
            raise _unreadable(Path(self.path), of, error) from error


def left_in(directory: Path) -> Iterator[Left]:
    """The copies in a directory, as long as it is this user's alone. Raises LocalFileError."""
    for place in sorted(directory.iterdir()) if _is_own(directory) else ():
        yield Left(place)


class Aside:
    """Keeps copies in ``directory``, which is made, and must be this user's alone."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        # Of the directory: one thread removes it, empty, while another puts a copy into it.
        self._lock = Lock()

    @contextmanager
    def copy(self, media: MediaStore, file: LocalFile) -> Iterator[Copy]:
        """Keep a copy of a local file as long as the block lasts.

        Raises FileChangedError and LocalFileError as `MediaStore.open`, and LocalFileError when it can't be written.
        """
        # A name of its own: an earlier run may have left a copy of the same file, which is looked at by a person.
        place = self._directory / token_hex(16)
        with ExitStack() as begun:
            # Also of a file that changed while it was copied: the next run would put back what it never was.
            begun.callback(self._remove, place)
            with media.open(file) as source:
                try:
                    with self._lock:
                        _make(place)
                    content = _write(place, media, file, source)
                except OSError as error:
                    raise LocalFileError(
                        f"Could not keep a copy of the file until its object is seen again: {error.strerror}. See that"
                        f" there is space in {str(self._directory.parent)!r}, and that it is Synapse's user's.",
                        # A smaller file may still fit.
                        concerns_all=error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
                    ) from error
                begun.callback(content.close)
            begun.pop_all()
        kept = Copy(place / _CONTENT, content)
        try:
            yield kept
        finally:
            content.close()
            if not kept.is_needed:
                self._remove(place)

    def _remove(self, place: Path) -> None:
        with self._lock:
            _remove(place)


def _is_own(directory: Path) -> bool:
    """Whether it is there. In a directory that others write to, one of theirs is none."""
    try:
        status = directory.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def _remove(place: Path) -> None:
    # First: without it the rest is nothing that is to be put back.
    with suppress(OSError):
        (place / _ABOUT).unlink(missing_ok=True)
    shutil.rmtree(place, ignore_errors=True)
    with suppress(OSError):
        # Another copy may be in it.
        place.parent.rmdir()


def _make(place: Path) -> None:
    """Make the directory of a copy, empty, and the one that it is in."""
    directory = place.parent
    directory.mkdir(mode=0o700, exist_ok=True)
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise PermissionError(errno.EACCES, f"{str(directory)!r} is not a directory of this user's")
    place.mkdir(mode=0o700)


def _read_about(place: Path) -> tuple[Removed | None, str | None]:
    """What the copy is of, and in which media store that was.

    Nothing when the run was killed while it wrote the copy, and the file itself was still there; or while it threw the
    copy away, which it no longer needed.
    """
    try:
        about = json.loads((place / _ABOUT).read_text(encoding="utf-8"))
        file = LocalFile(about["path"], about["size"], about["modified_ns"], 0, 0, 0)
        removed = Removed(file, about["mode"], about["uid"], about["gid"])
        (place / _CONTENT).lstat()
        return removed, about.get("media_store")
    except (FileNotFoundError, ValueError, KeyError):
        return None, None
    except OSError as error:
        raise _unreadable(place, "a file", error) from error


def _unreadable(path: Path, of: str, error: OSError) -> LocalFileError:
    return LocalFileError(
        f"Could not read {str(path)!r}, the copy of {of}, which an earlier run was killed while it removed:"
        f" {error.strerror}. Make it readable to Synapse's user, and run this again."
    )


def _write(place: Path, media: MediaStore, file: LocalFile, source: BinaryIO) -> BinaryIO:
    status = (media.path / file.path).lstat()
    content = (place / _CONTENT).open("w+b")
    try:
        shutil.copyfileobj(source, content)
        content.flush()
        os.fsync(content.fileno())
        content.seek(0)
        about = {
            "media_store": str(media.path.resolve()),
            "path": file.path,
            "size": file.size,
            "modified_ns": file.modified_ns,
            "mode": status.st_mode & 0o7777,
            "uid": status.st_uid,
            "gid": status.st_gid,
        }
        # Last: without it the copy is not complete, and the file not removed. All of it outlasts a power failure.
        with (place / _ABOUT).open("w", encoding="utf-8") as description:
            json.dump(about, description)
            description.flush()
            os.fsync(description.fileno())
        for directory in (place, place.parent, place.parent.parent):
            sync_directory(directory)
    except BaseException:
        content.close()
        raise
    return content
