# SPDX-License-Identifier: GPL-3.0-or-later
"""What was done to try something, or changed in vain, is undone; where that fails, it is told with all else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .._media.rules.errors import MediaError
from .refusals import Unsupported, failure, sentence

_OWNERS = "the key of the bucket's owner"


def not_taken_back(what: str, error: MediaError | Unsupported, problem: str, whose: str = _OWNERS) -> str:
    """That a change could not be taken back, which comes first: by it Synapse may be shut out.

    ``problem``: why it was to be taken back, '' where that was a trial only. ``whose``: by what it can be done.
    """
    told = (
        f"{what} could not be taken back, and is likely still there: change that by hand, with {whose} or in the"
        f" console of the service. {sentence(error)} {problem}"
    )
    return told.rstrip()


def _told_after(error: MediaError | Unsupported, problem: str) -> str:
    return f"{problem} {sentence(error)}".lstrip()


@contextmanager
def undone(
    undo: Callable[[], object], tell: Callable[[MediaError | Unsupported, str], str] = _told_after
) -> Iterator[None]:
    """Undo something after the block, however that ends.

    ``tell``: what is told where that fails, from why, and from what the block failed with, '' for nothing.

    :raises MediaError: it could not be undone; of the kind of what failed first.
    """
    try:
        yield
    except (MediaError, Unsupported) as error:
        if left := failure(undo):
            raise _alike(error, tell(left, sentence(error))) from error.__cause__
        raise
    except BaseException:
        undo()
        raise
    if left := failure(undo):
        raise _alike(left, tell(left, "")) from left.__cause__


def _alike(error: MediaError | Unsupported, text: str) -> MediaError:
    """What is left behind is a failure, also where the service does not implement something."""
    return error.__class__(text) if isinstance(error, MediaError) else MediaError(text)
