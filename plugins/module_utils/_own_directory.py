# SPDX-License-Identifier: GPL-3.0-or-later
"""What in a directory is the caller's, by the names that it gives there, and what is somebody else's."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# How many names a message has.
SHOWN = 3


@dataclass(frozen=True)
class Name:
    """What the caller makes below a directory: the regular expressions of a path's parts.

    ``target`` is that of what a link points to; ``whole`` a directory with all it holds.
    """

    parts: Sequence[str]
    target: str = ""
    whole: bool = False

    def fits(self, path: Path, below: Path) -> bool:
        """Whether ``path``, which is below ``below``, is such a thing. A link is only where one is made."""
        if not self._parts_fit(below.parts) or len(below.parts) != len(self.parts):
            return False
        if path.is_symlink():
            return bool(self.target) and re.fullmatch(self.target, str(path.readlink())) is not None
        return path.is_dir() if self.whole else not self.target and path.is_file()

    def is_below(self, below: Path) -> bool:
        """Whether ``below`` is a directory on the way to it."""
        return len(below.parts) < len(self.parts) and self._parts_fit(below.parts)

    def _parts_fit(self, parts: Sequence[str]) -> bool:
        return all(re.fullmatch(wanted, part) for wanted, part in zip(self.parts, parts, strict=False))


def parse_name(text: str) -> Name:
    """An item of the option ``names``."""
    path, _unused, target = text.partition(" -> ")
    return Name(path.rstrip("/").split("/"), target, whole=path.endswith("/"))


@dataclass(frozen=True)
class OwnDirectory:
    """A directory that the caller makes: the options of the same names of the module ``own_places`` tell what is what.

    ``proof`` is a file's name, ``named`` a name that makes the directory the caller's, whatever else it holds.
    """

    path: Path
    names: Sequence[Name]
    proof: str = ""
    named: str = ""
    variable: str = ""

    def is_own(self, content: Content) -> bool:
        """Whether it is the caller's: by its name or with its proof it is, whatever else is there."""
        has_proof = bool(self.proof) and self.path / self.proof in content.own
        return not content.foreign or self.path.name == self.named or has_proof


@dataclass
class Content:
    """What a directory holds. ``own``: path -> whether it goes with all that it holds, each after what it holds.

    ``foreign`` names whole trees by their top.
    """

    own: dict[Path, bool] = field(default_factory=dict)
    foreign: list[Path] = field(default_factory=list)


def look(directory: OwnDirectory) -> Content:
    """Tell apart what it holds. A directory on the way to a name is the caller's if all it holds is."""
    content = Content()
    _look_into(directory.path, directory.path, directory.names, content)
    return content


def _look_into(directory: Path, top: Path, names: Sequence[Name], content: Content) -> None:
    for path in sorted(directory.iterdir()):
        below = path.relative_to(top)
        if fitting := [name for name in names if name.fits(path, below)]:
            content.own[path] = fitting[0].whole
        elif path.is_dir() and not path.is_symlink() and any(name.is_below(below) for name in names):
            foreign_before = len(content.foreign)
            _look_into(path, top, names, content)
            if len(content.foreign) == foreign_before:
                content.own[path] = False
        else:
            content.foreign.append(path)


def directory_problems(directory: OwnDirectory) -> list[str]:
    """Why the directory can't be the caller's."""
    top = directory.path
    try:
        content = look(directory)
    except FileNotFoundError:
        return []
    except OSError as error:
        cause = f"it can't be looked into: {error.strerror}"
    else:
        if directory.is_own(content):
            return []
        cause = f"it holds {_in_words(content.foreign, top)}, which this role has not put there"
    advice = "Give a directory that is this role's alone; it need not exist"
    variable = directory.variable or "the directory of this role"
    return [f"Could not use {str(top)!r} as {variable}: {cause}. {advice}."]


def removal(directory: OwnDirectory) -> Content:
    """What goes, and what stays; the proof goes last, so that a removal that is interrupted can go on."""
    top = directory.path
    try:
        content = look(directory)
    except (FileNotFoundError, NotADirectoryError):
        return Content()
    if not directory.is_own(content):
        return Content(foreign=content.foreign)
    own = dict(sorted(content.own.items(), key=lambda item: item[0] == top / directory.proof))
    if not content.foreign and not top.is_symlink():
        own[top] = False
    return Content(own, content.foreign)


def remove(own: Mapping[Path, bool]) -> None:
    """Remove what is the caller's. A directory that is no longer empty stays; `shutil.rmtree` goes through no link."""
    for path, whole in own.items():
        if path.is_symlink() or not path.is_dir():
            path.unlink()
        elif whole:
            shutil.rmtree(path)
        else:
            path.rmdir()


def _in_words(paths: Sequence[Path], top: Path) -> str:
    """The first few names."""
    shown = ", ".join(repr(str(path.relative_to(top))) for path in paths[:SHOWN])
    return shown if len(paths) <= SHOWN else f"{shown} and {len(paths) - SHOWN} more"
