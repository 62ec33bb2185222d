"""The end of a restore: by the report of its agent, or by its death.

Services are started again only where it is known that no byte was written, or that every volume is whole; else they are
kept stopped, and that is said. Called by restore_request.py.
"""

from __future__ import annotations

from dataclasses import replace

from compose_backup.api import reasons
from compose_backup.api.job import CleanupReport, Report
from compose_backup.api.restore_request import RestoredVolume, RestoreRequestStatus
from compose_backup.planning import agent_state, restore_end
from compose_backup.planning.agent_state import Died, Reported
from compose_backup.planning.facts import AgentLook
from compose_backup.reconcile import agents, journals, second_line
from compose_backup.reconcile.outcome import Outcome
from compose_backup.reconcile.restore_outcomes import has_ended, resuming
from compose_backup.reconcile.restore_place import PlacedRestore


async def reported(placed: PlacedRestore, look: AgentLook | None, told: Reported) -> Outcome:
    """Store the report. What its agent could not start is left to the pass over the host."""
    status, now = placed.restore.status, placed.world.now()
    if told.report.restore is None and (volumes := await placed.told_whole()):
        told = replace(told, report=restore_end.report_of_mark(volumes, told.report))
    after = restore_end.after_report(status, told.report, told.log_tail, now, touched=told.target_touched)
    journal = agents.has_journal(look)
    if not (journal and agent_state.has_stopped_something(look)):
        return has_ended(after, journals.closing(placed.site, journal=journal))
    kept = is_kept_stopped(after)
    whole = restore_end.is_whole(after)
    settlement = await journals.settle(placed.site, told=True, keep_stopped=kept, whole=whole, quiesce=after.quiesce)
    if settlement.down and not kept and (after.failure is None or after.failure.reason != reasons.SERVICE_NOT_RESUMED):
        failure = second_line.failure_of(settlement.down, after.failure.message if after.failure else "")
        report = told.report.model_copy(update={"failure": failure})
        after = restore_end.after_report(status, report, told.log_tail, now)
    return _over(placed, after, settlement)


async def died(placed: PlacedRestore, look: AgentLook | None, died: Died) -> Outcome:
    """Start what the agent has left stopped if it cannot have written anything, or was done with it, then end."""
    status = placed.restore.status
    if volumes := await placed.told_whole():
        return await _died_when_whole(placed, died, volumes)
    if not agents.has_journal(look):
        after = restore_end.after_death(status, died, placed.world.now())
        return has_ended(after, journals.closing(placed.site, journal=False))
    if died.target_touched and await placed.services_may_have_it():
        died = replace(died, target_touched=False)  # its last words are lost, but the services tell
    settlement = await journals.settle(placed.site, keep_stopped=died.target_touched)
    if not died.target_touched and journals.is_pending(placed.site, settlement):
        return resuming(status, settlement)
    after = restore_end.after_death(status, died, placed.world.now())
    if settlement.left and not died.target_touched:
        after = after.model_copy(update={"failure": second_line.failure_of(settlement.left, died.failure.message)})
    return _over(placed, after, settlement)


async def _died_when_whole(placed: PlacedRestore, died: Died, volumes: tuple[RestoredVolume, ...]) -> Outcome:
    """Start what is still down. Only the agent's last words are lost: what it has restored is as it must be."""
    settlement = await journals.settle(placed.site, whole=True)
    if journals.is_pending(placed.site, settlement):
        return resuming(placed.restore.status, settlement)
    failure = second_line.failure_of(settlement.left, died.failure.message) if settlement.left else None
    told = CleanupReport(quiesce=died.quiesce or placed.restore.status.quiesce)
    report = restore_end.report_of_mark(volumes, Report(cleanup=told, failure=failure))
    after = restore_end.after_report(placed.restore.status, report, died.log_tail, placed.world.now())
    return _over(placed, after, settlement)


def is_kept_stopped(after: RestoreRequestStatus) -> bool:
    """Return whether a restore has ended so that nobody may start services onto its targets."""
    incomplete = after.failure is not None and after.failure.reason == reasons.TARGET_INCOMPLETE
    return incomplete or bool(after.quiesce and after.quiesce.kept_stopped)


def _over(placed: PlacedRestore, after: RestoreRequestStatus, settlement: journals.Settlement) -> Outcome:
    """End the restore. An open journal stays: by it the host's pass, or the next restore, knows what is down."""
    if settlement != journals.SETTLED:
        return has_ended(after, journals.handing_over(placed.site))
    return has_ended(after, journals.closing(placed.site, journal=True))
