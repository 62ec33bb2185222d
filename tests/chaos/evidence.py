"""What the counting services have left: their numbers in a volume or a restored copy, and the witness beside it.

Called by invariants.py. It shares nothing with the product, and reads files only.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

RECORD_BYTES = 10
PULSE = struct.Struct("<QQ")
NUMBER = struct.Struct("<Q")
SLOTS_AT = 4096
SLOTS = 1024
PAGES = "pages"
BULK = "bulk.bin"
NANO = 1e9


class Gap(Exception):
    """A number is missing where every one must be."""


@dataclass(frozen=True)
class Start:
    """One start of a counting service, as it saw it itself."""

    nanos: int
    number: int
    """The last number that it found in its volume."""
    before_nanos: int
    before_number: int
    """Its last pulse before that start."""
    process_nanos: int
    """When its process began: on a busy machine Python takes a while to load."""

    @property
    def down_seconds(self) -> float:
        """How long it did not count."""
        return (self.nanos - self.before_nanos) / NANO if self.before_nanos else 0.0

    @property
    def gone_seconds(self) -> float:
        """How long it did not count, until its process was there."""
        return (self.process_nanos - self.before_nanos) / NANO if self.before_nanos else 0.0


def starts(witness: Path, host: str) -> list[Start]:
    """Return all starts of a container, the oldest first."""
    file = witness / f"{host}.starts"
    lines = file.read_text().splitlines() if file.exists() else []
    return [Start(*map(int, line.split())) for line in lines]


def pulse(witness: Path, host: str) -> int:
    """Return the last number of a container, 0 before its first."""
    file = witness / f"{host}.pulse"
    beaten = file.read_bytes() if file.exists() else b""
    return int(PULSE.unpack(beaten)[1]) if len(beaten) == PULSE.size else 0


def numbers(directory: Path) -> dict[str, int]:
    """Return the last number of each counter in a volume or a copy of it, by file. Raises Gap."""
    found = {file.name: _appended(file) for file in directory.glob("counter-*")}
    mapped = directory / PAGES
    return found | ({PAGES: _mapped(mapped)} if mapped.exists() else {})


def bulk_hash(directory: Path) -> str:
    """Return what the large file of a volume holds, in short; empty where it has none."""
    file = directory / BULK
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else ""


def _appended(file: Path) -> int:
    """Every line is the number of its line: one that is missing, doubled or cut moves all that follow."""
    content = file.read_bytes()
    lines, rest = divmod(len(content), RECORD_BYTES)
    if rest:
        raise Gap(f"{file.name}: {rest} bytes of a record")
    for index in range(lines):
        record = content[index * RECORD_BYTES : (index + 1) * RECORD_BYTES]
        if record != b"%09d\n" % (index + 1):
            raise Gap(f"{file.name}: {record!r} where {index + 1} belongs")
    return lines


def _mapped(file: Path) -> int:
    """The slots hold the last numbers, and the head the very last. A kill may have come between slot and head."""
    content = file.read_bytes()
    head = int(NUMBER.unpack_from(content, 0)[0])
    for number in range(max(1, head - SLOTS + 2), head + 1):
        stored = NUMBER.unpack_from(content, SLOTS_AT + number % SLOTS * NUMBER.size)[0]
        if stored != number:
            raise Gap(f"{file.name}: the slot of {number} holds {stored}, the head is {head}")
    return head
