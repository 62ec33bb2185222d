"""Watches every restic on this machine, in containers too: when it started, and how much of the machine others took.

The kernel keeps the time of each start. A restic is told from those of other work by its arguments, which carry the UID
of its run or the name of its volume. Used by run_latency.py and archive_speed.py.
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
CORES = os.cpu_count() or 1
LOOK_SECONDS = 0.01
# A new process may be a copy of its parent that becomes restic in a moment.
UNDECIDED_SECONDS = 0.5


def boot_time() -> float:
    """Return the present time in seconds since the machine started, by which the kernel times processes."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass
class Seen:
    """One restic. `at` is in seconds since the machine started, to a hundredth; what it used grows while it lives."""

    pid: str
    at: float
    parent: int
    arguments: list[str]
    cpu: float
    machine_before: float
    machine: float
    until: float

    @property
    def disturbance(self) -> float:
        """Share of the machine's CPUs that was taken by everything else while this restic worked."""
        others = self.machine - self.machine_before - self.cpu
        return max(0.0, others) / (CORES * max(0.01, self.until - self.at))


class ResticWatch:
    """The restic processes that were seen so far."""

    def __init__(self) -> None:
        self._seen: list[Seen] = []
        self._live: list[Seen] = []
        self._decided: set[str] = set(_processes())
        self._undecided: dict[str, float] = {}

    def of_run(self, uid: str) -> tuple[Seen, Seen]:
        """Return the first restic of the agent of a run, and the first that archives. Raises LookupError."""
        archiving = self.with_argument(f"--tag=uid={uid}")
        same_agent = [one for one in self._seen if one.parent == archiving.parent]
        return min(same_agent, key=lambda one: one.at), archiving

    def with_argument(self, argument: str) -> Seen:
        """Return the first restic that has this argument, of those that archive. Raises LookupError."""
        found = [one for one in self._seen if argument in one.arguments and "backup" in one.arguments]
        if not found:
            raise LookupError(f"no restic with {argument} was seen")
        return min(found, key=lambda one: one.at)

    def forget(self) -> None:
        """Forget all that have been seen so far."""
        self._seen = []

    def look(self) -> None:
        """Take in what is new, and what those that are known have used by now."""
        now, present = time.monotonic(), set(_processes())
        self._decided &= present
        self._undecided = {pid: since for pid, since in self._undecided.items() if pid in present}
        self._live = [one for one in self._live if _update(one)]
        for pid in present - self._decided:
            found = _restic(pid)
            if found:
                self._seen.append(found)
                self._live.append(found)
            if found or now - self._undecided.setdefault(pid, now) > UNDECIDED_SECONDS:
                self._decided.add(pid)
                self._undecided.pop(pid, None)


@contextmanager
def watched() -> Iterator[ResticWatch]:
    """Look a hundred times a second, in a thread of its own."""
    watch, done = ResticWatch(), threading.Event()

    def look_on() -> None:
        while not done.wait(LOOK_SECONDS):
            watch.look()

    thread = threading.Thread(target=look_on, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        done.set()
        thread.join()


def _processes() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdecimal()]


def _restic(pid: str) -> Seen | None:
    """Return the process if it is a restic by now."""
    try:
        arguments = Path("/proc", pid, "cmdline").read_text(errors="replace").split("\0")
        if not arguments[0].endswith("restic"):
            return None
        fields = _stat(pid)
    except OSError:
        return None
    busy = _machine_seconds()
    started, cpu = int(fields[19]) / TICKS, (int(fields[11]) + int(fields[12])) / TICKS
    return Seen(pid, started, int(fields[1]), arguments, cpu, busy - cpu, busy, boot_time())


def _update(one: Seen) -> bool:
    """Take in what a restic has used by now; return whether it still works."""
    try:
        fields = _stat(one.pid)
    except OSError:
        return False
    if fields[0] == "Z":
        return False
    one.cpu, one.machine, one.until = (int(fields[11]) + int(fields[12])) / TICKS, _machine_seconds(), boot_time()
    return True


def _stat(pid: str) -> list[str]:
    """Return the fields of /proc/<pid>/stat from the third one on (proc(5))."""
    return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()


def _machine_seconds() -> float:
    """Return the CPU seconds of the whole machine since it started, but for idle ones (proc(5), /proc/stat)."""
    user, nice, system, _idle, _waiting, *rest = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + sum(rest)) / TICKS
