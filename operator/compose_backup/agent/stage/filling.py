"""The two means to fill a file of the stage with what a file of the volume holds: a clone, or a copy.

Chosen by staging.py, used by entries.py and probing.py for each regular file.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Protocol

Check = Callable[[], None]
"""Raises when the work is to end: the job is cancelled, the window is over, the disk is filling. Never an OSError."""

FICLONE = 0x40049409
"""ioctl_ficlone(2)."""
_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602  # FS_IOC_GETFLAGS, FS_IOC_SETFLAGS: ioctl_iflags(2)
_NO_COPY_ON_WRITE = 0x00800000  # FS_NOCOW_FL
_CHUNK_BYTES = 128 * 1024
"""Read, compared and written at once. Databases change pages of 8 to 16 KiB here and there: larger chunks write more.
"""


class Means(StrEnum):
    """How a file gets into the stage."""

    CLONE = "Clone"
    COPY = "Copy"


class Filling(Protocol):
    """A way to fill files. Raises OSError when the file system does not do it."""

    @property
    def longest_stall_seconds(self) -> float:
        """The longest that a writer of a single file may have been held up so far."""

    @property
    def mends(self) -> bool:
        """Whether it is quicker to mend an older copy of a file than to fill an empty one."""

    def settle(self, source: int) -> None:
        """Make the times of a file tell every later change, before they are looked at."""

    def fill(self, source: int, target: int) -> None:
        """Make a file hold what the source holds. It is empty or, where the means `mends`, an older copy."""


class Cloning:
    """Shares extents by FICLONE: no data moves, and both files change independently afterwards."""

    mends = False

    def __init__(self) -> None:
        self.longest_stall_seconds = 0.0

    def settle(self, source: int) -> None:
        """Do nothing: the kernel writes the source back before it shares it, while it holds up everybody who writes."""

    def fill(self, source: int, target: int) -> None:
        """Clone the file, as a whole and at one moment."""
        started = time.monotonic()
        try:
            fcntl.ioctl(target, FICLONE, source)
        except OSError as error:
            if error.errno != errno.EINVAL or not _match_copy_on_write(source, target):
                raise
            fcntl.ioctl(target, FICLONE, source)
        self.longest_stall_seconds = max(self.longest_stall_seconds, time.monotonic() - started)


class Copying:
    """Reads and writes, and keeps holes. Of an older copy only what differs is written: reading costs far less."""

    longest_stall_seconds = 0.0
    mends = True

    def __init__(self, check: Check) -> None:
        self._check = check
        self._found, self._held = bytearray(_CHUNK_BYTES), bytearray(_CHUNK_BYTES)

    def settle(self, source: int) -> None:
        """Write the file back, since a mapped page that is dirty already can be written without a trace.

        After that the next write to it has to ask the kernel for the page again, which sets the times (mmap(2)).
        """
        os.fsync(source)

    def fill(self, source: int, target: int) -> None:
        """Copy what is no hole, and clear what is one by now."""
        position, size = 0, os.fstat(source).st_size
        for start, end in _data(source, 0, size):
            self._clear(target, position, start)
            self._copy(source, target, start, end)
            position = end
        self._clear(target, position, size)
        os.ftruncate(target, size)

    def _copy(self, source: int, target: int, start: int, end: int) -> None:
        while start < end:
            self._check()
            wanted = min(_CHUNK_BYTES, end - start)
            read = os.preadv(source, [memoryview(self._found)[:wanted]], start)
            if read == 0:
                return  # it has become shorter, which the next pass will see
            held = os.preadv(target, [memoryview(self._held)[:read]], start)
            # What lies behind a short read is older, and can only make equal chunks seem different.
            if held != read or self._found != self._held:
                _write(target, memoryview(self._found)[:read], start)
            start += read

    def _clear(self, target: int, start: int, end: int) -> None:
        """Write zeros over what an older copy holds where the source has a hole."""
        for data_start, data_end in _data(target, start, end):
            for position in range(data_start, data_end, _CHUNK_BYTES):
                self._check()
                _write(target, memoryview(bytes(min(_CHUNK_BYTES, data_end - position))), position)


def _data(file: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of a file between two positions that are no hole (SEEK_DATA, lseek(2))."""
    while start < end:
        try:
            start = os.lseek(file, start, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return  # a hole up to the end
        if start >= end:
            return
        hole = min(end, os.lseek(file, start, os.SEEK_HOLE))
        yield start, hole
        start = hole


def _write(target: int, content: memoryview, position: int) -> None:
    while content:
        written = os.pwrite(target, content, position)
        content, position = content[written:], position + written


def filling(means: Means, check: Check) -> Filling:
    """Return the means."""
    return Cloning() if means is Means.CLONE else Copying(check)


def _match_copy_on_write(source: int, target: int) -> bool:
    """Give an empty file the flag of the source that says whether it is written in place; say whether it differed.

    btrfs clones only between files that are alike in this: what is written in place has no checksums (btrfs(5)).
    """
    wanted, present = _flags(source), _flags(target)
    if (wanted ^ present) & _NO_COPY_ON_WRITE == 0:
        return False
    fcntl.ioctl(target, _SET_FLAGS, struct.pack("l", present ^ _NO_COPY_ON_WRITE))
    return True


def _flags(file: int) -> int:
    answer = fcntl.ioctl(file, _GET_FLAGS, struct.pack("l", 0))
    flags: int = struct.unpack("l", answer)[0]
    return flags
