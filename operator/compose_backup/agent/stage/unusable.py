"""The one error of this room: there is no stage, and the run goes on without. Raised by all of its modules."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager


class StageUnusable(Exception):
    """What is in the stage is worth nothing and is to be dropped. `reason` says why, for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def unusable(path: str, error: OSError) -> StageUnusable:
    """Return the error that says which path of the volume could not be brought into the stage, and why."""
    name = errno.errorcode.get(error.errno or 0, "no number")
    return StageUnusable(f"{shown(path)} could not be staged: {error.strerror or error} ({name})")


@contextmanager
def unusable_if_it_fails(path: str = "") -> Iterator[None]:
    """Turn every OSError into the one that names the path."""
    try:
        yield
    except OSError as error:
        raise unusable(path, error) from error


def shown(path: str) -> str:
    """Return a path of the volume as it can be printed: its bytes need not be UTF-8."""
    return os.fsencode(path).decode(errors="backslashreplace") or "the root of the volume"
