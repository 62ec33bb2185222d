"""How long somebody waits who writes to a file while it is cloned: 1 GiB in 25,000 extents, on XFS.

A process of its own overwrites random pages all the time and keeps its longest write, while a first pass is made as the
agent makes it; and, for comparison, while the file system is only flushed. Run alone, or by run.py.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import window_data
from compose_backup.agent.stage.filling import Means
from compose_backup.agent.stage.space import SpaceGuard, floor_bytes, free_bytes, total_bytes
from compose_backup.agent.stage.staging import Stage
from compose_backup.agent.syncing import sync_file_system
from figures import Figure, main, median_of
from mixed_data import MIB, pages
from realparts.debian import install

ROUNDS = 5
FILE_MIB = 1024
EXTENTS = 25_000
PAGE_BYTES = window_data.PAGE_BYTES
PAGES_AT_A_TIME = 1000
WRITING_SECONDS = 0.5
MUST_SECONDS = 1.0
# Writes about a thousand pages a second until its input ends, and then says how long the longest write took.
WRITER = """
import os, random, select, sys, time
file, count, page, longest = os.open(sys.argv[1], os.O_WRONLY), int(sys.argv[2]), os.urandom(16384), 0.0
print("writes", flush=True)
while not select.select([0], [], [], 0.0005)[0]:
    place = random.randrange(count) * 16384
    started = time.monotonic()
    os.pwrite(file, page, place)
    longest = max(longest, time.monotonic() - started)
print(longest)
"""


def measure() -> Sequence[Figure]:
    """Clone the file while it is written to, and return the longest writes."""
    install("e2fsprogs")
    stalls, alone, extents = list[float](), list[float](), list[int]()
    clones, processor = list[float](), list[float]()
    with window_data.mounted("xfs-for-figures") as place:
        volume, root = place / "volume", place / "stage"
        volume.mkdir()
        root.mkdir()
        file = volume / "0.ibd"
        _write(file, place / "clone")
        for _ in range(ROUNDS):
            extents.append(_extents(file))
            with _written_to(file) as longest:
                sync_file_system(volume)
            alone.append(longest[0])
            with _written_to(file) as longest:
                told, used = _first_pass(volume, root)
            clones.append(told)
            processor.append(used)
            stalls.append(longest[0])
    return (
        median_of("clone_live_longest_write", stalls, "s", MUST_SECONDS),
        median_of("clone_live_stall_told", clones, "s"),
        median_of("clone_live_processor_time", processor, "s"),
        median_of("flush_live_longest_write", alone, "s"),
        median_of("clone_live_extents", extents, "extents"),
    )


def _first_pass(volume: Path, root: Path) -> tuple[float, float]:
    """Return the stall that is told in status, and the time in the kernel: what a machine at rest would take."""
    with SpaceGuard(lambda: free_bytes(root), floor_bytes(0, total_bytes(root))) as guard:
        stage = Stage(volume, root, "data", Means.CLONE, guard, lambda: None)
        try:
            before = resource.getrusage(resource.RUSAGE_THREAD).ru_stime
            stage.first_pass()
            used = resource.getrusage(resource.RUSAGE_THREAD).ru_stime - before
        finally:
            stage.drop()
    return stage.longest_stall_seconds, used


@contextmanager
def _written_to(file: Path) -> Iterator[list[float]]:
    """Have the file written to meanwhile; the list holds the longest write in the end, in seconds."""
    command: list[str | Path] = [sys.executable, "-c", WRITER, file, str(FILE_MIB * MIB // PAGE_BYTES)]
    longest: list[float] = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin and writer.stdout
        writer.stdout.readline()
        time.sleep(WRITING_SECONDS)
        yield longest
        time.sleep(WRITING_SECONDS)
        writer.stdin.close()
        longest.append(float(writer.stdout.readline()))


def _write(file: Path, clone: Path) -> None:
    """Write the file, and overwrite pages of it while a clone of it exists, so that they are put elsewhere."""
    chance = random.Random(1)
    with file.open("wb") as written:
        for _ in range(FILE_MIB):
            written.write(pages(chance))
    subprocess.run(["cp", "--reflink=always", file, clone], check=True)
    left = list(range(FILE_MIB * MIB // PAGE_BYTES))
    chance.shuffle(left)
    with file.open("r+b", buffering=0) as written:
        while _extents(file) < EXTENTS:
            for _ in range(PAGES_AT_A_TIME):
                os.pwrite(written.fileno(), chance.randbytes(PAGE_BYTES), left.pop() * PAGE_BYTES)
            os.fsync(written.fileno())
    clone.unlink()


def _extents(file: Path) -> int:
    program = shutil.which("filefrag") or "/usr/sbin/filefrag"
    said = subprocess.run([program, "-s", file], capture_output=True, text=True, check=True).stdout
    return int(said.rpartition(": ")[2].split()[0])


if __name__ == "__main__":
    main(measure)
