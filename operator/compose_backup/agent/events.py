"""What the agent says: JSON lines on stdout for the operator, plain lines on stderr for people.

The operator reads the last lines only, so that what must not be lost (`targetTouched`, `quiesce`) stands in every one.
Used by agent/__main__.py and by each job.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Literal, TextIO

from compose_backup.agent.texts import redact
from compose_backup.api.backup_run import Progress, QuiesceResult
from compose_backup.api.job import HEARTBEAT_SECONDS, Event, Report, Window

PROGRESS_SECONDS = 2.0
"""Progress is written at most this often; what comes in between is left out."""
BEAT_AFTER_SECONDS = HEARTBEAT_SECONDS - 1.5
"""A line is written when there was none for this long: early enough to keep the promise on a busy machine."""
BEAT_CHECK_SECONDS = 0.5


def now() -> dt.datetime:
    """Return the time, in UTC."""
    return dt.datetime.now(dt.UTC)


class Diagnostics:
    """Lines on stderr, without the secrets."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._secrets: tuple[str, ...] = ()

    def keep_secret(self, *secrets: str) -> None:
        """Leave these out of every line from now on."""
        self._secrets += secrets

    def redact(self, text: str) -> str:
        """Return a text without the secrets."""
        return redact(text, self._secrets)

    def say(self, text: str) -> None:
        """Write one line. Nobody listening is no error: the work goes on."""
        try:
            print(self.redact(text), file=self._stream, flush=True)
        except OSError:
            return


class Emitter:
    """Writes events, numbered, one a line. Safe to use from several threads."""

    def __init__(self, stream: BinaryIO, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._sequence = 0
        self._touched = False
        self._progress: Progress | None = None
        self._window: Window | None = None
        self._quiesce: QuiesceResult | None = None
        self._written_at = monotonic()
        self._progress_at = float("-inf")
        self._done = False

    def accepted(self) -> None:
        """Say that the job is understood."""
        self._write("accepted")

    def progress(self, progress: Progress) -> None:
        """Say how far the work is, or remember it for the next line when the last one is young."""
        self._progress = progress
        if self._monotonic() - self._progress_at >= PROGRESS_SECONDS:
            self._write("progress")

    def target_touched(self) -> None:
        """Say, at once and for ever, that a byte may have been written to a target."""
        self._touched = True
        self._write("progress")

    def services(self, window: Window | None, quiesce: QuiesceResult | None) -> None:
        """Say, at once, where the services are and for how long they have been down."""
        self._window, self._quiesce = window, quiesce
        self._write("progress")

    @property
    def touched(self) -> bool:
        """Whether a byte may have been written to a target by now."""
        return self._touched

    def beat(self) -> None:
        """Write a line if there was none for a while."""
        if self._monotonic() - self._written_at >= BEAT_AFTER_SECONDS:
            self._write("progress")

    def report(self, report: Report) -> None:
        """Write the last line; nothing comes after it."""
        self._write("report", report)

    def _write(self, kind: Literal["accepted", "progress", "report"], report: Report | None = None) -> None:
        with self._lock:
            if self._done:
                return
            self._done = kind == "report"
            self._sequence += 1
            self._written_at = self._monotonic()
            if kind == "progress":
                self._progress_at = self._written_at
            self._send(self._event(kind, report))

    def _event(self, kind: Literal["accepted", "progress", "report"], report: Report | None) -> Event:
        time_of_event = now()
        progress = self._progress.model_copy(update={"updated_at": time_of_event}) if self._progress else None
        return Event(
            sequence=self._sequence,
            time=time_of_event,
            type=kind,
            target_touched=self._touched,
            progress=progress,
            window=self._window,
            quiesce=self._quiesce,
            report=report,
        )

    def _send(self, event: Event) -> None:
        """Write one line. A broken pipe does not end the work: its result stands in the repository."""
        try:
            self._stream.write(event.model_dump_json(by_alias=True, exclude_none=True).encode() + b"\n")
            self._stream.flush()
        except OSError:
            return


@contextmanager
def heartbeat(emitter: Emitter) -> Iterator[None]:
    """Keep the events coming while something takes long."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(BEAT_CHECK_SECONDS):
            emitter.beat()

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
