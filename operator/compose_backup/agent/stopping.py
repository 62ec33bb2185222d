"""Why work has to end early: somebody cancelled it, its deadline has passed, or services have been down long enough.

Set by agent/__main__.py (signal, job) and by agent/quiesce (services), asked by agent/processes.py and between steps.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

from compose_backup.api import reasons
from compose_backup.errors import AgentFailed

Cause = Literal["cancelled", "deadline", "window"]


class Stop:
    """One for the whole agent. Safe to set from a signal handler."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._cancelled = threading.Event()
        self._deadline: float | None = None
        self._window_end: float | None = None

    def cancel(self) -> None:
        """Ask for the end, now."""
        self._cancelled.set()

    def end_after(self, seconds: float | None) -> None:
        """Set the deadline of the job, in seconds from now; None means that it has none."""
        self._deadline = None if seconds is None else self._monotonic() + seconds

    def open_window(self, seconds: float) -> None:
        """Begin to count the time that services are down; the first call counts."""
        if self._window_end is None:
            self._window_end = self._monotonic() + seconds

    def close_window(self) -> None:
        """End it: what comes now keeps nobody waiting."""
        self._window_end = None

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked for the end."""
        return self._cancelled.is_set()

    @property
    def cause(self) -> Cause | None:
        """Why work has to end now; None while it may go on."""
        if self.cancelled:
            return "cancelled"
        if self._passed(self._deadline):
            return "deadline"
        return "window" if self._passed(self._window_end) else None

    def _passed(self, moment: float | None) -> bool:
        return moment is not None and self._monotonic() >= moment

    def check(self) -> None:
        """Raise AgentFailed when work has to end now."""
        if self.cause is not None:
            raise ended_early(self.cause)


def ended_early(cause: Cause) -> AgentFailed:
    """Return the error that tells why work ended early."""
    if cause == "window":
        message = (
            "services were down for as long as quiesce.maxSeconds allows, and were started again before everything was "
            "archived; allow more time, or archive fewer volumes at once"
        )
        return AgentFailed(reasons.WINDOW_EXCEEDED, message, retryable=False)
    if cause == "cancelled":
        return AgentFailed(reasons.CANCELLED, "the agent was asked to stop before it was done", retryable=False)
    message = "the deadline passed before the agent was done; allow more time by deadlineSeconds, or archive less"
    return AgentFailed(reasons.DEADLINE_EXCEEDED, message, retryable=False)
