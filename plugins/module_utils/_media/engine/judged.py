# SPDX-License-Identifier: GPL-3.0-or-later
"""What was found of a file -> its verdict, in words for the operator."""

from __future__ import annotations

from ..rules.media_path import Root
from ..rules.verdict import REASONS, Case, Copy, Reason, Row, Verdict, copy_of, judge, worst
from .look import Facts, Found, Item, listed
from .summary import Outcome
from .verification import LENGTH_ONLY, VerifyStep

_ROOTS = {root.value: root for root in Root}
_STEPS = {verdict: next(step for step in VerifyStep if step.key == verdict.value) for verdict in Verdict}


def outcome_of(item: Item, facts: Facts, *, dynamic: bool, alone: bool, deep: bool) -> Outcome:
    """The verdict on a file of which the database gives the length. See `Case` for ``dynamic`` and ``alone``."""
    root = _ROOTS[item.path.partition("/")[0]]
    stored = worst(tuple(found.copy for found in facts.stored))
    case = Case(root, Row.COMPLETE, facts.local.copy, stored, facts.original, dynamic, alone)
    verdict, reason = judge(case)
    size = next((found.size for found in facts.found if found.copy is Copy.RIGHT and found.size is not None), None)
    if verdict.is_well:
        text, why = "", LENGTH_ONLY if deep and not any(found.is_proven for found in facts.found) else reason.value
    else:
        text, why = _words(item, verdict, reason, facts), reason.value
    bytes_ = min(item.row.lengths) if size is None else size
    return Outcome(item.path, bytes_, frozenset({_STEPS[verdict]}), text, why, answered=True)


def step_of_well(item: Item, *, alone: bool) -> VerifyStep | None:
    """Where a file is that is well by the listings; None when it is not.

    As `outcome_of`, by the same table, but without a word: this is asked of every file.
    """
    lengths, file = item.row.lengths, item.file
    local = Copy.NONE if file is None else copy_of(lengths, file.size)
    stored = worst(tuple([listed(lengths, remote) for remote in item.objects]))
    verdict, _unused = judge(Case(_ROOTS[item.path.partition("/")[0]], Row.COMPLETE, local, stored, alone=alone))
    return _STEPS[verdict] if verdict.is_well else None


def _words(item: Item, verdict: Verdict, reason: Reason, facts: Facts) -> str:
    text = REASONS[reason]
    if verdict is Verdict.MISSING:
        return f"{text}; the local disk has it." if facts.is_on_disk else f"{text}."
    named = _named(facts)
    wrong = [
        f"{name} has {found.size:,} bytes"
        for name, found in named
        if found.copy in (Copy.EMPTY, Copy.OTHER_LENGTH) and found.size is not None
    ]
    if wrong:
        lengths = " or ".join(f"{length:,}" for length in sorted(item.row.lengths))
        text += f" ({', '.join(wrong)}; the database gives {lengths})"
    if all(found.copy is not Copy.DIFFERENT for found in facts.found):
        right = [name for name, found in named if found.copy is Copy.RIGHT]
        text += (
            f"; {' and '.join(right)} {'are' if len(right) > 1 else 'is'} right"
            if right
            else _NONE_LEFT[reason is Reason.EXPIRING]
        )
    said = next((found.said for found in facts.found if found.said), "")
    return f"{text}. {said}".rstrip()


# By whether the one that will be deleted is right until then.
_NONE_LEFT = {False: "; no right copy is left", True: "; no other right copy is there"}


def _named(facts: Facts) -> list[tuple[str, Found]]:
    if len(facts.stored) == 1:
        return [("the local file", facts.local), ("the object", facts.stored[0])]
    stored = [(f"the object of S3 provider {number}", found) for number, found in enumerate(facts.stored, 1)]
    return [("the local file", facts.local), *stored]
