"""All figures, each with what it must be: one line a figure, and JSON. Called by `make bench`.

`run.py [script …]` measures only some, for example `run.py idle_operator`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import archive_speed
import clone_stall
import coming_back
import figures
import idle_operator
import journal_cost
import many_policies
import restored_tree
import run_latency
import turns
import unchanged_volume
import window_by_archive
import window_by_stage
from realparts.steps import StepFailed, say
from stage import STATE

SCRIPTS = {
    script.__name__: script.measure
    for script in (
        run_latency,
        archive_speed,
        restored_tree,
        idle_operator,
        many_policies,
        turns,
        window_by_stage,
        window_by_archive,
        clone_stall,
        unchanged_volume,
        journal_cost,
        coming_back,
    )
}
# A part that does not come up, a disk that is full, a program that ends with an error: the other figures are measured.
COULD_NOT = (StepFailed, RuntimeError, LookupError, AssertionError, OSError, subprocess.SubprocessError)


def main(words: list[str]) -> int:
    """Measure what is asked for; return 1 when a figure is missed or could not be measured."""
    parser = argparse.ArgumentParser(prog="run.py", description="The figures of the project, measured on this machine.")
    parser.add_argument("scripts", nargs="*", choices=[[], *SCRIPTS], metavar="script", help=", ".join(SCRIPTS))
    parser.add_argument("--json", type=Path, default=STATE / "benchmarks.json", help="where the figures are stored")
    wanted = parser.parse_args(words)
    print(f"# {figures.today()}, {figures.machine()}", flush=True)
    measured: list[figures.Figure] = []
    failed = False
    for name in wanted.scripts or SCRIPTS:
        # Others at work make times longer, ratios wilder: whoever reads a figure should know.
        print(f"# {name}: load average {os.getloadavg()[0]:.1f}", flush=True)
        try:
            found = SCRIPTS[name]()
        except COULD_NOT as error:
            say(f"{name} could not be measured: {error}")
            print(f"{name} - - - MISSED", flush=True)
            failed = True
            continue
        figures.show(found)
        measured += found
    figures.store(measured, wanted.json)
    return 1 if failed or any(figure.missed for figure in measured) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
