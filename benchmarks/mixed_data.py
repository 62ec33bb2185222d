"""Data as services leave it: logs, database pages, media, and thousands of small files. The same bytes for a seed.

Used by run_latency.py, archive_speed.py, unchanged_volume.py and window_data.py.
"""

from __future__ import annotations

import random
from pathlib import Path

MIB = 2**20
LOG_MIB = 350
DATABASE_MIB = 350
MEDIA_MIB = 300
SMALL_FILES = 6000
SMALL_FILE_BYTES = (200, 16_000)
PAGE_BYTES = 8192
LEVELS = (b"INFO  ", b"DEBUG ", b"WARN  ")
WORDS = (b" GET /api/v1/orders/", b" POST /api/v1/carts/", b" connection from 10.0.3.17 user=", b" cache miss for key ")


def write(directory: Path, seed: int = 1) -> int:
    """Fill a directory with more than a gibibyte and return the number of bytes."""
    chance = random.Random(seed)
    _write_files(directory / "logs", LOG_MIB, 50, chance, log)
    _write_files(directory / "database", DATABASE_MIB, 70, chance, pages)
    _write_files(directory / "media", MEDIA_MIB, 10, chance, _noise)
    for number in range(SMALL_FILES):
        folder = directory / "small" / f"{number % 100:02}"
        folder.mkdir(parents=True, exist_ok=True)
        size = chance.randint(*SMALL_FILE_BYTES)
        (folder / f"{number}.json").write_bytes(chance.randbytes(size // 2).hex().encode())
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


def write_little(directory: Path, seed: int) -> None:
    """Fill a directory with a few files of some megabytes."""
    _write_files(directory, 4, 1, random.Random(seed), pages)


def _write_files(directory: Path, total: int, each: int, chance: random.Random, content: object) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    assert callable(content)
    for number in range(total // each):
        with (directory / f"{number}.dat").open("wb") as file:
            for _ in range(each):
                file.write(content(chance))


def _noise(chance: random.Random) -> bytes:
    """Return a mebibyte that cannot be compressed, as pictures and archives are."""
    return chance.randbytes(MIB)


def log(chance: random.Random) -> bytes:
    """Return a mebibyte of lines that are much alike."""
    numbers = chance.randbytes(MIB // 8).hex(" ", 8).encode().split()
    lines = [
        b"2026-10-13T02:%02d:%02dZ %s%s%s" % (index // 60 % 60, index % 60, LEVELS[index % 3], WORDS[index % 4], number)
        for index, number in enumerate(numbers)
    ]
    return b"\n".join(lines)[:MIB]


def pages(chance: random.Random) -> bytes:
    """Return a mebibyte of database pages: a header, records that differ a little, and free space."""
    used = PAGE_BYTES // 4
    return b"".join(
        b"PAGE%08d" % number
        + chance.randbytes(used)
        + b"record\0\0\0\1" * (PAGE_BYTES // 32)
        + bytes(PAGE_BYTES - 12 - used - 10 * (PAGE_BYTES // 32))
        for number in range(MIB // PAGE_BYTES)
    )
