"""Flush a file system: what was written before is on it afterwards. Called by archive.py, warm.py and stage/."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path


def sync_file_system(directory: Path) -> None:
    """Run syncfs(2) on the file system of a directory. Raise OSError when its disk reports an error.

    A write through mmap to a page that is already dirty changes no time stamp: only a flush makes it seen (measured).
    """
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if library.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(directory))
    finally:
        os.close(descriptor)
