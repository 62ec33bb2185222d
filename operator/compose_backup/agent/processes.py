"""One child process: started without a shell, read as it writes, ended in time.

The password reaches the child by a pipe that only it inherits (`RESTIC_PASSWORD_FILE=/dev/fd/N`), never by arguments,
environment or files. Its stdin is never ours: restic without a password would read one from there.
Called by agent/engines/restic.py.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, Literal, Self

from compose_backup.agent.stopping import Stop

POLL_SECONDS = 0.2
GRACE_SECONDS = 20.0
"""Between SIGTERM and SIGKILL: time for restic to remove its lock."""
READ_BYTES = 1 << 16
TAIL_LINES = 200

Stopped = Literal["cancelled", "deadline", "window", "timeout"]
OnLine = Callable[[str], None]


@dataclass(frozen=True)
class Call:
    """What is run. `seconds` is a time limit of this call alone, besides the deadline of the job."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    password: bytes = field(repr=False)
    stdin: bytes | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Ended:
    """How it ended. `code` is negative for a signal; `stopped` tells why we ended it, whatever the code."""

    code: int
    error_lines: tuple[str, ...]
    stopped: Stopped | None


class Runner:
    """Runs children until they end, the job has to end, or their own time is over. May be used by several threads."""

    def __init__(self, stop: Stop, grace_seconds: float = GRACE_SECONDS) -> None:
        self._stop = stop
        self._grace_seconds = grace_seconds

    def run(self, call: Call, on_output: OnLine, on_error: OnLine) -> Ended:
        """Run one child; each line of its output goes to the functions as it comes."""
        tail: deque[str] = deque(maxlen=TAIL_LINES)

        def remember(line: str) -> None:
            tail.append(line)
            on_error(line)

        with _child(call) as process:
            ending = _Ending(process, self._stop, call.seconds, self._grace_seconds)
            with _Streams(process, on_output, remember) as streams:
                while streams.open or process.poll() is None:
                    streams.read(POLL_SECONDS)
                    ending.look()
            return Ended(process.wait(), tuple(tail), ending.stopped)


class _Ending:
    """Ends a child in two steps: SIGTERM, and SIGKILL when that was not enough."""

    def __init__(self, process: subprocess.Popen[bytes], stop: Stop, seconds: float | None, grace: float) -> None:
        self._process = process
        self._stop = stop
        self._limit = None if seconds is None else time.monotonic() + seconds
        self._grace = grace
        self._kill_at: float | None = None
        self.stopped: Stopped | None = None

    def look(self) -> None:
        """Send what has to be sent by now."""
        if self.stopped is None:
            self.stopped = self._stop.cause or self._timeout()
            if self.stopped is not None:
                self._process.send_signal(signal.SIGTERM)
                self._kill_at = time.monotonic() + self._grace
        elif self._kill_at is not None and time.monotonic() >= self._kill_at:
            _kill_all(self._process)

    def _timeout(self) -> Stopped | None:
        return "timeout" if self._limit is not None and time.monotonic() >= self._limit else None


class _Streams:
    """Reads both outputs of a child by lines, without ever blocking on one of them."""

    def __init__(self, process: subprocess.Popen[bytes], on_output: OnLine, on_error: OnLine) -> None:
        self._selector = selectors.DefaultSelector()
        for stream, on_line in ((process.stdout, on_output), (process.stderr, on_error)):
            assert stream is not None  # both are pipes
            self._selector.register(stream, selectors.EVENT_READ, _Lines(on_line))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()

    @property
    def open(self) -> bool:
        """Whether the child may still write."""
        return bool(self._selector.get_map())

    def read(self, seconds: float) -> None:
        """Read what there is, or wait that long for something."""
        if not self.open:
            time.sleep(min(seconds, 0.01))
            return
        for key, _ in self._selector.select(seconds):
            chunk = os.read(key.fd, READ_BYTES)
            key.data.feed(chunk)
            if not chunk:
                self._selector.unregister(key.fileobj)


class _Lines:
    """Cuts a stream into lines; a list of snapshots is one line of many megabytes, so pieces are joined once."""

    def __init__(self, on_line: OnLine) -> None:
        self._on_line = on_line
        self._pieces: list[bytes] = []

    def feed(self, chunk: bytes) -> None:
        """Take the next piece; an empty one is the end, and what is left is the last line."""
        *complete, rest = chunk.split(b"\n")
        for piece in complete:
            self._emit(piece)
        if rest:
            self._pieces.append(rest)
        if not chunk and self._pieces:
            self._emit(b"")

    def _emit(self, last_piece: bytes) -> None:
        line = b"".join((*self._pieces, last_piece))
        self._pieces.clear()
        self._on_line(line.decode(errors="replace"))


@contextmanager
def _child(call: Call) -> Iterator[subprocess.Popen[bytes]]:
    """Start the child and see to it that it is gone when we leave, whatever happened."""
    with ExitStack() as until_started:
        password_descriptor = until_started.enter_context(_password_pipe(call.password))
        process = subprocess.Popen(
            call.arguments,
            stdin=until_started.enter_context(_standard_input(call.stdin)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**call.environment, "RESTIC_PASSWORD_FILE": f"/dev/fd/{password_descriptor}"},
            pass_fds=(password_descriptor,),
            start_new_session=True,  # a group of its own: a Ctrl-C is ours to pass on, and all of it can be killed
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            _kill_all(process)
        process.communicate()


def _kill_all(process: subprocess.Popen[bytes]) -> None:
    """Kill the child and whatever it started: a grandchild that lives on would hold the outputs open."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _password_pipe(password: bytes) -> Iterator[int]:
    """Give the reading end of a pipe that holds the password and ends after it."""
    reading, writing = os.pipe()
    try:
        os.write(writing, password)
        os.close(writing)
        yield reading
    finally:
        os.close(reading)


@contextmanager
def _standard_input(content: bytes | None) -> Iterator[int | IO[bytes]]:
    """Give what the child reads: the content, from memory of any size, or nothing."""
    if content is None:
        yield subprocess.DEVNULL
        return
    with os.fdopen(os.memfd_create("stdin"), "w+b") as memory:
        memory.write(content)
        memory.seek(0)
        yield memory
