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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .media_store import LocalFile, LocalFileError, MediaStore, Removed

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
        with media.open(file) as source:
            try:
                content = _write(place, media, file, source)
            except OSError as error:
                _remove(place)
                raise LocalFileError(
                    f"Could not keep a copy of the file until its object is seen again: {error.strerror}. See that"
                    f" there is space in {str(self._directory.parent)!r}, and that it is Synapse's user's.",
                    # A smaller file may still fit.
                    concerns_all=error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
                ) from error
        kept = Copy(place / _CONTENT, content)
        try:
            yield kept
        finally:
            content.close()
            if not kept.is_needed:
                _remove(place)

    def put_back(self, media: MediaStore) -> list[str]:
        """Put back what a run that was killed had removed and not seen to its end; return the paths.

        What is there by now stays; what is in the bucket too goes again by the decision. Raises LocalFileError.
        """
        found = []
        for place in sorted(self._directory.iterdir()) if self._is_own() else ():
            try:
                removed = _read_about(place)
                if removed is not None:
                    with (place / _CONTENT).open("rb") as content:
                        if media.put_back(removed, content):
                            found.append(removed.file.path)
            except OSError as error:
                raise LocalFileError(
                    f"Could not read {str(place)!r}, the copy of a file that an earlier run was killed while it"
                    f" removed: {error.strerror}. Make it readable to Synapse's user, and run this again."
                ) from error
            _remove(place)
        return found


def _make(directory: Path) -> None:
    directory.mkdir(mode=0o700, exist_ok=True)
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise PermissionError(errno.EACCES, f"{str(directory)!r} is not a directory of this user's")


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    with suppress(OSError):
        # Another copy may be in it.
        place.parent.rmdir()


def _read_about(place: Path) -> Removed | None:
    """What the copy is of; None when it was being written when the run was killed: the file itself was still there."""
    try:
        about = json.loads((place / _ABOUT).read_text(encoding="utf-8"))
        file = LocalFile(about["path"], about["size"], about["modified_ns"], 0, 0, 0)
        return Removed(file, about["mode"], about["uid"], about["gid"])
    except (FileNotFoundError, ValueError, KeyError):
        return None


def _write(place: Path, media: MediaStore, file: LocalFile, source: BinaryIO) -> BinaryIO:
    status = (media.path / file.path).lstat()
    shutil.rmtree(place, ignore_errors=True)
    _make(place.parent)
    place.mkdir(mode=0o700)
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
            _sync_directory(directory)
    except BaseException:
        content.close()
        raise
    return content
