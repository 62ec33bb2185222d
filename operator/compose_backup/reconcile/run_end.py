"""The end of an attempt: by the report of its agent, or by its death, and then the end of the run or the next attempt.

Whatever comes next, what the agent has stopped is started first. Called by backup_run.py and run_attempt.py.
"""

from __future__ import annotations

from dataclasses import replace

from compose_backup.api import reasons
from compose_backup.api.backup_run import BackupRunStatus, Failure, ResolvedRun
from compose_backup.api.job import BackupReport, CatalogJob, CatalogReport, Report
from compose_backup.planning import agent_state, backup_end, hooks
from compose_backup.planning.agent_state import Died, Reported
from compose_backup.planning.facts import AgentLook
from compose_backup.reconcile import agents, catalog, journals, second_line
from compose_backup.reconcile.archive_repository import suspect, tell
from compose_backup.reconcile.outcome import Outcome
from compose_backup.reconcile.run_outcomes import end, has_ended, resuming, working
from compose_backup.reconcile.run_place import Placed, deadline_passed, stop_wanted
from compose_backup.reconcile.second_line import Left

STOPPED_BY_A_STRANGER = Failure(
    reason=reasons.INTERRUPTED,
    message="somebody on the host stopped the agent (docker stop, a cleaner, a shutdown); services are up again",
    retryable=True,
)
NOTHING_LEFT: tuple[Left, ...] = ()


async def reported(placed: Placed, look: AgentLook | None, told: Reported) -> Outcome:
    """Store the report. What its agent could not start is left to the pass over the host."""
    journal = agents.has_journal(look)
    # What is down although the agent has stopped nothing was stopped by a person, after the plan was made.
    owes = journal and agent_state.has_stopped_something(look)
    said = told.report.backup or told.report.cleanup
    quiesce = said.quiesce if said else None
    left = (await journals.settle(placed.site, told=True, quiesce=quiesce)).down if owes else NOTHING_LEFT
    return attempt_ended(placed, placed.run.status, told.report, told.log_tail, journal=journal, left=left)


async def died(placed: Placed, look: AgentLook | None, died: Died) -> Outcome:
    """Start what the agent has left stopped, then look in the repository for the record of its attempt.

    The record decides whether the attempt was good, not the container whose report was lost.
    """
    # The first reason counts: once the container is gone, the next look tells only that.
    died = replace(died, failure=placed.run.status.failure or died.failure)
    status = placed.run.status.model_copy(update={"failure": died.failure})
    settlement = await journals.settle(placed.site) if agents.has_journal(look) else journals.SETTLED
    if journals.is_pending(placed.site, settlement):
        return resuming(status, settlement)
    wanted = catalog.Search(
        placed.run, placed.host, placed.repository, placed.access, CatalogJob(run_uid=placed.run.uid)
    )
    found = await catalog.search(placed.world, placed.docker, wanted)
    if found is None:
        return working(status, f"the agent died ({died.failure.message}); its record is looked for")
    report = Report(failure=died.failure)
    if isinstance(found, CatalogReport) and found.record and found.record.attempt == status.attempts:
        report = _rebuilt(found, died, placed.run.status.resolved)
    journal = agents.has_journal(look)
    return attempt_ended(placed, placed.run.status, report, died.log_tail, journal=journal, left=settlement.left)


def _rebuilt(found: CatalogReport, died: Died, resolved: ResolvedRun | None) -> Report:
    """Return the report that was lost, from the record that the same attempt wrote."""
    record = found.record
    assert record and resolved
    results = tuple(volume.result for volume in record.volumes)
    backup = BackupReport(
        verdict=record.verdict,
        volumes=results,
        record_id=found.record_id,
        quiesce=record.quiesce,
        hooks=record.hooks,
    )
    good = record.verdict == "Succeeded"
    return Report(backup=backup, failure=hooks.failed_after(resolved.hooks, record.hooks) if good else died.failure)


def attempt_ended(
    placed: Placed,
    status: BackupRunStatus,
    report: Report,
    log_tail: str = "",
    *,
    journal: bool = False,
    left: tuple[Left, ...] = NOTHING_LEFT,
) -> Outcome:
    """Store the report, then remove the container that it came from, and its journal unless something is still owed."""
    world, run = placed.world, placed.run
    if report.failure:
        suspect(world, placed.repository, report.failure.reason)
    stop = stop_wanted(world, run) if report.cancelled or report.failure else None
    if report.cancelled and stop is None and not deadline_passed(placed):
        report = report.model_copy(update={"failure": STOPPED_BY_A_STRANGER})
    if left:
        report = report.model_copy(update={"failure": _not_resumed(report, left)})
    after = backup_end.after_attempt(status, report, log_tail, world.now())
    if report.backup and report.backup.repository and not report.failure:
        tell(world, placed.repository, report.backup.repository)
    close = journals.handing_over(placed.site) if left else journals.closing(placed.site, journal=journal)
    if stop:
        return end(world, _shown(status, after), "Cancelled", _ended_by(stop, report, left), close)
    if report.failure and (late := deadline_passed(placed)):
        return end(world, _shown(status, after), "Failed", _ended_by(late, report, left), close)
    if after.completion_time is not None:
        return has_ended(after, close)
    assert after.retry_at and after.failure
    begins = f"the next one begins at {after.retry_at:%H:%M:%SZ}"
    message = f"attempt {after.attempts} failed ({after.failure.message}); {begins}"
    seconds = (after.retry_at - world.now()).total_seconds()
    return working(after, message, look_again_in=seconds, afterwards=close)


def _not_resumed(report: Report, left: tuple[Left, ...]) -> Failure:
    """Return the failure of an attempt whose services do not run: whatever else went wrong, this is what counts."""
    told = report.failure
    if told and told.reason == reasons.SERVICE_NOT_RESUMED:
        return told
    return second_line.failure_of(left, told.message if told else "")


def _ended_by(wanted: Failure, report: Report, left: tuple[Left, ...]) -> Failure:
    """Return why a run ends before its time: unless services are down, by what somebody wanted."""
    return report.failure if left and report.failure else wanted


def _shown(status: BackupRunStatus, after: BackupRunStatus) -> BackupRunStatus:
    """Return the status with what the last attempt has told of services and hooks, but not with its end."""
    told = {name: getattr(after, name) for name in ("quiesce", "downtime", "hooks", "log_tail")}
    return status.model_copy(update=told)
