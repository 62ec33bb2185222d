"""The ledger of a campaign: one JSON line for each round, which later sittings continue.

Called by campaign.py.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from chaos.schedule import Round


@dataclass(frozen=True)
class Entry:
    """What became of one round."""

    seed: int
    round: int
    work: str
    moment: str
    fault: str
    hit: bool
    """Whether the moment came and there was something to hit."""
    outcome: str
    """Phase and reason of the run or restore."""
    seconds_to_come_back: float
    """From the fault until the last service that was down then counted again."""
    longest_down: float
    """The longest time that one service did not count in this round, the fault included."""
    objections: tuple[str, ...] = ()
    """What was not as it must be."""


def append(file: Path, entry: Entry) -> None:
    """Add a line."""
    with file.open("a") as lines:
        lines.write(json.dumps(asdict(entry)) + "\n")


def read(file: Path) -> list[Entry]:
    """Return all lines, the oldest first."""
    if not file.exists():
        return []
    documents = [json.loads(line) for line in file.read_text().splitlines()]
    return [Entry(**(document | {"objections": tuple(document["objections"])})) for document in documents]


def next_round(file: Path, seed: int) -> int:
    """Return the number of the round that comes next with this seed."""
    return max((entry.round + 1 for entry in read(file) if entry.seed == seed), default=0)


def entry(one: Round, **rest: object) -> Entry:
    """Return the line of a round."""
    return Entry(one.seed, one.number, one.work, one.moment, one.fault, **rest)  # type: ignore[arg-type]
