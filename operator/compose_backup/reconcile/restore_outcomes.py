"""What a pass over a RestoreRequest comes to: it waits, works, or has ended. Used by the passes over restores."""

from __future__ import annotations

from compose_backup.api import reasons
from compose_backup.api.backup_run import Failure
from compose_backup.api.resources import Restore
from compose_backup.api.restore_request import RestoreRequestStatus
from compose_backup.planning import restore as planning
from compose_backup.planning import restore_end
from compose_backup.planning.checks import Objection
from compose_backup.planning.conditions import Standing, ended, still_waiting, unfinished
from compose_backup.reconcile import agents, journals, line
from compose_backup.reconcile.outcome import Outcome
from compose_backup.reconcile.world import World

WAIT_SECONDS = 3.0


def objected(world: World, restore: Restore, objection: Objection) -> Outcome:
    """Let an objection have its way: wait, skip, or fail."""
    if objection.then == "wait":
        return waiting(restore.status, objection)
    failure = Failure(reason=objection.reason, message=objection.message)
    return end(world, restore, "Skipped" if objection.then == "skip" else "Failed", failure)


def waiting(status: RestoreRequestStatus, objection: Objection) -> Outcome:
    """Say what the restore waits for."""
    status = status.model_copy(update={"phase": "Pending"})
    return Outcome(status, still_waiting(objection), line.patience(objection, WAIT_SECONDS))


def working(
    status: RestoreRequestStatus,
    message: str,
    *,
    reason: str = reasons.RUNNING,
    look_again_in: float = agents.POLL_SECONDS,
) -> Outcome:
    """Say that the restore is at work, and at what."""
    return Outcome(status, unfinished(Standing("working", reason, message)), look_again_in)


def resuming(status: RestoreRequestStatus, settlement: journals.Settlement) -> Outcome:
    """Say that the operator starts what an agent has left stopped."""
    pause = journals.PAUSE_SECONDS if settlement.left else agents.POLL_SECONDS
    status = status.model_copy(update={"phase": "Resuming"})
    return working(status, settlement.told, reason=reasons.RESUMING, look_again_in=pause)


def end(
    world: World, restore: Restore, phase: str, failure: Failure, afterwards: agents.Action | None = None
) -> Outcome:
    """End the restore for a reason of its own, not by a report."""
    status = restore.status.model_copy(update={"source": planning.describe_source(restore)})
    return has_ended(restore_end.finished(status, phase, failure, world.now()), afterwards)


def has_ended(status: RestoreRequestStatus, afterwards: agents.Action | None) -> Outcome:
    """Say how the restore has ended."""
    told = ended(status.phase or "", status.failure, restore_end.done(status))
    return Outcome(status, told, None, afterwards)
