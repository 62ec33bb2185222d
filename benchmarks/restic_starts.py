"""Sees every restic that starts on this machine, in containers too, and when: the kernel keeps the time of each start.

A restic is told from those of other work by its arguments, which carry the UID of its run. Used by run_latency.py.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
LOOK_SECONDS = 0.01
# A new process may be a copy of its parent that becomes restic in a moment.
UNDECIDED_SECONDS = 0.5


def boot_time() -> float:
    """Return the present time in seconds since the machine started, by which the kernel times processes."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class Start:
    """One restic. `at` is in seconds since the machine started, to a hundredth."""

    at: float
    parent: int
    arguments: str


class ResticStarts:
    """The restic processes that were seen so far."""

    def __init__(self) -> None:
        self._starts: list[Start] = []
        self._decided: set[str] = set(_processes())
        self._undecided: dict[str, float] = {}

    def of_run(self, uid: str) -> tuple[Start, Start]:
        """Return the first restic of the agent of a run, and the first that archives. Raises LookupError."""
        archiving = [one for one in self._starts if f"--tag=uid={uid}" in one.arguments.split("\0")]
        if not archiving:
            raise LookupError(f"no restic of run {uid} was seen")
        same_agent = [one for one in self._starts if one.parent == archiving[0].parent]
        return min(same_agent, key=lambda one: one.at), min(archiving, key=lambda one: one.at)

    def look(self) -> None:
        """Take in what is new."""
        now, present = time.monotonic(), set(_processes())
        self._decided &= present
        self._undecided = {pid: since for pid, since in self._undecided.items() if pid in present}
        for pid in present - self._decided:
            start = _restic(pid)
            if start:
                self._starts.append(start)
            if start or now - self._undecided.setdefault(pid, now) > UNDECIDED_SECONDS:
                self._decided.add(pid)
                self._undecided.pop(pid, None)


@contextmanager
def watched() -> Iterator[ResticStarts]:
    """Look a hundred times a second, in a thread of its own."""
    starts, done = ResticStarts(), threading.Event()

    def look_on() -> None:
        while not done.wait(LOOK_SECONDS):
            starts.look()

    thread = threading.Thread(target=look_on, daemon=True)
    thread.start()
    try:
        yield starts
    finally:
        done.set()
        thread.join()


def _processes() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdecimal()]


def _restic(pid: str) -> Start | None:
    """Return the process if it is a restic by now (proc(5): fields 4 and 22 of stat)."""
    try:
        arguments = Path("/proc", pid, "cmdline").read_text(errors="replace")
        if not arguments.partition("\0")[0].endswith("restic"):
            return None
        fields = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return Start(int(fields[19]) / TICKS, int(fields[1]), arguments)
