# SPDX-License-Identifier: GPL-3.0-or-later
"""The columns -> the page docs/compatibility.md. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.matrixops.synapse_s3.tests.compat.results import Cell, Column, Outcome

_WORDS = {Outcome.OK: "ok", Outcome.TOLD: "told", Outcome.LACKS: "not there", Outcome.FAILED: "**fails**"}

_NOT_HAD = "not had"

_HEAD = """\
# S3 servers that this was run against

`make compat` starts each server that can be had on the machine, runs the program, and Synapse's own storage provider
beside it, against it, and writes this page. Each cell is a run. By http and by https where both are there: one word
where both came out alike.

- **ok**: as on Amazon S3. Of the contract suite (`tests/contract`, what the program relies on) all tests passed.
- **told**: the server can't do it, or does it otherwise, and the program says so before any media moves. The number
  leads to what it says.
- **not there**: the server itself refuses what the row needs, so there was nothing to see. The number leads to its
  answer.
- **fails**: the program is at fault.
- **not had**: the server could not be had where this was run; why stands below, among the servers. **not run**: it
  could, and there was no time.

"""

_ROWS = """
What the rows are:

- *preflight*: ends with 0, and leaves nothing behind in the bucket.
- *Synapse's upload and download*: 13 files of 0 bytes to 9 MiB, stored and read by
  synapse-s3-storage-provider; `migrate` takes them as stored.
- *migrate*: uploads the same, and deletes them locally; again with the files put back; an object of other content is
  left as it is, and so is the file. What it, *verify*, *restore*, *purge-orphans* and *copy-bucket* have done is seen
  from outside, by a plain boto3 and by Synapse's provider.
- *SSE-C*: with `sse_customer_key` nobody reads media without the key, or nothing is uploaded. *Switched on later*:
  media was stored without.
- *bucket with versions*: preflight leaves no version and no delete marker; what was deleted is stored again;
  `--delete-versions` leaves nothing.
- *bucket with Object Lock*: with a default retention of one day.
- *names that begin alike*: media of `example.org` and of `example.org.uk`, whose keys come first. `migrate` works;
  `verify` needs a list that is sorted by key.
- *role bucket*: the module `bucket`, as the role calls it where nothing is set, on an empty bucket, twice. The second
  run changes nothing; `preflight`, Synapse's provider and `migrate` work afterwards.
- *key of Synapse's own*: the module `bucket` makes it; Synapse's provider and the program work with it; reading,
  storing and deleting beside the prefix, the bucket's policy, other buckets and new ones are refused it.
- Of the *wrong* settings some servers take any region; then all works. Else nothing moves.
"""


def page(columns: Sequence[Column]) -> str:
    """The whole page. Columns stand in the order given."""
    notes: list[str] = []
    # Where a column is not whole, another gives the order.
    whole = sorted(columns, key=lambda each: -len(each.cells))
    rows = list(dict.fromkeys(row for column in whole for row in column.cells))
    lines = ["| | " + " | ".join(column.name for column in columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for row in rows:
        cells = (_NOT_HAD if column.missing else _cell(column.cells.get(row, {}), notes) for column in columns)
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    text = _HEAD + "\n".join(lines) + "\n"
    if notes:
        text += "\n" + "\n".join(f"{number}. {said}" for number, said in enumerate(notes, 1)) + "\n"
    text += _ROWS + "\n## The servers\n"
    for column in columns:
        if column.missing:
            text += f"\n**{column.name}**, from {column.obtained}: not had on {column.date}. {column.missing}\n"
            continue
        text += f"\n**{column.name}** {column.version}, from {column.obtained}; run on {column.date}.\n"
        text += "".join(f"\n- {note}" for note in column.notes) + ("\n" if column.notes else "")
    return text


def _cell(told: dict[str, Cell] | object, notes: list[str]) -> str:
    assert isinstance(told, dict)
    if not told:
        return "not run"
    words = {scheme: _word(cell, notes) for scheme, cell in told.items()}
    if len(set(words.values())) == 1 and len(words) > 1:
        return next(iter(words.values()))
    return "; ".join(f"{word} ({scheme})" for scheme, word in words.items())


def _word(cell: Cell, notes: list[str]) -> str:
    word = cell.text or _WORDS[cell.outcome]
    if not cell.said:
        return word
    if cell.said not in notes:
        notes.append(cell.said)
    return f"{word} [{notes.index(cell.said) + 1}]"
