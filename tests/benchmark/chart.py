# SPDX-License-Identifier: GPL-3.0-or-later
"""The chart of docs/performance.md: files per second of each program at its best, by round trip. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ansible_collections.matrixops.synapse_s3.tests.benchmark.results import OURS, Row

_WIDTH, _LEFT, _RIGHT, _TOP = 760, 180, 150, 48
_BAR, _STEP, _GAP = 18, 24, 40
_OURS, _OTHERS, _INK = "#0b6e4f", "#9aa5b1", "#1f2933"


def draw(rows: Sequence[Row]) -> str:
    """Bars with their numbers and, as a thin line, the spread; all on one scale. Runs on the fast server only."""
    shown = [row for row in rows if row.condition.is_fast_server and not row.equal]
    scale = (_WIDTH - _LEFT - _RIGHT) / max((row.fastest for row in shown), default=1)
    lines, y = [_text(16, 26, "Files per second, into the bucket and off the disk", size=16, weight="bold")], _TOP
    for rtt_ms in sorted({row.condition.rtt_ms for row in shown}):
        y += 18
        lines.append(_text(16, y, f"{rtt_ms} ms added round trip", weight="bold"))
        y += 10
        panel = [row for row in shown if row.condition.rtt_ms == rtt_ms]
        for row in sorted(panel, key=lambda row: -row.files_per_second):
            lines += _bar(row, y, scale)
            y += _STEP
        y += _GAP - _STEP
    return "\n".join([_OPENING.format(width=_WIDTH, height=y), *lines, "</svg>", ""])


_OPENING = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"
     font-family="system-ui, sans-serif" font-size="13">
<rect width="100%" height="100%" fill="white"/>"""


def _bar(row: Row, y: int, scale: float) -> list[str]:
    middle = y + _BAR / 2
    is_ours = row.tool == OURS
    length, least, most = (value * scale for value in (row.files_per_second, row.slowest, row.fastest))
    number = "failed" if row.failed else f"{row.files_per_second:,.0f}"
    return [
        _text(_LEFT - 8, middle + 4.5, row.name, anchor="end", weight="bold" if is_ours else "normal"),
        f'<rect x="{_LEFT}" y="{y}" width="{length:.1f}" height="{_BAR}" fill="{_OURS if is_ours else _OTHERS}"/>',
        f'<line x1="{_LEFT + least:.1f}" x2="{_LEFT + most:.1f}" y1="{middle}" y2="{middle}" stroke="{_INK}"/>',
        _text(_LEFT + max(length, most) + 6, middle + 4.5, number),
    ]


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal", size: int = 13) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} font-size="{size}" font-weight="{weight}" fill="{_INK}">{escape(text)}</text>'
