"""What a volume holds whose services go down: databases, logs and many small files, and how a hundredth of it changes.

Also what it is compared with: `tar | zstd -3` of the same. Used by window_by_stage.py and window_by_archive.py.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compose_backup.agent.stage.looks import GRANULARITY_NS
from mixed_data import MIB, log, pages
from realparts.debian import install
from realparts.file_systems import open_file_systems

DATABASES = 3
DATABASE_MIB = 1024
PAGE_BYTES = 16 << 10
SMALL_FILES = 100_000
SMALL_FILES_OF_A_FOLDER = 100
SMALL_FILE_BYTES = (200, 8_000)
LOGS = 16
LOG_MIB = 64
CHANGED = 0.01
READ_BYTES = 4 << 20


@contextmanager
def mounted(kind: str) -> Iterator[Path]:
    """Give a directory on a file system of its own. What asks this process to end lets it be unmounted first."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    with (
        tempfile.TemporaryDirectory(prefix="compose-backup-benchmark-") as scratch,
        open_file_systems(Path(scratch)) as file_systems,
    ):
        yield file_systems.mounted(kind)


def write_databases(volume: Path, seed: int) -> None:
    """Write files as databases keep them."""
    chance = random.Random(seed)
    (volume / "database").mkdir(parents=True)
    for number in range(DATABASES):
        with (volume / "database" / f"{number}.ibd").open("wb") as file:
            for _ in range(DATABASE_MIB):
                file.write(pages(chance))


def write_logs(volume: Path, seed: int) -> None:
    """Write logs, of which one is still being written to."""
    chance = random.Random(seed)
    (volume / "logs").mkdir(parents=True)
    for number in range(LOGS):
        with (volume / "logs" / f"{number}.log").open("wb") as file:
            for _ in range(LOG_MIB):
                file.write(log(chance))


def write_small_files(volume: Path, seed: int) -> None:
    """Write small files, a hundred a folder."""
    chance = random.Random(seed)
    for number in range(SMALL_FILES):
        file = _small_file(volume, number)
        if number % SMALL_FILES_OF_A_FOLDER == 0:
            file.parent.mkdir(parents=True)
        file.write_bytes(_small(chance))


def change(volume: Path, seed: int) -> None:
    """Change a hundredth: of the pages of each database, of the small files, and as many bytes at the end of one log.

    A database writes back what it has changed before it ends, which belongs to the time that it takes to stop.
    """
    chance = random.Random(seed)
    for database in sorted(volume.glob("database/*")):
        with database.open("r+b", buffering=0) as file:
            count = database.stat().st_size // PAGE_BYTES
            content = pages(chance)
            for page in chance.sample(range(count), round(count * CHANGED)):
                start = chance.randrange(0, MIB - PAGE_BYTES)
                os.pwrite(file.fileno(), content[start : start + PAGE_BYTES], page * PAGE_BYTES)
            os.fsync(file.fileno())
    logs = sorted(volume.glob("logs/*"))
    if logs:
        with logs[-1].open("ab") as file:
            for _ in range(round(LOGS * LOG_MIB * CHANGED)):
                file.write(log(chance))
    for number in chance.sample(range(SMALL_FILES), round(SMALL_FILES * CHANGED)):
        _small_file(volume, number).write_bytes(_small(chance))


def rest() -> None:
    """Wait until the last change is so old that another of the same time cannot hide behind it."""
    time.sleep(GRANULARITY_NS / 1e9 + 0.5)


def keep_in_memory(volume: Path) -> int:
    """Read everything once, so that no side waits for the disk, and return the bytes."""
    total = 0
    for directory, _, names in os.walk(volume):
        for name in names:
            with open(os.path.join(directory, name), "rb", buffering=0) as file:
                while read := len(file.read(READ_BYTES)):
                    total += read
    return total


def seconds_of_tar(volume: Path) -> float:
    """Return how long `tar | zstd -3` takes. The archive is thrown away, which makes it quicker than it can be."""
    install("tar", "zstd")
    started = time.monotonic()
    with subprocess.Popen(["tar", "-C", volume, "-cf", "-", "."], stdout=subprocess.PIPE) as tar:
        subprocess.run(["zstd", "-3", "-q", "-c"], stdin=tar.stdout, stdout=subprocess.DEVNULL, check=True)
    took = time.monotonic() - started
    if tar.returncode:
        raise RuntimeError(f"tar ended with {tar.returncode}")
    return took


def _small_file(volume: Path, number: int) -> Path:
    return volume / "small" / f"{number // SMALL_FILES_OF_A_FOLDER:04}" / f"{number}.json"


def _small(chance: random.Random) -> bytes:
    return chance.randbytes(chance.randint(*SMALL_FILE_BYTES) // 2).hex().encode()
