"""`python -m chaos`: a campaign of faults on real parts, as long as wanted; every round goes into the ledger.

Called by the Makefile.
"""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from chaos import ledger
from chaos.campaign import Campaign, begun
from chaos.place import made
from chaos.schedule import Round, round_of, rounds, short
from realparts import ground
from realparts.control_plane import ControlPlane
from realparts.steps import StepFailed, say

LEDGER = Path(__file__).parent / "ledger.jsonl"
ROUNDS_OF_A_PLACE = 40
"""After so many rounds everything is made anew: the small disk holds no more."""


def main(words: list[str]) -> int:
    """Play the wanted rounds; return 1 if one of them was not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="how many rounds")
    parser.add_argument("--seed", type=int, default=None, help="the seed; default: one that nobody has chosen")
    parser.add_argument("--round", type=int, default=None, help="play this one round again, and leave the ledger alone")
    parser.add_argument("--short", action="store_true", help="play each kind of fault once, where it hurts")
    parser.add_argument("--ledger", type=Path, default=LEDGER)
    asked = parser.parse_args(words)
    seed = secrets.randbelow(10**6) if asked.seed is None else asked.seed
    if asked.short:
        planned = short(seed)
        return _play(planned if asked.round is None else [planned[asked.round]], None, retries=0)
    if asked.round is not None:
        return _play([round_of(seed, asked.round)], None)
    start, failed = ledger.next_round(asked.ledger, seed), 0
    say(f"seed {seed}, rounds {start} to {start + asked.runs - 1}")
    for first in range(start, start + asked.runs, ROUNDS_OF_A_PLACE):
        count = min(ROUNDS_OF_A_PLACE, start + asked.runs - first)
        failed |= _play(rounds(seed, count, first), asked.ledger)
    return failed


def _play(planned: Iterable[Round], file: Path | None, retries: int = 1) -> int:
    """Play rounds on one place, until the first that fails: what it has left is no ground for another."""
    left = list(planned)
    failed = 0
    while left:
        with tempfile.TemporaryDirectory(prefix="chaos-") as scratch, ground.lent(ground.state_directory()) as lent:
            plane = ControlPlane.start(Path(scratch) / "control-plane")
            try:
                with made(plane, lent, Path(scratch) / "place", retries=retries) as place:
                    failed |= _played(begun(place), left, file)
            finally:
                plane.stop()
    return failed


def _played(campaign: Campaign, left: list[Round], file: Path | None) -> int:
    while left:
        one = left.pop(0)
        entry = campaign.play(one)
        if file is not None:
            ledger.append(file, entry)
        back, down = entry.seconds_to_come_back, entry.longest_down
        say(f"  {'hit' if entry.hit else 'missed'}, {entry.outcome}, back in {back} s, longest down {down} s")
        if entry.objections:
            say(f"FAILED: {one}")
            for objection in entry.objections:
                say(f"  {objection}")
            say(f"  play it again: make chaos SEED={one.seed} ROUND={one.number} (and SHORT=yes if it was short)")
            say(f"  the end of the operator's log:\n{campaign.place.operator.log_file.read_text()[-4000:]}")
            return 1
    return 0


def _end(*_: object) -> None:
    """Leave as by Ctrl-C when somebody ends the campaign: what was started is taken down."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    try:
        sys.exit(main(sys.argv[1:]))
    except StepFailed as failure:
        say(str(failure))
        sys.exit(1)
