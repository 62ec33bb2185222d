"""A service that counts: every fifty milliseconds the next number, without a gap, into a file of its volume.

Run inside the containers of project.py by a Python that has nothing but its standard library; evidence.py reads what
it has left. Beside the volume it keeps a witness that no backup sees: when it started, at which number, and its pulse.
"""

from __future__ import annotations

import mmap
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

TICK_SECONDS = 0.05
PULSE = struct.Struct("<QQ")  # monotonic nanoseconds, the last number
NUMBER = struct.Struct("<Q")
RECORD_BYTES = 10  # nine digits and a newline
SLOTS_AT = 4096
SLOTS = 1024
MAPPED_BYTES = SLOTS_AT + SLOTS * NUMBER.size


def appending(file: Path) -> tuple[int, Callable[[int], None]]:
    """Return the last number of a file of lines, and how the next one is written: in one call, so never in part."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    size = os.fstat(descriptor).st_size
    last = int(os.pread(descriptor, RECORD_BYTES, size - RECORD_BYTES)) if size else 0
    return last, lambda number: _ignore(os.write(descriptor, b"%09d\n" % number))


def mapping(file: Path) -> tuple[int, Callable[[int], None]]:
    """Return the last number of a mapped file, and how the next one is stored: its slot first, the head after it."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    if os.fstat(descriptor).st_size != MAPPED_BYTES:
        os.truncate(descriptor, MAPPED_BYTES)
    memory = mmap.mmap(descriptor, MAPPED_BYTES)

    def store(number: int) -> None:
        NUMBER.pack_into(memory, SLOTS_AT + number % SLOTS * NUMBER.size, number)
        NUMBER.pack_into(memory, 0, number)

    return NUMBER.unpack_from(memory, 0)[0], store


def count(way: str, volume: Path, witness: Path, *, obedient: bool) -> None:
    """Count until SIGTERM, or for ever where that is ignored."""
    told_to_stop = threading.Event()
    signal.signal(signal.SIGTERM, (lambda *_: told_to_stop.set()) if obedient else signal.SIG_IGN)
    own = socket.gethostname()
    last, store = mapping(volume / "pages") if way == "mapped" else appending(volume / f"counter-{own}")
    pulse = os.open(witness / f"{own}.pulse", os.O_RDWR | os.O_CREAT, 0o644)
    beaten = os.pread(pulse, PULSE.size, 0)
    before = PULSE.unpack(beaten) if beaten else (0, 0)
    with (witness / f"{own}.starts").open("a") as starts:
        starts.write(f"{time.monotonic_ns()} {last} {before[0]} {before[1]} {process_start()}\n")
    Path("/tmp/ready").touch()
    while not told_to_stop.wait(TICK_SECONDS):
        last += 1
        store(last)
        os.pwrite(pulse, PULSE.pack(time.monotonic_ns(), last), 0)


def process_start() -> int:
    """Return when this process began, in nanoseconds of the monotonic clock: before Python itself was loaded."""
    ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])  # field 22 of proc(5)
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def _ignore(_: object) -> None:
    """Be a function whose answer nobody wants."""


if __name__ == "__main__":
    count(sys.argv[1], Path("/data"), Path("/witness"), obedient="stubborn" not in sys.argv[2:])
