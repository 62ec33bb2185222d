"""A figure, what it must be, and how it is told: one line for people, JSON for programs.

Made by each script of this folder, collected by run.py.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One measured value. `must` is the most that it may be; None for a value that only explains another one."""

    name: str
    value: float
    unit: str
    must: float | None = None
    remark: str = ""

    @property
    def missed(self) -> bool:
        """Whether it is more than it may be."""
        return self.must is not None and self.value > self.must

    @property
    def line(self) -> str:
        """`name value unit must ok`, or `MISSED` in the place of `ok`."""
        must = "-" if self.must is None else f"<={self.must:g}"
        verdict = "-" if self.must is None else "MISSED" if self.missed else "ok"
        line = f"{self.name} {self.value:.4g} {self.unit} {must} {verdict}"
        return f"{line}  # {self.remark}" if self.remark else line


Measure = Callable[[], Sequence[Figure]]


def median_of(name: str, values: Sequence[float], unit: str, must: float | None = None) -> Figure:
    """Return the median of several measurements; how far they spread stands in the remark."""
    spread = f"median of {len(values)}, {min(values):.3g} to {max(values):.3g}"
    return Figure(name, statistics.median(values), unit, must, spread)


def ratio_of(
    name: str, ours: Sequence[float], theirs: Sequence[float], must: float | None = None, kind: str = ""
) -> Figure:
    """Return the ratio of two medians; the kind of the pairs and the ratio of each stand in the remark."""
    pairs = " ".join(f"{mine / other:.3f}" for mine, other in zip(ours, theirs, strict=True))
    ratio = statistics.median(ours) / statistics.median(theirs)
    return Figure(name, ratio, "ratio", must, f"of the medians of {len(ours)} {kind} pairs; each pair: {pairs}")


def show(figures: Sequence[Figure]) -> None:
    """Print one line a figure."""
    for figure in figures:
        print(figure.line, flush=True)


def main(measure: Measure) -> None:
    """Measure, print, and exit with 1 when a figure is missed: what each script does when it is run alone."""
    figures = measure()
    show(figures)
    sys.exit(1 if any(figure.missed for figure in figures) else 0)


def store(figures: Sequence[Figure], path: Path) -> None:
    """Write the figures as JSON, with date and machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = [asdict(figure) | {"ok": not figure.missed} for figure in figures]
    path.write_text(json.dumps({"date": today(), "machine": machine(), "figures": listed}, indent=2) + "\n")


def today() -> str:
    """Return the date."""
    return time.strftime("%Y-%m-%d", time.gmtime())


def machine() -> str:
    """Say in a few words what was measured on."""
    cores = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = cores[0].partition(":")[2].strip() if cores else platform.machine()
    gibibytes = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    return f"{len(cores)} x {model}, {gibibytes:.0f} GiB, Linux {platform.release()}"
