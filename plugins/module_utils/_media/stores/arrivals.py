# SPDX-License-Identifier: GPL-3.0-or-later
"""Files on their way into the media store: written aside, and given their name when they are complete.

They are written in a directory of the program's own, ``.restore``, which is on the same mount as the file's place: in
the media store itself or, where one of the directories below is a mount of its own, in that one. Nothing of Synapse's
begins with a dot there, so neither Synapse nor `MediaStore.scan` takes it for media. It is removed when it is empty;
what a run that was killed has left in it, the next one removes, by the names that it gives. Only under the run's lock.

No path is followed through a symbolic link below the media store.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from threading import Lock
from typing import NamedTuple

from ..rules.errors import MediaError, UnavailableError
from ..rules.media_path import Root
from .directories import (
    DIRECTORY,
    hold_open,
    is_there_in,
    mount_of,
    names_in,
    open_if_there,
    remove_tree,
    sync_file_system,
    unlink_quietly,
)
from .disk_errors import RUN_AS, LocalFileError, file_error, in_words
from .media_store import LocalFile, MediaStore
from .new_file import sync_names
from .open_directories import OpenDirectories
from .rename import NOT_SUPPORTED, rename_exchange, rename_new

_ASIDE = ".restore"
# In it: directories that are missing, with the file in them, which get their place together.
_TREE = ".tree"
# In it for a moment: a file to see what owner and mode it has.
_TRIAL = "trial"
# The names of all that is ever made in it.
_OWN = re.compile(rf"[0-9a-f]{{32}}(?P<tree>{re.escape(_TREE)})?|{_TRIAL}(-[0-9a-f]{{16}})?")
# Synapse, or another thread, makes the same directories.
_TRIES = 5
# Where a repair keeps what was damaged: below it as below the media store.
KEPT = ".restore-damaged"
# So many names are synced at once.
_UNSYNCED = 2000
_NO_NEW_NAME = (
    "Could not restore the file: its file system has neither hard links nor a rename that replaces nothing (renameat2),"
    " so that a file of Synapse's could be lost. Restore to a directory on a disk of this host."
)
_NO_EXCHANGE = (
    "Could not repair the local file: its file system can't exchange two files in one step (renameat2). Move the"
    " damaged file out of the media store, and run this without --repair."
)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class DiskFullError(MediaError):
    """The disk takes no more, or is not to take more."""


class Disk(NamedTuple):
    """A file system: its ``st_dev``, and the topmost directory of the media store that is on it."""

    device: int
    path: str

    def usage(self) -> tuple[int, int]:
        """The bytes of the whole, and those that a file may still take. Raises a MediaError."""
        try:
            status = os.statvfs(self.path)
        except OSError as error:
            raise in_words(f"Could not see how much space is left on {self.path!r}", error, RUN_AS) from error
        return status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize


class _Place(NamedTuple):
    """Where files of one mount are written aside: the open directory, and the disk that it is on.

    ``gives``: whether a new file there has the owner and the mode that it is to have.
    """

    aside: int
    disk: Disk
    gives: bool


class Arrivals:
    """The files that come into ``media``, for many threads at once.

    They and the directories that are made for them get the owner and the mode of the media store's directory, the
    files without the right to be executed; where the file system, or who runs this, has no say in that, they stay
    without.
    """

    def __init__(self, media: MediaStore) -> None:
        self._path = str(media.path)
        self._lock = Lock()
        self._held = ExitStack()
        self._directories = OpenDirectories(self._path)
        # By the device and the mount: a bind mount has the device of another.
        self._places: dict[tuple[int, bytes], _Place] = {}
        # So many names were given that a power failure may still take.
        self._unsynced = 0
        self._is_closed = False
        self.kept = 0
        with _in_words("open the media store for"):
            status = media.path.stat()
        self._owner = (status.st_uid, status.st_gid)
        self._directory_mode = stat.S_IMODE(status.st_mode)
        self._file_mode = self._directory_mode & 0o666
        self._began = self._identities()

    def disk_of(self, path: str) -> Disk:
        """The disk that a file of this path comes to. Changes nothing. Raises a MediaError."""
        with _in_words("find the place of"), ExitStack() as held:
            components = path.split("/")
            return self._disk(components, self._walk(components, held))

    def clear(self) -> None:
        """Remove what an earlier run, that was killed, has left. Raises a MediaError."""
        for directory in ("", *(root.value for root in Root)):
            with _in_words("remove what an earlier run left beside"), ExitStack() as held:
                walked = self._walk([directory, "file"] if directory else ["file"], held)
                aside = open_if_there(_ASIDE, walked[-1], held)
                if aside is not None:
                    _empty(aside)
                    with suppress(OSError):
                        os.rmdir(_ASIDE, dir_fd=walked[-1])

    def sync(self) -> None:
        """See that the names that were given outlast a power failure, and are still those. Raises a MediaError.

        For many at once: to sync the directories of each file costs several times what the file itself does.
        """
        with self._lock:
            self._unsynced = 0
            places = [] if self._is_closed else list(self._places.values())
        with _in_words("write"):
            for place in places:
                sync_file_system(place.aside)
        now = self._identities()
        for path, identity in self._began.items():
            # What is open stays so when it is unmounted: files would go on to arrive where nobody finds them.
            if now.get(path) != identity:
                raise UnavailableError(
                    f"Could not see that what was restored is in its place: {path!r} is no longer the directory that it"
                    " was. Check that its disk is mounted, and run this again."
                )

    def _identities(self) -> Mapping[str, tuple[int, int]]:
        """The media store and Synapse's directories in it, as far as they are there, by device and inode."""
        found = {}
        for path in (self._path, *(f"{self._path}/{root.value}" for root in Root)):
            with _in_words("find the place of"), suppress(FileNotFoundError, NotADirectoryError):
                status = Path(path).stat()
                found[path] = status.st_dev, status.st_ino
        return found

    def _note_name(self) -> None:
        with self._lock:
            self._unsynced += 1
            is_enough = self._unsynced >= _UNSYNCED
        if is_enough:
            self.sync()

    def close(self) -> None:
        """Remove the directories of the program's own. What is still under way after a stop gets no name any more."""
        with self._lock:
            self._is_closed = True
            places, self._places = self._places, {}
        self._directories.forget()
        for place in places.values():
            with suppress(OSError):
                # One that is not empty is for the next run.
                Path(place.disk.path, _ASIDE).rmdir()
        self._held.close()

    @contextmanager
    def new(self, path: str) -> Iterator[Arrival]:
        """Begin a file that is to have this path. What was written is gone at the end, unless it got its name.

        Raises DiskFullError, and LocalFileError for what else the disk says.
        """
        with ExitStack() as held:
            with _in_words("write"):
                place = self._place(path)
                name = hashlib.sha256(path.encode()).hexdigest()[:32]
                descriptor = _create(name, place.aside, self._file_mode)
                held.callback(unlink_quietly, name, place.aside)
                held.callback(os.close, descriptor)
            yield Arrival(self, path, place, name, descriptor)

    @contextmanager
    def trial(self, path: str) -> Iterator[str]:
        """A small file aside on the disk that a file of this path would come to, for as long as this lasts.

        Gives its path below the media store. Raises as `new`.
        """
        name = f"{_TRIAL}-{token_hex(8)}"
        with ExitStack() as held:
            with _in_words("write"):
                place = self._place(path)
                descriptor = _create(name, place.aside, self._file_mode)
                held.callback(unlink_quietly, name, place.aside)
                try:
                    os.write(descriptor, name.encode())
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            below = place.disk.path.removeprefix(self._path).lstrip("/")
            yield "/".join(filter(None, [below, _ASIDE, name]))

    def _place(self, path: str) -> _Place:
        components = path.split("/")
        key = self._directories.deepest(components[:-1])[0].mount
        if not self._is_closed and key in self._places:
            return self._places[key]
        with self._lock, ExitStack() as held:
            if self._is_closed:
                raise OSError(errno.ECANCELED, "the run has ended")
            walked = self._walk(components, held)
            key = mount_of(walked[-1])
            if key not in self._places:
                self._places[key] = self._make_place(self._disk(components, walked))
            return self._places[key]

    def _make_place(self, disk: Disk) -> _Place:
        top = os.open(disk.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with suppress(FileExistsError):
                os.mkdir(_ASIDE, 0o700, dir_fd=top)
            aside = hold_open(_ASIDE, self._held, top)
            _empty(aside)
        finally:
            os.close(top)
        return _Place(aside, disk, self._is_given(aside))

    def _is_given(self, aside: int) -> bool:
        """Whether a file that is made there has its owner and mode at once, which spares two calls for each."""
        descriptor = _create(_TRIAL, aside, self._file_mode)
        try:
            found = os.fstat(descriptor)
        finally:
            os.close(descriptor)
            os.unlink(_TRIAL, dir_fd=aside)
        return ((found.st_uid, found.st_gid), stat.S_IMODE(found.st_mode)) == (self._owner, self._file_mode)

    def _disk(self, components: list[str], walked: list[int]) -> Disk:
        """The topmost of these directories, each in the one before it, that is on the mount of the last one."""
        mount = mount_of(walked[-1])
        depth = next(number for number, each in enumerate(walked) if mount_of(each) == mount)
        return Disk(mount[0], "/".join([self._path, *components[:depth]]))

    def _walk(self, components: list[str], held: ExitStack) -> list[int]:
        """Open the media store, and the directories on the way to a file in it, as far as they are there."""
        walked = [hold_open(self._path, held, flags=DIRECTORY & ~os.O_NOFOLLOW)]
        with suppress(FileNotFoundError):
            for name in components[:-1]:
                walked.append(hold_open(name, held, walked[-1]))
        return walked

    def _make_directory(self, name: str, parent: int, held: ExitStack) -> int:
        os.mkdir(name, 0o700, dir_fd=parent)
        made = hold_open(name, held, parent)
        self._give(made, self._directory_mode)
        return made

    def _give(self, descriptor: int, mode: int) -> None:
        # The owner first: to change it takes away some of the mode.
        with suppress(OSError):
            os.fchown(descriptor, *self._owner)
        with suppress(OSError):
            os.fchmod(descriptor, mode)


class Arrival:
    """One file, to be written from its start to its end."""

    def __init__(self, arrivals: Arrivals, path: str, place: _Place, name: str, descriptor: int) -> None:
        self._arrivals = arrivals
        self._path = path
        self._place = place
        self._name = name
        self._descriptor = descriptor

    @property
    def disk(self) -> Disk:
        return self._place.disk

    def write(self, data: bytes) -> None:
        with _in_words("write"):
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]

    def take_name(self, modified_ns: int) -> None:
        """Give the file its name; FileExistsError if there is something of that name by now, which stays.

        It outlasts a power failure when this returns; its name after `Arrivals.sync`, which is called now and then.
        """
        with _in_words("write"):
            self._complete(modified_ns)
            tries = 1
            while not self._try_to_take_name(is_last=tries == _TRIES):
                tries += 1
            self._arrivals._note_name()

    def _try_to_take_name(self, *, is_last: bool) -> bool:
        """Link the file into its directory; False where somebody else has made, or removed, that just now."""
        *names, name = self._path.split("/")
        directory, depth = self._arrivals._directories.deepest(names)
        try:
            if depth < len(names):
                return self._move_tree(names[depth:], name, directory.descriptor)
            self._link(name, directory.descriptor)
        except FileNotFoundError:
            if is_last:
                raise
            self._arrivals._directories.forget()
            return False
        return True

    def _move_tree(self, missing: list[str], name: str, directory: int) -> bool:
        """Give the directories that are missing their place, with the file in them: complete for whoever meets them.

        An empty directory of Synapse's that is there by now is replaced. False where one is not empty.
        """
        aside, tree = self._place.aside, f"{self._name}{_TREE}"
        try:
            with ExitStack() as held:
                made = aside
                for each in (tree, *missing[1:]):
                    made = self._arrivals._make_directory(each, made, held)
                self._link(name, made)
            os.rename(tree, missing[0], src_dir_fd=aside, dst_dir_fd=directory)
        except OSError as error:
            if not is_there_in(self._name, aside):
                # Without hard links the file is in the tree.
                os.rename("/".join((tree, *missing[1:], name)), self._name, src_dir_fd=aside, dst_dir_fd=aside)
            with suppress(FileNotFoundError):
                remove_tree(tree, aside)
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return False
            raise
        return True

    def replace(self, file: LocalFile, modified_ns: int) -> bool:
        """Put the file into the place of ``file``, which is kept; False if that is not as it was seen any more.

        At each moment all of one or all of the other is there. What was there is below `KEPT` on the same disk then.
        """
        with _in_words("replace"), ExitStack() as held:
            self._complete(modified_ns)
            components = self._path.split("/")
            walked = self._arrivals._walk(components, held)
            name, directory = components[-1], walked[-1]
            if len(walked) < len(components) or _seen(self._path, name, directory) != file:
                return False
            kept, free = self._room_to_keep(components, held)
            is_replaced = False
            try:
                # First to where the other is to be kept, so that this is done when they have changed places.
                rename_new(self._name, free, self._place.aside, kept)
                rename_exchange(free, name, kept, directory)
                is_replaced = _is_same(_seen(self._path, free, kept), file)
                if not is_replaced:
                    # Somebody has put another one there just then: back.
                    rename_exchange(free, name, kept, directory)
            except FileNotFoundError:
                return False
            except OSError as error:
                if error.errno in NOT_SUPPORTED:
                    raise LocalFileError(_NO_EXCHANGE) from error
                raise
            finally:
                if not is_replaced and self._is_own(free, kept):
                    os.unlink(free, dir_fd=kept)
            sync_names(directory)
            sync_names(kept)
        if is_replaced:
            with self._arrivals._lock:
                self._arrivals.kept += 1
        return is_replaced

    def _room_to_keep(self, components: list[str], held: ExitStack) -> tuple[int, str]:
        """The directory where a file of this path is kept, made if need be, and a free name in it."""
        kept = hold_open(self.disk.path, held, flags=DIRECTORY & ~os.O_NOFOLLOW)
        for name in (KEPT, *components[:-1]):
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=kept)
                sync_names(kept)
            kept = hold_open(name, held, kept)
        name, taken, number = components[-1], names_in(kept), 0
        while (free := f"{name}.{number}" if number else name) in taken:
            number += 1
        return kept, free

    def _is_own(self, name: str, directory: int) -> bool:
        """Whether what has this name is the file that has arrived."""
        with suppress(FileNotFoundError):
            own, found = os.fstat(self._descriptor), os.stat(name, dir_fd=directory, follow_symlinks=False)
            return (own.st_dev, own.st_ino) == (found.st_dev, found.st_ino)
        return False

    def _complete(self, modified_ns: int) -> None:
        with suppress(OSError):
            os.utime(self._descriptor, ns=(modified_ns, modified_ns))
        if not self._place.gives:
            self._arrivals._give(self._descriptor, self._arrivals._file_mode)
        os.fsync(self._descriptor)

    def _link(self, name: str, directory: int) -> None:
        if self._arrivals._is_closed:
            raise OSError(errno.ECANCELED, "the run has ended")
        aside = self._place.aside
        try:
            # Unlike a rename, a link replaces nothing.
            os.link(self._name, name, src_dir_fd=aside, dst_dir_fd=directory, follow_symlinks=False)
        except FileExistsError:
            raise
        except OSError as error:
            if error.errno in _FULL:
                raise
            # A file system without hard links has its own word for that: ENOTSUP, EPERM, and EIO from rclone.
            if is_there_in(name, directory):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
            try:
                rename_new(self._name, name, aside, directory)
            except OSError as refused:
                if refused.errno in NOT_SUPPORTED:
                    raise LocalFileError(_NO_NEW_NAME, concerns_all=True) from refused
                raise


