"""The page about reliability says what the ledger says."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos import ledger, summary
from chaos.ledger import Entry

LEDGER = Path(summary.__file__).with_name("ledger.jsonl")
ENTRIES = (
    Entry(1, 0, "backup", "all-down", "agent-killed", True, "Failed/Interrupted", 4.0, 9.0),
    Entry(1, 1, "staged", "all-down", "agent-killed", True, "Succeeded", 8.0, 9.0),
    Entry(2, 0, "restore", "requested", "agent-killed", False, "Succeeded", 0.0, 9.0, ("db is down",)),
)


def test_the_page_is_that_of_the_ledger() -> None:
    page = summary.PAGE.read_text()
    assert page == summary.written(page, ledger.read(LEDGER)), "run python -m chaos.summary"


def test_a_fault_is_counted_with_what_it_took() -> None:
    text = summary.tables(ENTRIES)
    assert "3 rounds, 2 of which the fault hit, with the seeds 1, 2." in text
    assert "| agent-killed | 3 | 2 | 6.0 s | 8.0 s | 1 |" in text
    assert "| backup | 1 | Failed/Interrupted 1 |" in text


def test_what_was_wrong_is_told() -> None:
    assert "* seed 2, round 0, agent-killed at requested of a restore: db is down" in summary.tables(ENTRIES)
    assert "No round was objected to." in summary.tables(ENTRIES[:2])


def test_a_page_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        summary.written("nothing", ENTRIES)
