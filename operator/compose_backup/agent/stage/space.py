"""Watches the free space beside the volumes as long as a stage is there. Made by backup.py, asked by staging.py.

A stage pins what was overwritten since: a small disk then answers "no space" to the application itself, even where it
writes to blocks that it has had all along.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from compose_backup.agent.stage.unusable import StageUnusable

_SECONDS_BETWEEN_LOOKS = 0.5
_RESERVED_PERCENT = 10


def floor_bytes(churn_bytes: int, file_system_bytes: int) -> int:
    """Return how many bytes must stay free: what the volume changed from the last run to this, and 10 % of the disk."""
    return churn_bytes + file_system_bytes * _RESERVED_PERCENT // 100


def free_bytes(directory: Path) -> int:
    """Return what a process without privileges could still write, in bytes (f_bavail, statvfs(3)). Raise OSError."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


def total_bytes(directory: Path) -> int:
    """Return the size of the file system, in bytes. Raise OSError."""
    found = os.statvfs(directory)
    return found.f_blocks * found.f_frsize


def require_files(directory: Path, needed: int) -> None:
    """Raise StageUnusable when so many files would leave less than 10 % of those that the file system can hold.

    A full table of inodes is "no space" to the application as well. btrfs has none, and says 0 (statvfs(3)).
    """
    found = os.statvfs(directory)
    if found.f_files and found.f_favail - needed < found.f_files * _RESERVED_PERCENT // 100:
        raise StageUnusable(
            f"a stage needs {needed:,} files, and the file system beside the volume takes {found.f_favail:,} more"
        )


class SpaceGuard:
    """Looks at the free space every half second, from when it is made until it is closed. Threads may share it.

    In the window nothing is dropped, since that costs time: the guard remembers that it is to be.
    """

    def __init__(self, free: Callable[[], int], floor: int) -> None:
        """`free` returns bytes, as `free_bytes` of the stage does; `floor` is in bytes. Raise OSError."""
        self._free = free
        self._floor = floor
        self._at_first = free()
        self._now = self._lowest = self._at_first
        self._is_window_open = False
        self._closed = threading.Event()
        self._error: OSError | None = None
        self.look()
        self._thread = threading.Thread(target=self._watch, name="space guard", daemon=True)
        self._thread.start()

    def __enter__(self) -> SpaceGuard:
        """Return the guard."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the guard."""
        self.close()

    @property
    def lowest_free_bytes(self) -> int:
        """The least free space that was seen."""
        return self._lowest

    @property
    def pinned_bytes(self) -> int:
        """By how much free space is less than before the first clone, as seen last: the price of the stage at most.

        It counts what others have written to the file system meanwhile, too; nobody tells the two apart.
        """
        return max(0, self._at_first - self._now)

    @property
    def must_drop(self) -> bool:
        """Whether the stage is to be dropped: free space was below the floor once, and services are not waiting."""
        return not self._is_window_open and (self._lowest < self._floor or self._error is not None)

    def check(self) -> None:
        """Raise StageUnusable when the stage is to be dropped."""
        if self.must_drop and self._error is not None:
            raise StageUnusable(f"free space beside the volume cannot be seen: {self._error}")
        if self.must_drop:
            raise StageUnusable(f"free space beside the volume fell to {_shown(self._lowest, self._floor)}")

    def require(self, needed: int) -> None:
        """Raise StageUnusable when so many bytes do not fit above the floor."""
        self.look()
        if self._now - needed < self._floor:
            raise StageUnusable(
                f"a copy needs {needed:,} bytes, and free space beside the volume is {_shown(self._now, self._floor)}"
            )

    def window_opens(self) -> None:
        """From now on services wait: nothing may be dropped."""
        self._is_window_open = True

    def window_is_over(self) -> None:
        """From now on a stage may be dropped again, also for what was seen in the window."""
        self._is_window_open = False

    def look(self) -> None:
        """Look at the free space now."""
        try:
            self._now = self._free()
        except OSError as error:
            self._error = error
        else:
            self._lowest = min(self._lowest, self._now)

    def close(self) -> None:
        """Stop watching. The figures stay."""
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._closed.wait(_SECONDS_BETWEEN_LOOKS):
            self.look()


def _shown(free: int, floor: int) -> str:
    return f"{free:,} bytes; {floor:,} must stay free"
