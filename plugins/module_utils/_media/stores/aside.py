# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of a file whose removal has yet to be seen to its end. It outlives the process: a kill loses nothing of it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from .disk_errors import LocalFileError
from .media_store import LocalFile, MediaStore, Removed
from .new_file import sync_directory

_ABOUT = "about.json"
_CONTENT = "content"


@dataclass
class Copy:
    """The copy that is kept. It goes unless ``is_needed``; ``path`` is where it stands."""

    path: Path
    content: BinaryIO
    is_needed: bool = False


class Aside:
    """Keeps copies in ``directory``, which is made, and must be this user's alone."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        # Of the directory: one thread removes it, empty, while another puts a copy into it.
        self._lock = Lock()

    def _is_own(self) -> bool:
        """Whether it is there. In a directory that others write to, one of theirs is none."""
        try:
            status = self._directory.lstat()
        except OSError:
            return False
        return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()

    @contextmanager
    def copy(self, media: MediaStore, file: LocalFile) -> Iterator[Copy]:
        """Keep a copy of a local file as long as the block lasts.

        Raises FileChangedError and LocalFileError as `MediaStore.open`, and LocalFileError when it can't be written.
        """
        # A path is longer than a name may be.
        place = self._directory / hashlib.sha256(file.path.encode()).hexdigest()[:32]
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

    def put_back(self, media: MediaStore) -> list[str]:
        """Put back what a run that was killed had removed and not seen to its end; return the paths.

        What is there by now stays; what is in the bucket too goes again by the decision. Raises LocalFileError.
        """
        found = []
        for place in sorted(self._directory.iterdir()) if self._is_own() else ():
            removed = _read_about(place)
            if removed is not None and _put_back(place, removed, media):
                found.append(removed.file.path)
            self._remove(place)
        return found

    def _remove(self, place: Path) -> None:
        with self._lock:
            # First: without it the rest is nothing that is to be put back.
            with suppress(OSError):
                (place / _ABOUT).unlink(missing_ok=True)
            shutil.rmtree(place, ignore_errors=True)
            with suppress(OSError):
                # Another copy may be in it.
                place.parent.rmdir()


def _put_back(place: Path, removed: Removed, media: MediaStore) -> bool:
    path = place / _CONTENT
    try:
        with path.open("rb") as content:
            return media.put_back(removed, content)
    except FileNotFoundError:
        # Thrown away by a run that was killed while it did that.
        return False
    except OSError as error:
        raise _unreadable(path, repr(removed.file.path), error) from error
    except LocalFileError as failure:
        raise LocalFileError(
            f"Could not put back {removed.file.path!r}, which an earlier run was killed while it removed: {failure}"
            f" Its content is in {str(path)!r}: keep that until the file is back."
        ) from failure


def _make(place: Path) -> None:
    """Make the directory of a copy, empty, and the one that it is in."""
    directory = place.parent
    directory.mkdir(mode=0o700, exist_ok=True)
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise PermissionError(errno.EACCES, f"{str(directory)!r} is not a directory of this user's")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o700)


def _read_about(place: Path) -> Removed | None:
    """What the copy is of; None when it was being written when the run was killed: the file itself was still there."""
    try:
        about = json.loads((place / _ABOUT).read_text(encoding="utf-8"))
        file = LocalFile(about["path"], about["size"], about["modified_ns"], 0, 0, 0)
        return Removed(file, about["mode"], about["uid"], about["gid"])
    except (FileNotFoundError, ValueError, KeyError):
        return None
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
