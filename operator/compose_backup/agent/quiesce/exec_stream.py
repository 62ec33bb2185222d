"""The output of a command in a container, read from the connection that Docker gives for it, until it ends or too late.

Both outputs come in frames of eight bytes, which stream and how long, and then the text (Engine API, ContainerAttach).
Called by engine.py.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

HEADER = struct.Struct(">BxxxL")
KEPT_BYTES = 4096
READ_BYTES = 1 << 16
POLL_SECONDS = 0.2


def read_output(connection: Any, limit: float, given_up: Callable[[], bool]) -> tuple[str, bool]:
    """Return the last words of both outputs, and whether they ended before `limit` (a time of time.monotonic())."""
    raw: socket.socket = getattr(connection, "_sock", connection)
    frames = _Frames()
    try:
        while (left := limit - time.monotonic()) > 0 and not given_up():
            raw.settimeout(min(left, POLL_SECONDS))
            with suppress(TimeoutError):
                piece = raw.recv(READ_BYTES)
                if not piece:
                    return frames.text, True
                frames.feed(piece)
    finally:
        connection.close()
        raw.close()  # the first only lets go of it, and nobody else will ever use what was taken over from HTTP
    return frames.text, False


class _Frames:
    """Takes frames apart as they come and keeps the end of what they say."""

    def __init__(self) -> None:
        self._pending = b""
        self._kept = b""

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the connection, wherever it is cut."""
        self._pending += piece
        while len(self._pending) >= HEADER.size:
            stream, length = HEADER.unpack_from(self._pending)
            if stream > 2:  # no frame: an engine that could not start the command may say so in plain words
                self._keep(self._pending)
                self._pending = b""
                return
            if len(self._pending) < HEADER.size + length:
                return
            self._keep(self._pending[HEADER.size : HEADER.size + length])
            self._pending = self._pending[HEADER.size + length :]

    def _keep(self, words: bytes) -> None:
        self._kept = (self._kept + words)[-KEPT_BYTES:]

    @property
    def text(self) -> str:
        """What was said last."""
        return self._kept.decode(errors="replace")
