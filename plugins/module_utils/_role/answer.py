# SPDX-License-Identifier: GPL-3.0-or-later
"""What the program answers with ``--json``, as the module ``command`` returns it: ``rc``, ``stdout`` and ``stderr``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Answer = Mapping[str, Any]


def read_answer(answer: Answer) -> Mapping[str, Any]:
    """The JSON object that is the last line of its output, empty where it has not come so far."""
    lines = [line for line in str(answer.get("stdout") or "").splitlines() if line.startswith("{")]
    try:
        told = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return told if isinstance(told, Mapping) else {}


def problems(answer: Answer) -> list[str]:
    """Every problem that it names; where it names none and yet failed, its last words."""
    if answer.get("rc") == 0:
        return []
    told = read_answer(answer)
    named = [str(text) for name in ("problems", "errors") for text in told.get(name) or []]
    return named or [last_words(answer)]


def last_words(answer: Answer) -> str:
    """The last line that it printed of what is the matter, or how it ended."""
    lines = str(answer.get("stderr") or answer.get("msg") or "").strip().splitlines()
    return lines[-1] if lines else f"it ended with status {answer.get('rc')}"
