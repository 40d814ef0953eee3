# SPDX-License-Identifier: GPL-3.0-or-later
"""Synapse's media store on the local disk: look, read, and remove what is no longer needed there."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from operator import methodcaller
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from ..rules.content import read_content
from ..rules.errors import AccessError, MediaError, UnavailableError
from ..rules.media_path import LEVELS, Root
from . import locks
from .disk_errors import RUN_AS, LocalFileError, file_error, in_words
from .new_file import Attributes, sync_directory, write_new

# Why something is not looked at.
A_LINK = "a symbolic link, which is never followed"
NO_DIRECTORY_OF_SYNAPSE = "a directory that Synapse does not make"
NO_FILE_OF_SYNAPSE = "a file that Synapse does not write"
NO_REGULAR_FILE = "a socket, pipe or device"
NO_DIRECTORY = "not a directory, where Synapse has one"


class LocalFile(NamedTuple):
    """One file as it was seen. ``path`` is relative to the media store; ``size`` in bytes; times since 1970.

    ``changed_ns`` is the inode's: a program that writes and then sets the modification time back can't set this one.
    """

    path: str
    size: int
    modified_ns: int
    changed_ns: int
    inode: int
    device: int


class PassedOver(NamedTuple):
    """Something below the four directories that is not looked at, nor what is in it.

    ``path`` is relative to the media store and fit to be printed; ``reason`` is one of a few phrases, to be counted by.
    ``is_problem``: it may hold media of Synapse's.
    """

    path: str
    reason: str
    is_problem: bool


class Removed(NamedTuple):
    """A file that was removed, with what is needed to put it back."""

    file: LocalFile
    mode: int
    uid: int
    gid: int


_GONE = (errno.ENOENT, errno.ENOTDIR)
# What of a file may differ from what was seen, and how it is told.
_CHANGES = {
    "size": "its length is another",
    "modified_ns": "its modification time is another",
    "changed_ns": "its owner, mode, name or content was changed",
    "device": "another file system is mounted there",
}
_NO_LASTING_NUMBERS = (
    "Could not tell whether the local file is still the one that was seen: its inode number is another, and nothing"
    " else is. Mount its file system so that the numbers last: 'serverino' for SMB; with FUSE as the program's manual"
    " says."
)


class FileChangedError(Exception):
    """The file is not the one that was seen: another one, or changed; ``how`` in words. ``is_gone``: or gone."""

    def __init__(self, path: str, how: str = "another thing has its name", *, is_gone: bool = False) -> None:
        super().__init__(path)
        self.how = how
        self.is_gone = is_gone


class MediaStore:
    """The directory ``media_store_path``.

    Symbolic links are never followed below it (the path itself may be one).
    """

    def __init__(self, path: Path, writable: bool = True) -> None:
        """Open the media store at ``path``; ``writable``: False where nothing is to be removed or written.

        Raises UnavailableError when it is not there or on a read-only file system, AccessError without the right.
        """
        if not _is_directory(path):
            raise UnavailableError(
                f"Could not open the media store {str(path)!r}: there is no such directory. Mount it, or correct"
                " media_store_path in Synapse's configuration."
            )
        self.path = path
        self._path = str(path)
        if writable:
            # Before the rights: what is read-only for everybody is no matter of who runs this.
            for directory in (path, *(self._root(root) for root in Root if self._is_root(root))):
                _refuse_read_only(directory)
        if not os.access(path, os.R_OK | os.X_OK | (os.W_OK if writable else 0)):
            raise _no_access(path)

    def has_roots(self) -> bool:
        """Whether at least one of Synapse's four media directories is there."""
        return any(stat.S_ISDIR(mode) or stat.S_ISLNK(mode) for mode in (_mode(self._root(root)) for root in Root))

    def scan(
        self,
        failed: Callable[[MediaError], None],
        passed_over: Callable[[PassedOver], None] = lambda _each: None,
        empty: Callable[[str], None] = lambda _directory: None,
    ) -> Iterator[LocalFile]:
        """Every file of Synapse's below the four directories, ascending by path as S3 lists keys.

        A file that `parse_media_path` does not understand is not Synapse's. ``passed_over`` is told of each thing that
        is not looked at: such files, directories that Synapse can't have made (never entered, and so free to be
        unreadable), symbolic links. ``failed`` is told of each directory that can't be read; what is in the others
        still comes. ``empty`` is told of each directory of Synapse's, by its path, that holds nothing: `remove_empty`
        may be called at once.
        """
        told = _Told(failed, passed_over, empty)
        for root in sorted(Root, key=lambda root: f"{root.value}/"):
            yield from self._scan_root(root, told)

    @contextmanager
    def open(self, file: LocalFile) -> Iterator[BinaryIO]:
        """Open ``file`` for reading; FileChangedError when it is not as it was seen, before or after.

        LocalFileError when the disk does not give it, also where who reads it has taken that for a failure of his own.
        """
        with _Source(self._open(file)) as source:
            _check_unchanged(file, _fstat(source.fileno()))
            try:
                yield cast("BinaryIO", source)
            except Exception:
                if source.failure is not None:
                    raise _not_read(source.failure) from source.failure
                raise
            _check_unchanged(file, _fstat(source.fileno()))

    def read(self, file: LocalFile) -> bytes:
        """The content of a small file; FileChangedError when it is not as it was seen, after it was read.

        LocalFileError when the disk does not give it.
        """
        descriptor = self._open(file)
        try:
            # One byte more than there were, to have an end. What changed before or meanwhile shows afterwards.
            content = os.read(descriptor, file.size + 1)
            _check_unchanged(file, os.fstat(descriptor))
        except OSError as error:
            raise _not_read(error) from error
        finally:
            os.close(descriptor)
        if len(content) != file.size:
            raise FileChangedError(file.path, _CHANGES["size"])
        return content

    def _open(self, file: LocalFile) -> int:
        try:
            # O_NONBLOCK: a pipe that has taken the file's place would be waited for without end.
            return os.open(f"{self._path}/{file.path}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            if error.errno in (*_GONE, errno.ELOOP, errno.ENXIO):
                raise FileChangedError(file.path, is_gone=error.errno in _GONE) from error
            raise _not_read(error) from error

    def remove(self, file: LocalFile) -> Removed:
        """Delete ``file`` if it is still as it was seen (else FileChangedError), and directories that this left empty.

        The four directories themselves stay. LocalFileError when the system does not allow it.
        """
        target = f"{self._path}/{file.path}"
        try:
            status = os.lstat(target)
            _check_unchanged(file, status)
            os.unlink(target)  # noqa: PTH108 (a Path costs as much as the call, a million times)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileChangedError(file.path, is_gone=True) from error
        except OSError as error:
            raise file_error("remove", error, "Give its directory to Synapse's user.") from error
        with suppress(OSError):
            # What stays is met as an empty directory by the next run.
            self._remove_directories(file.path.rpartition("/")[0])
        return Removed(file, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)

    def put_back(self, removed: Removed, content: bytes | BinaryIO) -> bool:
        """Write a file that was removed again, with all its ``content``; False if there is one by now, which stays.

        It appears complete under its name, and has owner, mode and time of before where the file system has such.
        LocalFileError when it can't be written.
        """
        target = self.path / removed.file.path
        if os.path.lexists(target):
            return False
        try:
            self._make_directories(target.parent)
            attributes = Attributes(removed.file.modified_ns, removed.mode, removed.uid, removed.gid)
            write_new(target, content, removed.file.size, attributes)
            for directory in target.relative_to(self.path).parents:
                sync_directory(self.path / directory)
        except FileExistsError:
            return False
        except OSError as error:
            raise file_error("put back", error, RUN_AS) from error
        return True

    def _make_directories(self, directory: Path) -> None:
        """Make what is missing of ``directory`` in the media store, with the owner and the mode of what it is in."""
        if directory == self.path or directory.is_dir():
            return
        self._make_directories(directory.parent)
        above = directory.parent.stat()
        with suppress(FileExistsError):
            directory.mkdir()
            with suppress(OSError):
                os.chown(directory, above.st_uid, above.st_gid)
                directory.chmod(stat.S_IMODE(above.st_mode))

    def remove_empty(self, directory: str, older_than_ns: int) -> bool:
        """Remove a directory that `scan` met empty, and those above it that this left empty; tell whether it is gone.

        It stays if something is in it by now, if it was changed after ``older_than_ns`` (since 1970), if it is a mount
        point, or if a link has taken its place or that of one above it. The four directories themselves stay.

        Synapse makes a directory, or finds it there, and then opens a file in it. Who takes it away between the two,
        some microseconds, makes that one upload fail before anything of it was accepted; the client sends it again.
        The age keeps away from directories that were just made. What is above is judged by being empty alone: it held a
        directory that was old.

        Raises AccessError or UnavailableError when the system does not allow it.
        """
        components = directory.split("/")
        try:
            for depth in range(1, len(components)):
                if not _is_directory_itself("/".join((self._path, *components[:depth]))):
                    return False
            status = os.lstat(f"{self._path}/{directory}")
            if not stat.S_ISDIR(status.st_mode) or status.st_mtime_ns > older_than_ns:
                return False
            return self._remove_directories(directory) > 0
        except FileNotFoundError:
            return False
        except OSError as error:
            place = f"Could not remove the empty directory {str(self.path / directory)!r}"
            raise in_words(place, error, "Give it and the one above it to Synapse's user.") from error

    def _remove_directories(self, directory: str) -> int:
        """Remove this one, and then those above it, as long as they are empty; tell how many have gone."""
        removed = 0
        while "/" in directory:
            try:
                os.rmdir(f"{self._path}/{directory}")  # noqa: PTH106 (as in remove)
            except OSError as error:
                # A mount point stays, and what has taken the directory's place. What is gone was removed by another.
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY, errno.ENOTDIR, errno.ENOENT):
                    break
                raise
            removed += 1
            directory = directory.rpartition("/")[0]
        return removed

    def lock(self, operation: int) -> AbstractContextManager[int]:
        """Hold the lock on the media store itself, as `locks.lock` does."""
        return locks.lock(self.path, operation)

    def is_locked(self) -> bool:
        """Whether a run, or one on a shard, is under way, as far as this host sees."""
        return locks.is_locked(self.path)

    def lock_file(self, name: str) -> AbstractContextManager[None]:
        """Hold the lock on a file of this name in the media store, as `locks.lock_file` does."""
        return locks.lock_file(self.path / name)

    def find(self, path: str) -> LocalFile | None:
        """The file of this path as it is now; None when there is none, or a link is on the way to it.

        LocalFileError when that can't be told.
        """
        components = path.split("/")
        try:
            for depth in range(1, len(components)):
                if not _is_directory_itself("/".join((self._path, *components[:depth]))):
                    return None
            status = os.lstat(f"{self._path}/{path}")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise file_error("look at", error, "Give it and its directory to Synapse's user.") from error
        return _seen(path, status) if stat.S_ISREG(status.st_mode) else None

    def is_taken(self, path: str) -> bool:
        """Whether there is anything of this path, a link that leads nowhere too. LocalFileError if that isn't told."""
        try:
            os.lstat(f"{self._path}/{path}")
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise file_error("look at", error, "Give it and its directory to Synapse's user.") from error
        return True

    def sha256(self, path: str) -> str | None:
        """The SHA-256 of what is at ``path``, in hexadecimal digits; None where it is no file, or changes meanwhile.

        LocalFileError when the disk does not give it.
        """
        try:
            with self.open(_seen(path, os.lstat(f"{self._path}/{path}"))) as source:
                return read_content(source).sha256
        except (FileChangedError, FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _not_read(error) from error

    def is_readable(self, path: str) -> bool:
        """Whether who runs this, which is Synapse's user, may read what is at ``path``; not whether it is there."""
        return os.access(f"{self._path}/{path}", os.R_OK) or not os.path.lexists(f"{self._path}/{path}")

    def roots(self) -> list[str]:
        """Those of Synapse's four media directories that are there, by name; what is a link is none."""
        return [root.value for root in Root if self._is_root(root)]

    def folds_case(self) -> bool:
        """Whether one of its disks takes names that differ in case alone for one.

        Then `scan` may tell other names than Synapse gave: the directory "aB" is found as "Ab", if that was there
        first. Raises a MediaError when that can't be told.
        """
        for directory in (self.path, *(self.path / root for root in self.roots())):
            try:
                with os.scandir(directory) as listing:
                    name = next((entry.name for entry in listing if entry.name != entry.name.swapcase()), "")
                if name and (directory / name).samefile(directory / name.swapcase()):
                    return True
            except FileNotFoundError:  # noqa: PERF203 (five times at the most)
                continue
            except OSError as error:
                raise in_words(f"Could not read the directory {str(directory)!r}", error, RUN_AS) from error
        return False

    def _root(self, root: Root) -> Path:
        return self.path / root.value

    def _is_root(self, root: Root) -> bool:
        return stat.S_ISDIR(_mode(self._root(root)))

    def _scan_root(self, root: Root, told: _Told) -> Iterator[LocalFile]:
        directory = self._root(root)
        try:
            began = _status(directory)
            if began is None:
                return
            if not stat.S_ISDIR(began.st_mode):
                is_link = stat.S_ISLNK(began.st_mode)
                told.passed_over(PassedOver(root.value, A_LINK if is_link else NO_DIRECTORY, is_problem=True))
                return
            yield from self._scan(root.value, LEVELS[root], told)
            ended = _status(directory)
        except _RootError as error:
            told.failed(error.told)
            return
        # All that was below an unmounted disk is "gone by now", which is no failure for a single directory.
        if ended is None or (began.st_dev, began.st_ino) != (ended.st_dev, ended.st_ino):
            told.failed(
                UnavailableError(
                    f"Could not read the directory {str(directory)!r} to its end: it is no longer the one that it was."
                    " Check that its disk is mounted."
                )
            )

    def _scan(self, directory: str, levels: Sequence[re.Pattern[str]], told: _Told) -> Iterator[LocalFile]:
        """Go through ``directory``; ``levels``: what names Synapse gives in it, and in what is below."""
        if len(levels) > 1:
            for entry in self._entries(directory, levels[0], _IS_DIRECTORY, _name_with_slash, told):
                yield from self._scan(f"{directory}/{entry.name}", levels[1:], told)
            return
        for entry in self._entries(directory, levels[0], _IS_FILE, _name, told):
            status = self._seen_status(directory, entry, told.failed)
            if status is not None:
                yield _seen(f"{directory}/{entry.name}", status)

    def _seen_status(
        self, directory: str, entry: os.DirEntry[str], failed: Callable[[MediaError], None]
    ) -> os.stat_result | None:
        try:
            return entry.stat(follow_symlinks=False)
        except OSError as error:
            self._report(directory, error, failed)
            return None

    def _entries(
        self,
        directory: str,
        names: re.Pattern[str],
        is_kind: Callable[[os.DirEntry[str]], bool],
        key: Callable[[os.DirEntry[str]], str],
        told: _Told,
    ) -> list[os.DirEntry[str]]:
        """What is Synapse's in a directory, by ``names`` and ``is_kind``, in the order of ``key``; the rest is told."""
        found: list[os.DirEntry[str]] = []
        others: list[PassedOver] = []
        is_empty = True
        try:
            with os.scandir(f"{self._path}/{directory}") as listing:
                for entry in listing:
                    is_empty = False
                    try:
                        # The listing tells the kind as well; on few file systems each entry has to be looked at.
                        if names.fullmatch(entry.name) and is_kind(entry):
                            found.append(entry)
                        else:
                            others.append(_passed_over(directory, entry))
                    except OSError as error:
                        # It hides no other.
                        self._report(f"{directory}/{entry.name}", error, told.failed)
        except OSError as error:
            self._report(directory, error, told.failed)
            return []
        for other in sorted(others):
            told.passed_over(other)
        if is_empty and "/" in directory:
            told.empty(directory)
        found.sort(key=key)
        return found

    def _report(self, directory: str, error: OSError, failed: Callable[[MediaError], None]) -> None:
        """Tell what went wrong; what is gone by now is passed over.

        Raises _RootError when the whole of the root can't be read any more: nothing else below it need be tried.
        """
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            return
        if not isinstance(error, PermissionError):
            _status(self.path / directory.partition("/")[0])
        place = f"Could not read the directory {str(self.path / directory)!r}"
        failed(in_words(place, error, "Give it to Synapse's user."))


def links_problems(path: Path) -> list[str]:
    """Why no run on the media store in ``path`` can begin: one of the four directories is a link.

    Raises a MediaError when that can't be told.
    """
    links = ", ".join(root.value for root in Root if stat.S_ISLNK(_mode(path / root.value)))
    problem = f"Could not use the media store {str(path)!r}: {links} is a symbolic link, which is never followed."
    return [f"{problem} Mount the other disk there instead (a bind mount will do)."] if links else []


class _Source(io.FileIO):
    """A file that remembers that it could not be read: who reads it may be a library that makes its own of it."""

    failure: OSError | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        try:
            # None is for a pipe that has nothing yet, and a file is no pipe.
            return super().read(-1 if size is None else size) or b""
        except OSError as error:
            self.failure = error
            raise


class _RootError(Exception):
    """One of the four directories can't be looked at; ``told`` says why."""

    def __init__(self, told: MediaError) -> None:
        super().__init__(str(told))
        self.told = told


def _status(path: Path) -> os.stat_result | None:
    """What is at ``path``, a root, itself; None when there is nothing. Raises _RootError when that can't be told."""
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        place = f"Could not read the directory {str(path)!r}"
        raise _RootError(in_words(place, error, "Give it to Synapse's user.")) from error


def _mode(path: Path) -> int:
    """The mode of a root, 0 when there is none. Raises a MediaError when that can't be told."""
    try:
        status = _status(path)
    except _RootError as error:
        raise error.told from error
    return 0 if status is None else status.st_mode


def _fstat(descriptor: int) -> os.stat_result:
    try:
        return os.fstat(descriptor)
    except OSError as error:
        raise _not_read(error) from error


def _refuse_read_only(directory: Path) -> None:
    what = f"Could not write to {str(directory)!r}"
    try:
        flags = os.statvfs(directory).f_flag
    except OSError as error:
        raise in_words(what, error, RUN_AS) from error
    if flags & os.ST_RDONLY:
        raise in_words(what, OSError(errno.EROFS, os.strerror(errno.EROFS)), RUN_AS)


def _is_directory(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        # ValueError: a path with a null character.
        return False
    except PermissionError as error:
        raise _no_access(path) from error
    except OSError as error:
        what = f"Could not open the media store {str(path)!r}"
        raise in_words(what, error, "", "Check its disk, and that it is mounted.") from error


def _is_directory_itself(path: str) -> bool:
    return stat.S_ISDIR(os.lstat(path).st_mode)


def _not_read(error: OSError) -> LocalFileError:
    return file_error("read", error, "Give it and its directory to Synapse's user.")


def _no_access(path: Path) -> AccessError:
    return AccessError(f"Could not open the media store {str(path)!r}: permission denied. {RUN_AS}")


class _Told(NamedTuple):
    """Who is told of what is no file of Synapse's."""

    failed: Callable[[MediaError], None]
    passed_over: Callable[[PassedOver], None]
    empty: Callable[[str], None]


def _passed_over(directory: str, entry: os.DirEntry[str]) -> PassedOver:
    """Say why an entry is not looked at. A link may lead to media that was moved to another disk."""
    path = _printable(f"{directory}/{entry.name}")
    if entry.is_symlink():
        return PassedOver(path, A_LINK, is_problem=True)
    if entry.is_dir(follow_symlinks=False):
        return PassedOver(path, NO_DIRECTORY_OF_SYNAPSE, is_problem=False)
    reason = NO_FILE_OF_SYNAPSE if entry.is_file(follow_symlinks=False) else NO_REGULAR_FILE
    return PassedOver(path, reason, is_problem=False)


def _printable(path: str) -> str:
    """A path for a message: bytes that are no UTF-8, and characters that move the cursor, are spelt out."""
    text = os.fsencode(path).decode(errors="backslashreplace")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


_IS_DIRECTORY = methodcaller("is_dir", follow_symlinks=False)
_IS_FILE = methodcaller("is_file", follow_symlinks=False)


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _name_with_slash(entry: os.DirEntry[str]) -> str:
    """A directory's place: "a/b" sorts after "a-b". All that is Synapse's is ASCII, so that text sorts as bytes do."""
    return f"{entry.name}/"


def _seen(path: str, status: os.stat_result) -> LocalFile:
    return LocalFile(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)


def _check_unchanged(file: LocalFile, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise FileChangedError(file.path)
    now = _seen(file.path, status)
    if now == file:
        return
    how = next((text for name, text in _CHANGES.items() if getattr(now, name) != getattr(file, name)), None)
    if how is not None:
        raise FileChangedError(file.path, how)
    # What takes a file's place has another change time: here the file system tells a file by another number each time.
    raise LocalFileError(_NO_LASTING_NUMBERS, concerns_all=True)
