# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of values that a variable can have, and what to say of a value of another kind.

Ansible and YAML turn kinds into each other easily; what arrives wrong is refused here and never converted, so that no
``"false"`` is taken for true.
"""

from __future__ import annotations

from enum import Enum

TRUE_WORDS = frozenset({"true", "yes", "on", "y", "t", "1"})
FALSE_WORDS = frozenset({"false", "no", "off", "n", "f", "0"})


class Kind(Enum):
    """Named as in Ansible's argument specs. A LIST is one of texts; RAW is left to the variable's own rule."""

    BOOLEAN = "bool"
    INTEGER = "int"
    TEXT = "str"
    LIST = "list"
    RAW = "raw"


def kind_problems(kind: Kind, value: object, *, secret: bool = False) -> list[str]:
    """What is wrong with the kind of ``value``. A ``secret`` is described, never shown."""
    if kind is Kind.LIST and isinstance(value, (list, tuple)):
        return [
            f"has a wrong item: item {number} {_describe(item, secret=secret)}, not a text. Write a list of texts."
            for number, item in enumerate(value, start=1)
            if not isinstance(item, str)
        ]
    if kind is Kind.RAW or _is_of_kind(kind, value):
        return []
    if value is None:
        return [f"has no value. {_advice(kind, value)}"]
    return [f"{_describe(value, secret=secret)}, not {_NAMES[kind]}. {_advice(kind, value)}"]


_NAMES = {Kind.BOOLEAN: "true or false", Kind.INTEGER: "a whole number", Kind.TEXT: "a text", Kind.LIST: "a list"}


def _is_of_kind(kind: Kind, value: object) -> bool:
    if kind is Kind.INTEGER:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, {Kind.BOOLEAN: bool, Kind.TEXT: str}.get(kind, list))


def _describe(value: object, *, secret: bool) -> str:
    if value is None:
        return "has no value"
    if isinstance(value, bool):
        return "is a boolean" if secret else f"is {str(value).lower()}"
    if isinstance(value, (int, float)):
        return "is a number" if secret else f"is the number {value}"
    if isinstance(value, str):
        return "is a text" if secret else f"is the text {str(value)!r}"
    if isinstance(value, (list, tuple)):
        return "is a list"
    return "is a mapping" if isinstance(value, dict) else "is something else"


def _advice(kind: Kind, value: object) -> str:
    word = value.strip().lower() if isinstance(value, str) else ""
    if kind is Kind.BOOLEAN and word in TRUE_WORDS | FALSE_WORDS:
        return f"Write {'true' if word in TRUE_WORDS else 'false'} without quotes, and on the command line as JSON."
    if kind is Kind.INTEGER and word.isdecimal():
        return f"Write {word} without quotes, and on the command line as JSON."
    if kind is Kind.TEXT and value is None:
        return "Write '' to leave it empty."
    if kind is Kind.TEXT and isinstance(value, (bool, int, float)):
        return "Put it in quotes."
    if kind is Kind.LIST and isinstance(value, str):
        return "Write each item on a line of its own, after '- '."
    return f"Write {_NAMES[kind]}."
