"""From what is so to the list of conditions, after the kstatus rules. Called by every pass of reconcile/.

Rules: Ready is always there; Reconciling and Stalled are there only while True, and never both; a transition time moves
only when the status of its condition does (kubernetes-sigs/cli-utils, pkg/kstatus/status).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from compose_backup.api import reasons
from compose_backup.api.backup_run import Failure
from compose_backup.api.compose_host import Unresumed
from compose_backup.api.conditions import FINISHED, QUEUED, READY, RECONCILING, SERVICES_RESUMED, STALLED, Condition
from compose_backup.planning import humanize
from compose_backup.planning.checks import Objection
from compose_backup.planning.turns import InLine

Truth = Literal["True", "False", "Unknown"]
State = Literal["good", "working", "waiting", "stalled", "ended-well", "ended-badly"]


@dataclass(frozen=True)
class Claim:
    """One condition before it knows its generation and time."""

    type: str
    status: Truth
    reason: str
    message: str


@dataclass(frozen=True)
class Standing:
    """How an object stands: good, at work, waiting for something to change by itself, or waiting for a person."""

    state: State
    reason: str
    message: str


def claims(standing: Standing) -> tuple[Claim, ...]:
    """Return Ready, and Reconciling or Stalled with it, for how an object stands."""
    reason, message = standing.reason, standing.message
    match standing.state:
        case "good" | "ended-well":
            return (Claim(READY, "True", reason, message),)
        case "working":
            return (Claim(READY, "Unknown", reason, message), Claim(RECONCILING, "True", reason, message))
        case "waiting":
            return (Claim(READY, "False", reason, message), Claim(RECONCILING, "True", reason, message))
        case "stalled" | "ended-badly":
            return (Claim(READY, "False", reason, message), Claim(STALLED, "True", reason, message))


def unfinished(standing: Standing) -> tuple[Claim, ...]:
    """Return the claims of a run or restore that has not ended."""
    return (*claims(standing), Claim(FINISHED, "False", reasons.PROGRESSING, "not finished"))


def still_waiting(objection: Objection) -> tuple[Claim, ...]:
    """Return the claims of a run or restore that waits, with its place in the queue where it waits for its turn."""
    said = unfinished(Standing("working", objection.reason, objection.message))
    if not isinstance(objection, InLine):
        return said
    return (*said, Claim(QUEUED, "True", objection.reason, objection.queue))


def ended(phase: str, failure: Failure | None, done: str) -> tuple[Claim, ...]:
    """Return the claims of a run or restore that has ended: Finished on any end, Ready with the reason why not."""
    reason, message = (failure.reason, failure.message) if failure else (phase, done)
    state: State = "ended-well" if phase in ("Succeeded", "Skipped") else "ended-badly"
    return (*claims(Standing(state, reason, message)), Claim(FINISHED, "True", phase, message))


def services_resumed(unresumed: Sequence[Unresumed]) -> Claim:
    """Return whether every service of a host that was stopped runs again, or which one does not and why."""
    if not unresumed:
        return Claim(SERVICES_RESUMED, "True", reasons.ALL_RESUMED, "every service that was stopped runs again")
    stuck = [one for one in unresumed if not one.kept_stopped]
    kept = [one for one in unresumed if one.kept_stopped]
    parts = [
        f"{_service(one)}, stopped by {one.owner}, does not run: {one.error or 'it is tried again'}"
        for one in stuck[:3]
    ]
    if len(stuck) > 3:
        parts.append(f"{len(stuck) - 3} more do not run")
    if kept:
        names = humanize.listed(sorted({_service(one) for one in kept}))
        owners = humanize.listed(sorted({one.owner for one in kept}))
        parts.append(f"{names} kept stopped since {owners} left their data incomplete: restore again, and they start")
    reason = reasons.SERVICE_NOT_RESUMED if stuck else reasons.KEPT_STOPPED
    return Claim(SERVICES_RESUMED, "False", reason, "; ".join(parts))


def _service(one: Unresumed) -> str:
    return one.service if one.service == one.container else f"{one.service} ({one.container})"


def conditions(
    wanted: Sequence[Claim], previous: Sequence[Condition], generation: int, now: dt.datetime
) -> tuple[Condition, ...]:
    """Return the conditions to write: each claim with the generation, and the time of its last transition."""
    before = {condition.type: condition for condition in previous}
    return tuple(
        Condition(
            type=claim.type,
            status=claim.status,
            observed_generation=generation,
            last_transition_time=_transition(claim, before.get(claim.type), now),
            reason=claim.reason,
            message=claim.message[:4096],
        )
        for claim in wanted
    )


def _transition(claim: Claim, before: Condition | None, now: dt.datetime) -> dt.datetime:
    unchanged = before is not None and before.status == claim.status
    return before.last_transition_time if before and unchanged else now.replace(microsecond=0)
