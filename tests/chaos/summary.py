"""What the ledger says, as the tables of docs/reliability.md: `python -m chaos.summary` writes them anew.

Called by hand after a sitting; tests/unit/chaos/test_summary.py compares page and ledger.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from chaos import ledger
from chaos.ledger import Entry

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- written from the ledger -->\n", "<!-- end of what is written from the ledger -->"


def tables(entries: Sequence[Entry]) -> str:
    """Return the whole in Markdown."""
    if not entries:
        return "No round was played yet.\n"
    hit = [one for one in entries if one.hit]
    seeds = sorted({one.seed for one in entries})
    lines = [
        f"{len(entries)} rounds, {len(hit)} of which the fault hit, with {_listed(seeds)}.",
        "",
        "| fault | rounds | hit | back within: median | worst | objections |",
        "|---|---|---|---|---|---|",
        *(_row(fault, [one for one in entries if one.fault == fault]) for fault in sorted({e.fault for e in entries})),
        "",
        "| work | rounds | outcomes |",
        "|---|---|---|",
        *(_work(work, [one for one in entries if one.work == work]) for work in sorted({e.work for e in entries})),
        "",
        *_objections(entries),
    ]
    return "\n".join(lines) + "\n"


def written(page: str, entries: Sequence[Entry]) -> str:
    """Return a page with its tables written anew. Raise ValueError when it has no place for them."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError("the page has no place for the tables")
    return f"{before}{BEGIN}\n{tables(entries)}\n{END}{after}"


def _row(fault: str, entries: Sequence[Entry]) -> str:
    # What was struck before or after the window has nothing to bring back.
    back = [one.seconds_to_come_back for one in entries if one.hit and one.seconds_to_come_back > 0]
    median = f"{statistics.median(back):.1f} s" if back else "nothing was down"
    worst = f"{max(back):.1f} s" if back else ""
    objected = sum(bool(one.objections) for one in entries)
    return f"| {fault} | {len(entries)} | {sum(one.hit for one in entries)} | {median} | {worst} | {objected} |"


def _work(work: str, entries: Iterable[Entry]) -> str:
    outcomes = Counter(one.outcome for one in entries)
    told = ", ".join(f"{outcome} {count}" for outcome, count in outcomes.most_common())
    return f"| {work} | {outcomes.total()} | {told} |"


def _objections(entries: Iterable[Entry]) -> list[str]:
    found = [one for one in entries if one.objections]
    if not found:
        return ["No round was objected to."]
    return ["Objections:", "", *(f"* seed {one.seed}, round {one.round}, {_told(one)}" for one in found)]


def _told(one: Entry) -> str:
    return f"{one.fault} at {one.moment} of a {one.work}: {'; '.join(one.objections)[:400]}"


def _listed(seeds: Sequence[int]) -> str:
    return f"the seed {seeds[0]}" if len(seeds) == 1 else f"the seeds {', '.join(map(str, seeds))}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(), ledger.read(Path(__file__).with_name("ledger.jsonl"))))
