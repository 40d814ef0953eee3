# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of the last runs and the next one, from what the runs wrote down and from what systemd knows.

Systemd forgets with each reboot; but it alone knows of a run that ended before the program began, and who ended it.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

_EXIT_STATUSES = {
    0: "all done",
    1: "not all done",
    2: "wrong usage",
    69: "bucket, database or media store not available",
    75: "another run held the lock",
    77: "no permission",
    78: "wrong configuration",
}
# What systemd calls the end of a service that it ended itself, or saw ended
_RESULTS = {
    "timeout": "cut off by the time limit of its unit",
    "oom-kill": "killed, because memory ran out",
    "signal": "killed",
    "core-dump": "crashed",
}
_STOPPED = {
    128 + signal.SIGINT: "stopped with Ctrl+C",
    128 + signal.SIGTERM: "stopped by an administrator, or with the host",
}
_KILLED = "2"  # CLD_KILLED, in ExecMainCode
_UNDER_WAY = ("activating", "active", "deactivating", "reloading")
# Between systemd's start of the service and the program's own beginning; in seconds.
_START_TIME = 120
_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


@dataclass(frozen=True)
class RunRecord:
    """One run. Times in seconds since 1970; ``ended`` and ``exit_status`` are None for one that did not end, or has not
    yet: ``is_running`` tells which. ``counts``: name -> files and bytes. ``facts``: what it has found out of the
    bucket. ``result``: what systemd calls its end, if it tells more.
    """

    command: str
    began: float
    ended: float | None = None
    exit_status: int | None = None
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    facts: Sequence[str] = ()
    is_running: bool = False
    result: str = ""

    @property
    def outcome(self) -> str:
        """How it ended, in a word: as systemd says it, or "running", "stopped" and "unknown"."""
        if self.is_running:
            return "running"
        if self.result in _RESULTS:
            return self.result
        if self.exit_status is None:
            return "unknown"
        if self.exit_status in _STOPPED:
            return "stopped"
        return "exit-code" if self.exit_status else "success"

    def as_json(self) -> Mapping[str, Any]:
        """The object that ``--json`` prints."""
        return {
            "command": self.command,
            "began": self.began,
            "ended": self.ended,
            "outcome": self.outcome,
            "exit_code": self.exit_status,
            "counts": dict(self.counts),
        }


def known_runs(
    recorded: Sequence[RunRecord], service: Mapping[str, str], count: int = 10, command: str = "migrate"
) -> list[RunRecord]:
    """The last ``count`` runs, newest first: those that were written down, and systemd's last, if it is another.

    ``service`` are the properties of the nightly run's unit, which runs ``command``.
    """
    runs = sorted(recorded, key=lambda run: run.began, reverse=True)
    last = _last_of_systemd(service, command)
    if last is not None:
        # The first of them: one that was begun by hand meanwhile met the lock.
        same = next((number for number, run in reversed(list(enumerate(runs))) if _is_same(run, last)), None)
        if same is None:
            runs.append(last)
        elif not runs[same].is_running and last.result:
            runs[same] = replace(runs[same], result=last.result)
    return sorted(runs, key=lambda run: run.began, reverse=True)[:count]


def _last_of_systemd(service: Mapping[str, str], command: str) -> RunRecord | None:
    began, ended = (_time(service.get(f"ExecMain{what}Timestamp", "")) for what in ("Start", "Exit"))
    if began is None:
        return None
    if service.get("ActiveState") in _UNDER_WAY and (ended is None or ended < began):
        return RunRecord(command, began, is_running=True)
    if ended is None:
        return None
    status = int(service.get("ExecMainStatus", "0"))
    if service.get("ExecMainCode", "1") >= _KILLED:
        # Then the status is the number of the signal.
        status += 128
    return RunRecord(command, began, ended, status, result=service.get("Result", ""))


def _is_same(run: RunRecord, last: RunRecord) -> bool:
    """Whether the program's own beginning falls into systemd's last run."""
    latest = last.began + _START_TIME if last.ended is None else last.ended
    return run.command == last.command and last.began - 1 <= run.began <= latest + 1


