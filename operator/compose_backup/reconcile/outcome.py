"""What one pass over an object comes to. Returned by the passes of this folder, carried out by worker.py."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from compose_backup.api.conditions import Status
from compose_backup.planning.conditions import Claim


@dataclass(frozen=True)
class Outcome:
    """The status to write, and when to look again."""

    status: Status | None = None
    """The whole status without its conditions and generation; None leaves what is there."""
    claims: tuple[Claim, ...] = ()
    """The conditions."""
    look_again_in: float | None = None
    """Seconds until the next pass; None waits for an event."""
    afterwards: Callable[[], Awaitable[None]] | None = None
    """What is done once the status is stored, such as removing a container whose report is in it."""


NOTHING = Outcome()
