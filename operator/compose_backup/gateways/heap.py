"""How the C library keeps memory for our threads. Called by handlers.py at start."""

from __future__ import annotations

import ctypes
from contextlib import suppress

M_ARENA_MAX = -8  # glibc, malloc.h


def share_heap() -> None:
    """Let all threads take memory from one heap, before they begin.

    A C library without such a setting is left as it is. By default glibc gives threads up to eight heaps for each
    core of the machine, and what is freed in one is seldom given back: 30 of 163 MB with 50 hosts on two cores
    (measured).
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)