def run_lines(
    recorded: Sequence[RunRecord], service: Mapping[str, str], timer: Mapping[str, str], now: float, count: int = 5
) -> list[str]:
    """The lines on the last runs and the next one, for a person; ``now`` in seconds since 1970.

    ``service`` and ``timer`` are what systemd says of the nightly run's units, empty where it can't be asked.
    """
    known = known_runs(recorded, service, len(recorded) + 1)
    # The last migration is told also where more recent runs by hand, such as of restore, would hide it.
    last = next((run for run in known if run.command == "migrate"), None)
    lines = [f"    {_line(run, now)}" for number, run in enumerate(known) if number < count or run is last]
    head = "  Last runs:" if lines else "  Last runs: none is known"
    return [head, *lines, f"  Next run: {_next(known, timer, now)}"]


def runs_as_json(
    recorded: Sequence[RunRecord], service: Mapping[str, str], timer: Mapping[str, str]
) -> Mapping[str, Any]:
    """The same for ``--json``: ``runs``, newest first, the last that has ended, and the next."""
    runs = known_runs(recorded, service)
    ended = next((run for run in runs if not run.is_running), None)
    return {
        "runs": [run.as_json() for run in runs],
        "running": any(run.is_running for run in runs),
        "last_run": ended and _text(ended.began if ended.ended is None else ended.ended),
        "last_result": ended and ended.outcome,
        "last_exit_code": ended and ended.exit_status,
        "next_run": timer.get("NextElapseUSecRealtime"),
    }


def _line(run: RunRecord, now: float) -> str:
    if run.is_running:
        return f"{_text(run.began)}: {run.command} is running, for {_duration(now - run.began)}"
    if run.ended is None:
        end = _RESULTS.get(run.result, "killed, or the host went down")
        return f"{_text(run.began)}: {run.command} did not end: {end} ({_duration(now - run.began)} ago)"
    took = f"after {_duration(run.ended - run.began)}, {_duration(now - run.ended)} ago"
    counts = [f"{name.replace('_', ' ')} {count['files']:,}" for name, count in run.counts.items() if count["files"]]
    return f"{_text(run.began)}: {run.command} ended: {_end(run)} ({took})" + (
        f"; {', '.join(counts)}" if counts else ""
    )


def _end(run: RunRecord) -> str:
    status = run.exit_status or 0
    if run.result in _RESULTS:
        return _RESULTS[run.result]
    if status in _STOPPED:
        return _STOPPED[status]
    words = _EXIT_STATUSES.get(status, "see its journal")
    return words if status == 0 else f"{words}, exit status {status}"


def _next(runs: Sequence[RunRecord], timer: Mapping[str, str], now: float) -> str:
    if not timer:
        return "not known: systemd can't be asked here"
    following = _time(timer.get("NextElapseUSecRealtime", ""))
    if following is not None and following >= now:
        return f"{_text(following)} (in {_duration(following - now)})"
    if timer.get("ActiveState") == "active":
        is_running = any(run.is_running for run in runs)
        return "by the timer, when the one under way has ended" if is_running else "by the timer, at once"
    return "not scheduled: its timer does not run"


def _time(text: str) -> float | None:
    """Seconds since 1970 of ``Wed 2026-11-25 14:53:09 UTC``; None where systemd has no time to tell."""
    try:
        return (
            datetime.strptime(text.partition(" ")[2], "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=timezone.utc).timestamp()
        )
    except ValueError:
        return None


def _text(seconds: float) -> str:
    """As systemd writes it."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    # Not by strftime: the day's name would be one of the locale.
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[moment.weekday()]
    return f"{day} {moment:%Y-%m-%d %H:%M:%S} UTC"


def _duration(seconds: float) -> str:
    for length, unit in _UNITS:
        if seconds >= length * (1 if unit == "second" else 2):
            number = round(seconds / length)
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return "less than a second"
