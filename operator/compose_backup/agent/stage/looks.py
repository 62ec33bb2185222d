"""What was seen of each entry of a volume, and whether what was staged then is still true. Pure.

A look is packed into 53 bytes, since there may be a million of them: all that a change of the entry would change. Kept
and asked by passes.py, written out by table.py.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

GRANULARITY_NS = 2_000_000_000
"""How coarse a time of change may be: two seconds is the coarsest that file systems are known for (inode(7), FAT)."""

MAX_ENTRIES = 1_000_000
"""As many looks are held in memory, about 190 bytes each with name and place in its directory."""

_WRITTEN = struct.Struct("<IIIQQQQQ?")
_READ = struct.Struct("<IIIqqqQQ?")
_64_BITS = (1 << 64) - 1  # a file may be dated beyond the year 2262, where signed nanoseconds end


@dataclass(frozen=True)
class Look:
    """A look, unpacked. Sizes in bytes, times in nanoseconds since 1970.

    `is_settled` is false when the entry had changed so shortly before that a later change may bear the same time.
    """

    mode: int
    owner: int
    group: int
    size: int
    modified: int
    changed: int
    inode: int
    device: int
    is_settled: bool


@dataclass(slots=True)
class DirectoryLooks:
    """The looks of a directory of the stage: of itself, of what is no directory, and those of its subdirectories."""

    own: bytes = b""
    entries: dict[str, bytes] = field(default_factory=dict)
    directories: dict[str, DirectoryLooks] = field(default_factory=dict)

    def regular_files(self, directory: str = "") -> Iterator[tuple[str, Look]]:
        """Yield path and look of every regular file below, in an order that is the same every night."""
        for name in sorted(self.entries):
            look = unpacked(self.entries[name])
            if stat.S_ISREG(look.mode):
                yield directory + name, look
        for name in sorted(self.directories):
            yield from self.directories[name].regular_files(f"{directory}{name}/")

    def find(self, path: str) -> bytes | None:
        """Return the look of what is no directory, None when it is not there."""
        *above, name = path.split("/")
        place = self
        for part in above:
            found = place.directories.get(part)
            if found is None:
                return None
            place = found
        return place.entries.get(name)


def packed(found: os.stat_result, moment_ns: int) -> bytes:
    """Return the look of an entry. `moment_ns` must be read before anything of the entry was.

    Unless the time of change lies well before that moment, another change may bear the same: stamps are as coarse as
    the file system keeps them (inode(7)) and the kernel's clock ticks (Documentation/filesystems/multigrain-ts.rst).
    """
    return _pack(found, found.st_ctime_ns < moment_ns - GRANULARITY_NS)


def is_true(look: bytes, found: os.stat_result) -> bool:
    """Say whether what was staged at the look is what is found now: nothing differs, and a change would have shown."""
    return look == _pack(found, True)


def unpacked(look: bytes) -> Look:
    """Return the fields of a look."""
    return Look(*_READ.unpack(look))


def _pack(found: os.stat_result, is_settled: bool) -> bytes:
    return _WRITTEN.pack(
        found.st_mode,
        found.st_uid,
        found.st_gid,
        found.st_size,
        found.st_mtime_ns & _64_BITS,
        found.st_ctime_ns & _64_BITS,
        found.st_ino,
        found.st_rdev,
        is_settled,
    )
