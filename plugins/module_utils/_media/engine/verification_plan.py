# SPDX-License-Identifier: GPL-3.0-or-later
"""What one ``verify`` is to look at."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..rules.media_path import Root
from ..rules.sample import Sample
from .run import Endurance

# So many files that the listings do not show to be well are looked at again, each by itself: migrate may have moved
# them meanwhile. Of further ones the listings are believed.
_LOOKED_AGAIN = 10_000
# Up to this part of all media is looked at file by file: a page of a listing costs as much as some hundred questions.
_FEW = 0.1


@dataclass(frozen=True)
class VerificationPlan:
    """What to look at.

    ``sample``: of all media, by chance; ``origin``: only that server's; ``is_own``: which is this one. ``alone``: one
    bucket is asked whether it is whole. ``dynamic``: Synapse's ``dynamic_thumbnails``. ``workers``: files looked at at
    once; None: found by trying. ``salt`` makes each run draw other media.
    """

    deep: bool = False
    sample: Sample | None = None
    origin: str | None = None
    is_own: bool = False
    alone: bool = False
    dynamic: bool = False
    workers: int | None = None
    salt: bytes = b""
    looked_again: int = _LOOKED_AGAIN
    endurance: Endurance = field(default_factory=Endurance)

    @property
    def one_by_one(self) -> bool:
        """Whether no side is listed, since few files are looked at."""
        return self.sample is not None and (self.sample.fraction is None or self.sample.fraction <= _FEW)

    def is_of_origin(self, path: str) -> bool:
        """Whether the plan is about what is at this path, as far as the origin tells."""
        return self.origin is None or path.startswith(self._of_origin)

    @property
    def _of_origin(self) -> tuple[str, ...]:
        if self.is_own:
            return tuple(f"{root.value}/" for root in Root if not root.is_remote)
        return tuple(f"{root.value}/{self.origin}/" for root in Root if root.is_remote)

    @property
    def folders(self) -> tuple[str, ...]:
        """What the keys begin with that are to be listed, ascending; all where it is ''."""
        return self._of_origin if self.origin is not None else ("",)
