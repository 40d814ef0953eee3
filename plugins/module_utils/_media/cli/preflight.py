# SPDX-License-Identifier: GPL-3.0-or-later
"""``preflight``."""

from __future__ import annotations

from ..engine.preflight import check_bucket
from ..engine.preflight_reading import check_reading
from ..engine.progress import waiting
from ..rules.errors import ALL_DONE
from .command import Command, read_sides


def preflight(command: Command) -> int:
    """Try the bucket, and the others that Synapse reads from, and print every problem."""
    sides = read_sides(command)
    notes: list[str] = []
    with waiting(command.stderr, "the bucket"):
        problems = check_bucket(sides.bucket, note=notes.append)
        for number, provider in enumerate(sides.providers, 1):
            if provider != sides.bucket:
                problems += check_reading(provider, number)
    exit_code = problems[0].exit_status if problems else ALL_DONE
    messages = [problem.message for problem in problems]
    good = ["The bucket can be reached, listed, written, read and deleted from."]
    if sides.others:
        good.append("The others that Synapse reads from can be reached, listed and read.")
    text = "\n".join([*(messages or good), *notes])
    as_json = {"command": "preflight", "problems": messages, "notes": notes, "exit_code": exit_code}
    command.print_result(text, as_json)
    return exit_code
