"""What a pass over a BackupRun comes to: it works, it waits, or it has ended. Used by the passes over runs."""

from __future__ import annotations

from compose_backup.api import reasons
from compose_backup.api.backup_run import BackupRunStatus, Failure
from compose_backup.api.resources import Run
from compose_backup.planning import backup_end
from compose_backup.planning.checks import Objection
from compose_backup.planning.conditions import Standing, ended, still_waiting, unfinished
from compose_backup.reconcile import agents, journals, line
from compose_backup.reconcile.outcome import Outcome
from compose_backup.reconcile.world import World

WAIT_SECONDS = 5.0


def working(
    status: BackupRunStatus,
    message: str,
    *,
    reason: str = reasons.RUNNING,
    look_again_in: float = agents.POLL_SECONDS,
    afterwards: agents.Action | None = None,
) -> Outcome:
    """Say that the run is at work, and at what."""
    return Outcome(status, unfinished(Standing("working", reason, message)), look_again_in, afterwards)


def waiting(status: BackupRunStatus, objection: Objection) -> Outcome:
    """Say what the run waits for. Meanwhile others may have its place on the engine."""
    status = status.model_copy(update={"phase": "Pending"})
    return Outcome(status, still_waiting(objection), line.patience(objection, WAIT_SECONDS))


def resuming(status: BackupRunStatus, settlement: journals.Settlement) -> Outcome:
    """Say that the operator starts what an agent has left stopped."""
    pause = journals.PAUSE_SECONDS if settlement.left else agents.POLL_SECONDS
    status = status.model_copy(update={"phase": "Resuming"})
    return working(status, settlement.told, reason=reasons.RESUMING, look_again_in=pause)


def objected(world: World, run: Run, objection: Objection) -> Outcome:
    """Let an objection have its way: wait, skip, or fail."""
    if objection.then == "wait":
        return waiting(run.status, objection)
    failure = Failure(reason=objection.reason, message=objection.message)
    return end(world, run.status, "Skipped" if objection.then == "skip" else "Failed", failure)


def end(
    world: World,
    status: BackupRunStatus,
    phase: str,
    failure: Failure,
    afterwards: agents.Action | None = None,
) -> Outcome:
    """End the run for a reason of its own, not by a report."""
    return has_ended(backup_end.finished(status, phase, failure, world.now()), afterwards)


def has_ended(status: BackupRunStatus, afterwards: agents.Action | None) -> Outcome:
    """Say how the run has ended."""
    told = ended(status.phase or "", status.failure, backup_end.done(status))
    return Outcome(status, told, None, afterwards)
