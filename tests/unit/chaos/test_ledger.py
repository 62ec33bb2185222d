"""The ledger: what was written is read again, and a later sitting goes on where the last one ended.

Run by pytest.
"""

from __future__ import annotations

from pathlib import Path

from chaos import ledger
from chaos.schedule import round_of


def test_a_later_sitting_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    assert ledger.next_round(file, 7) == 0
    good = ledger.entry(round_of(7, 0), hit=True, outcome="Succeeded", seconds_to_come_back=1.5, longest_down=2.0)
    ledger.append(file, good)
    bad = ledger.entry(
        round_of(9, 4), hit=True, outcome="gone", seconds_to_come_back=0.0, longest_down=0.0, objections=("it is gone",)
    )
    ledger.append(file, bad)
    assert ledger.read(file) == [good, bad]
    assert (ledger.next_round(file, 7), ledger.next_round(file, 9)) == (1, 5)
