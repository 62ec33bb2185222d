"""The looks of a run as a text, and what the next run learns from it. Pure. Called by staging.py.

Clones have new inodes and times of change every night, so restic is told to compare with the last snapshot by size and
time of modification alone (`--ignore-inode`, `--ignore-ctime`). A file that was changed and given its old time back, or
replaced by one that has both, would then be taken for the old one. The volume itself tells them apart.

The text is a line with name and version, a line for each regular file, in an order that is the same every night so that
restic finds most of the text again, and a line with number and SHA-256 of those between:

    compose-backup looks 1
    <inode> <size in bytes> <modified, ns> <changed, ns> <path, percent-encoded>
    end <number> <SHA-256>
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from urllib.parse import quote_from_bytes, unquote_to_bytes

from compose_backup.agent.stage.looks import DirectoryLooks, Look, unpacked

_HEADER = "compose-backup looks 1"
_UNSETTLED = 0
"""Written as time of change of a file that had changed just before: a later change may bear the same time."""


class _Damaged(Exception):
    """The table is not what was written."""


def lines(known: DirectoryLooks) -> Iterator[str]:
    """Yield the lines of the table, without their ends."""
    yield _HEADER
    number = 0
    digest = hashlib.sha256()
    for path, look in known.regular_files():
        line = _line(path, look)
        number += 1
        digest.update(line.encode())
        yield line
    yield f"end {number} {digest.hexdigest()}"


def distrusted(last: Iterable[str] | None, known: DirectoryLooks) -> tuple[bytes, ...] | None:
    """Return the paths of files that have size and time of modification of the last run, and are not the same.

    Paths are relative to the volume. They must be read again, and nothing else that restic would not read by itself, if
    its parent is the snapshot of the run that wrote the table. None without a table, or when it is damaged: then
    everything must be read.
    """
    try:
        return None if last is None else tuple(_distrusted(last, known))
    except (_Damaged, ValueError):
        return None


def _distrusted(last: Iterable[str], known: DirectoryLooks) -> Iterator[bytes]:
    for path, inode, size, modified, changed in _rows(last):
        found = known.find(os.fsdecode(path))
        if found is None:
            continue
        look = unpacked(found)
        is_same = (look.inode, look.changed) == (inode, changed) and changed != _UNSETTLED
        if stat.S_ISREG(look.mode) and (look.size, look.modified) == (size, modified) and not is_same:
            yield path


def _rows(last: Iterable[str]) -> Iterator[tuple[bytes, int, int, int, int]]:
    """Yield path, inode, size, times. Raise _Damaged or ValueError, at the end at the latest."""
    rest = (line.rstrip("\n") for line in last)
    if next(rest, None) != _HEADER:
        raise _Damaged
    digest = hashlib.sha256()
    for number, line in enumerate(rest):
        if line.startswith("end "):
            if line != f"end {number} {digest.hexdigest()}" or next(rest, None) is not None:
                raise _Damaged
            return
        inode, size, modified, changed, path = line.split(" ")
        digest.update(line.encode())
        yield unquote_to_bytes(path), int(inode), int(size), int(modified), int(changed)
    raise _Damaged


def _line(path: str, look: Look) -> str:
    changed = look.changed if look.is_settled else _UNSETTLED
    quoted = quote_from_bytes(os.fsencode(path))
    return f"{look.inode} {look.size} {look.modified} {changed} {quoted}"
