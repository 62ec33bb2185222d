"""How much a volume holds, before any of it is staged, and whether its file system clones. Called by staging.py."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from compose_backup.agent.stage.entries import OPEN_DIRECTORY, OPEN_FILE, open_unless_other
from compose_backup.agent.stage.filling import Check, Cloning
from compose_backup.agent.stage.passes import MAX_DEPTH, too_deep
from compose_backup.agent.stage.unusable import StageUnusable, unusable_if_it_fails

_PROBE = ".probe"
_BYTES_PER_BLOCK = 512  # the unit of st_blocks, whatever the file system's blocks are (stat(3type))
_WORDS = {
    errno.EXDEV: "stage and volume lie on different file systems, or the kernel is older than 5.18",
    errno.EOPNOTSUPP: "the volume's file system cannot clone files",
    errno.ENOTTY: "the volume's file system cannot clone files",
    errno.EINVAL: "the volume's file system was made without support for clones",
    errno.EPERM: "cloning is not permitted",
    errno.ENOSPC: "the file system is full",
    errno.EROFS: "the stage cannot be written to",
}


@dataclass(frozen=True)
class Contents:
    """What a volume holds: entries without the root, and the bytes that its files take on the disk."""

    entries: int
    bytes: int


@dataclass(frozen=True)
class NoClones:
    """Why clones do not work, in words, with the number of the error that told (errno(3))."""

    number: int
    reason: str


def measured(volume: Path, limit: int, check: Check) -> Contents:
    """Return how much a volume holds; a file with several names takes its bytes once. Raise OSError.

    Raise StageUnusable as soon as there are more entries than the limit, or deeper ones than a pass can open.
    """
    entries = blocks = 0
    linked: set[tuple[int, int]] = set()
    for _, _, found in _walk(volume, check):
        entries += 1
        if entries > limit:
            raise StageUnusable(f"the volume holds more than {limit:,} entries")
        key = (found.st_dev, found.st_ino)
        if found.st_nlink == 1 or stat.S_ISDIR(found.st_mode) or key not in linked:
            blocks += found.st_blocks
        if found.st_nlink > 1:
            linked.add(key)
    return Contents(entries, blocks * _BYTES_PER_BLOCK)


def why_no_clones(volume: Path, root: Path, check: Check) -> NoClones | None:
    """Return why files of the volume cannot be cloned into the directory `root`, None when they can.

    Found by cloning the first file of the volume that is not empty, never by names: a file system does it or not, as it
    was made, and between two mounts only since Linux 5.18. Without such a file one of the stage's own is tried: what
    a service writes as it is stopped must not be the first to be refused. Raise StageUnusable when the volume cannot be
    read.
    """
    with unusable_if_it_fails():
        return _why_no_clones(volume, root, check)


def _why_no_clones(volume: Path, root: Path, check: Check) -> NoClones | None:
    for directory, name, found in _walk(volume, check):
        if not stat.S_ISREG(found.st_mode) or found.st_size == 0:
            continue
        source = open_unless_other(name, OPEN_FILE, directory)
        if source is None:
            continue
        try:
            return _refusal(source, root)
        finally:
            os.close(source)
    with tempfile.TemporaryFile(dir=root) as sample:
        sample.write(b"something to be cloned")
        sample.flush()
        return _refusal(sample.fileno(), root)


def _refusal(source: int, root: Path) -> NoClones | None:
    """Return why a file cannot be cloned into a directory."""
    try:
        _clone(source, root)
    except OSError as error:
        number = error.errno or 0
        words = _WORDS.get(number, os.strerror(number))
        return NoClones(number, f"{words} ({errno.errorcode.get(number, number)})")
    return None


def _clone(source: int, root: Path) -> None:
    target = os.open(root / _PROBE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        Cloning().fill(source, target)
    finally:
        os.close(target)
        (root / _PROBE).unlink()


def _walk(volume: Path, check: Check) -> Iterator[tuple[int, str, os.stat_result]]:
    """Yield every entry with the descriptor of its directory, as long as that is open."""
    directory = os.open(volume, OPEN_DIRECTORY)
    try:
        yield from _walk_open(directory, 0, check)
    finally:
        os.close(directory)


def _walk_open(directory: int, depth: int, check: Check) -> Iterator[tuple[int, str, os.stat_result]]:
    if depth > MAX_DEPTH:
        raise too_deep()
    check()
    subdirectories = []
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(found.st_mode):
                subdirectories.append(entry.name)
            yield directory, entry.name, found
    for name in subdirectories:
        inner = open_unless_other(name, OPEN_DIRECTORY, directory)
        if inner is not None:
            try:
                yield from _walk_open(inner, depth + 1, check)
            finally:
                os.close(inner)
