"""BackupJob: look, do ahead what can be, stop services, capture the volumes, start services again, write the record.

Called by agent/jobs.py.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
from concurrent.futures import Future, ThreadPoolExecutor

from compose_backup.agent import ahead, run_record
from compose_backup.agent.archive import Archived
from compose_backup.agent.attempt import Attempt
from compose_backup.agent.context import Context, Patience
from compose_backup.agent.engines.restic_errors import ENDS_THE_ATTEMPT
from compose_backup.agent.events import now
from compose_backup.agent.looking import Engine, Look
from compose_backup.agent.quiesce.checks import look_for, refuse_changes
from compose_backup.agent.quiesce.window import Quiescence
from compose_backup.agent.repository import Opened, described, open_to_write
from compose_backup.agent.texts import MESSAGE_LIMIT, shorten
from compose_backup.agent.warm import WarmSnapshots
from compose_backup.api import reasons
from compose_backup.api.backup_run import Failure
from compose_backup.api.job import BackupJob, BackupReport, Report
from compose_backup.errors import AgentFailed


def run(job: BackupJob, context: Context) -> Report:
    """Archive all volumes. Raise AgentFailed only for what is found before anything is stopped."""
    started = now()
    attempt = _prepared(job, context)
    refuse_changes(job.plan, job.volumes, attempt.look)
    quiescence = Quiescence(job.plan, attempt.engine, context)
    snapshots = WarmSnapshots(job, context)
    with ahead.prepared(job, attempt.parents, snapshots, context) as volumes:
        attempt.begin(volumes)
        try:
            with ahead.in_window(volumes), quiescence:  # pre hooks, stops · starts, post hooks
                attempt.capture_all()
        except AgentFailed as error:
            attempt.refuse(error)
        if any(one.stage for one in volumes.values()):
            quiescence.finish()  # an archive may take hours, and a service that did not start must not wait for it
        archived = attempt.archive_all(snapshots)
    report = _closed(job, archived, started, context, quiescence, attempt.ended_by)
    snapshots.forget(attempt.opened.snapshots)
    quiescence.finish()
    return _with_services(_with_repository(report, attempt), quiescence)


def _prepared(job: BackupJob, context: Context) -> Attempt:
    """Open the repository and look around: whatever fails here has touched nothing."""
    # Opening costs half a second of key derivation; looking through the Docker socket changes nothing meanwhile.
    with ThreadPoolExecutor(max_workers=2) as pool:
        opening, asking = pool.submit(open_to_write, context), pool.submit(_versions, context)
        engine = context.engine()
        look = _looked(engine, job, opening, context.patience)
        return Attempt(job, context, engine, look, opening.result(), asking.result())


def _looked(engine: Engine, job: BackupJob, opening: Future[Opened], patience: Patience) -> Look:
    """Return the first look. When the repository cannot be opened either, that is what is told."""
    try:
        return look_for(job.plan, job.volumes, engine, patience)
    except AgentFailed:
        opening.result()
        raise


def _versions(context: Context) -> tuple[str, str]:
    """Return the versions of the agent and of restic, for the manifests."""
    try:
        own = importlib.metadata.version("compose-backup-operator")
    except importlib.metadata.PackageNotFoundError:
        own = "unknown"  # run from a source tree
    return own, str(json.loads(context.restic.run("ask restic's version", ("version",)).text)["version"])


def _closed(
    job: BackupJob,
    archived: list[Archived],
    started: dt.datetime,
    context: Context,
    quiescence: Quiescence,
    ended_by: AgentFailed | None,
) -> Report:
    """Write the record and return the report. Without a record no attempt succeeded."""
    record = run_record.record_of(job, archived, started, quiescence)
    volumes = tuple(one.result for one in archived)
    failure = _failure(archived, ended_by)
    try:
        if ended_by is not None and ended_by.reason in ENDS_THE_ATTEMPT:
            raise ended_by
        record_id = run_record.store(record, job, context)
    except AgentFailed as error:
        failure = _as_failure(error)
        return Report(backup=BackupReport(verdict="Failed", volumes=volumes), failure=failure)
    return Report(backup=BackupReport(verdict=record.verdict, volumes=volumes, record_id=record_id), failure=failure)


def _with_repository(report: Report, attempt: Attempt) -> Report:
    """Add what is in the repository now."""
    assert report.backup is not None
    added = sum(1 for one in report.backup.volumes if one.snapshot_id)
    told = {"repository": described(attempt.opened, attempt.context, added)}
    return report.model_copy(update={"backup": report.backup.model_copy(update=told)})


def _failure(archived: list[Archived], ended_by: AgentFailed | None) -> Failure | None:
    """Return why the attempt is not green: what ended it, or else the worst volume, the others counted."""
    if ended_by is not None:
        return _as_failure(ended_by)
    bad = sorted((one for one in archived if one.reason), key=lambda one: one.result.phase != "Failed")
    if not bad:
        return None
    others = f" (and {len(bad) - 1} more of {len(archived)} volumes)" if len(bad) > 1 else ""
    message = f"volume {bad[0].result.name}: {bad[0].result.error}{others}"
    retryable = all(one.retryable for one in bad)
    return Failure(reason=str(bad[0].reason), message=shorten(message, MESSAGE_LIMIT), retryable=retryable)


def _with_services(report: Report, quiescence: Quiescence) -> Report:
    """Add what became of the services. One that is still down comes before everything that is wrong with the data."""
    assert report.backup is not None
    told: dict[str, object] = {"quiesce": quiescence.result, "hooks": quiescence.hooks}
    problem, failure = quiescence.failure, report.failure
    if problem is not None and (failure is None or problem.reason == reasons.SERVICE_NOT_RESUMED):
        failure = _as_failure(problem)
        if problem.reason == reasons.HOOK_FAILED:
            told["verdict"] = "PartiallyFailed"
    return report.model_copy(update={"backup": report.backup.model_copy(update=told), "failure": failure})


def _as_failure(error: AgentFailed) -> Failure:
    return Failure(reason=error.reason, message=shorten(error.message, MESSAGE_LIMIT), retryable=error.retryable)