def _is_same(found: LocalFile | None, file: LocalFile) -> bool:
    """Whether a file that has another name by now is the one that was seen: a rename may change the inode's time."""
    return found is not None and found._replace(path=file.path, changed_ns=0) == file._replace(changed_ns=0)


@contextmanager
def _in_words(verb: str) -> Iterator[None]:
    """Raise what the system said in an administrator's words; that a file is there is for the caller."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFullError(
                f"Could not write any more: {error.strerror}. Free some space (and inodes: df -i), and run this again:"
                " what was restored stays."
            ) from error
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise LocalFileError(
                f"Could not {verb} the local file: a symbolic link, or a file, is where its directory should be."
                " Nothing is written through a link: mount the other disk there instead."
            ) from error
        raise file_error(verb, error, RUN_AS) from error


def _empty(directory: int) -> None:
    """Remove what is ours by its name and its kind; what somebody else has put there stays."""
    for name in names_in(directory):
        match = _OWN.fullmatch(name)
        if match is None or stat.S_ISDIR(os.lstat(name, dir_fd=directory).st_mode) != bool(match["tree"]):
            continue
        if match["tree"]:
            remove_tree(name, directory)
        else:
            os.unlink(name, dir_fd=directory)


def _create(name: str, directory: int, mode: int) -> int:
    """Make a new file, in place of one that was left there. Nobody else gets into the directory."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(name, flags, mode, dir_fd=directory)
    except FileExistsError:
        os.unlink(name, dir_fd=directory)
        return os.open(name, flags, mode, dir_fd=directory)


def _seen(path: str, name: str, directory: int) -> LocalFile | None:
    try:
        found = os.lstat(name, dir_fd=directory)
    except FileNotFoundError:
        return None
    times = (found.st_mtime_ns, found.st_ctime_ns)
    return LocalFile(path, found.st_size, *times, found.st_ino, found.st_dev)
