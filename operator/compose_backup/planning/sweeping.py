"""What the sweep does with a container of ours; journals are judged in debts.py. Called by reconcile/sweep.py."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from compose_backup.api.backup_run import TERMINAL_PHASES
from compose_backup.planning.facts import OwnContainer
from compose_backup.planning.labels import Owner


class Verdict(Enum):
    """Keep a container whose owner needs it, end one that works for nobody, remove one that has ended."""

    KEEP = "keep"
    TERMINATE = "terminate"
    REMOVE = "remove"


def verdict(container: OwnContainer, owner: Owner | None, body: Mapping[str, Any] | None) -> Verdict:
    """Return what is done with a container, given its owner as it is in the cluster at this moment.

    `body` is None where the owner is gone. One of the same name with another UID is not the owner, and needs nothing.
    """
    if is_needed(owner, body):
        return Verdict.KEEP
    return Verdict.TERMINATE if container.state in ("running", "paused", "restarting") else Verdict.REMOVE


def is_needed(owner: Owner | None, body: Mapping[str, Any] | None) -> bool:
    """Return whether the object that something on a host was made for is still at work."""
    return owner is not None and body is not None and body["metadata"]["uid"] == owner.uid and not _finished(body)


def _finished(body: Mapping[str, Any]) -> bool:
    return (body.get("status") or {}).get("phase") in TERMINAL_PHASES
