"""How a run ends: by the reports of its attempts, or since what it was started with is gone.

Called by reconcile/run_end.py, run_outcomes.py and run_place.py.
"""

from __future__ import annotations

import datetime as dt

from compose_backup.api import reasons
from compose_backup.api.backup_run import BackupRunStatus, Consistency, Failure, ResolvedRun
from compose_backup.api.job import BackupReport, Report
from compose_backup.api.resources import Host
from compose_backup.planning import downtime, humanize

WEAKEST_FIRST: tuple[Consistency, ...] = ("Live", "Frozen", "Stopped")


def deleted(resolved: ResolvedRun, host: Host | None) -> Failure:
    """Return why a run ends whose host, or whose repository while the operator was down, was deleted."""
    what = f"ArchiveRepository {resolved.repository.name}" if host else f"ComposeHost {resolved.host.name}"
    reason = reasons.REPOSITORY_NOT_FOUND if host else reasons.HOST_NOT_FOUND
    message = f"{what} was deleted while the run was active; apply it again, then create another run"
    return Failure(reason=reason, message=message)


def moved(resolved: ResolvedRun, host: Host) -> Failure | None:
    """Return why a run ends whose host was made anew or leads to another engine: its agent is not there."""
    if host.uid != resolved.host.uid:
        what = f"ComposeHost {host.name} was deleted and made anew while the run was active"
    elif host.ready and host.status.engine and host.status.engine.id != resolved.host.engine_id:
        what = f"ComposeHost {host.name} leads to another Docker Engine than when the run was started"
    else:
        return None
    return Failure(reason=reasons.HOST_NOT_FOUND, message=f"{what}; create another run")


def after_attempt(status: BackupRunStatus, report: Report, log_tail: str, now: dt.datetime) -> BackupRunStatus:
    """Return the status once an attempt has ended: finished, or waiting for the next attempt."""
    assert status.resolved
    failure = report.failure or _unproven(status.resolved, report.backup)
    reported = _with_results(status, report, log_tail)
    if failure is None:
        return finished(reported, "Succeeded", None, now)
    retry = status.resolved.retry
    if _may_be_tried_again(failure) and status.attempts <= retry.limit:
        pause = dt.timedelta(seconds=retry.backoff_seconds * 2 ** max(0, status.attempts - 1))
        return reported.model_copy(
            update={"phase": "Running", "agent": None, "progress": None, "failure": failure, "retry_at": now + pause}
        )
    return finished(reported, "PartiallyFailed" if _is_partly_good(report, failure) else "Failed", failure, now)


def _may_be_tried_again(failure: Failure) -> bool:
    """Return whether another attempt may follow: not while a service does not run, it would be stopped once more."""
    return failure.retryable and failure.reason != reasons.SERVICE_NOT_RESUMED


def _is_partly_good(report: Report, failure: Failure) -> bool:
    """Return whether some of what was asked is done: some of the data is archived, or only a hook has failed."""
    if report.backup is None or report.backup.record_id is None:
        return False
    only_a_hook = failure.reason == reasons.HOOK_FAILED and report.backup.verdict == "Succeeded"
    return failure.reason != reasons.SERVICE_NOT_RESUMED and (report.backup.verdict == "PartiallyFailed" or only_a_hook)


def finished(status: BackupRunStatus, phase: str, failure: Failure | None, now: dt.datetime) -> BackupRunStatus:
    """Return the status of a run that has ended."""
    began = status.start_time or now
    progress = status.progress
    if phase == "Succeeded" and progress:
        progress = progress.model_copy(update={"percent": 100, "volume": None})
    return status.model_copy(
        update={
            "phase": phase,
            "failure": failure,
            "progress": progress,
            "retry_at": None,
            "completion_time": now,
            "duration": humanize.duration(now - began),
        }
    )


def done(status: BackupRunStatus) -> str:
    """Return what a run has done, for the message of its conditions."""
    down = f"; services down for at most {status.downtime}" if status.downtime else ""
    return f"{len(status.volumes)} volumes archived{down}{downtime.unhealthy(status.quiesce)}"


def _unproven(resolved: ResolvedRun, report: BackupReport | None) -> Failure | None:
    """Return why a report without a failure is still no success: good is a run with its record and all its volumes."""
    done = {one.name for one in report.volumes if one.phase == "Succeeded" and one.snapshot_id} if report else set()
    missing = sorted(set(resolved.volumes) - done)
    if report and report.verdict == "Succeeded" and report.record_id and not missing:
        return None
    lacks = f"no archive of {humanize.listed(missing)}" if missing else "no run record of a success"
    return Failure(
        reason=reasons.NOTHING_ARCHIVED,
        message=f"the agent reported no failure, but {lacks}; the run does not count",
        retryable=True,
    )


def _with_results(status: BackupRunStatus, report: Report, log_tail: str) -> BackupRunStatus:
    """Return the status with what an attempt has told, whatever its end."""
    said = report.backup or report.cleanup
    status = status.model_copy(update={"log_tail": log_tail or None})
    if said is None:
        return status
    status = status.model_copy(update={"hooks": said.hooks, **downtime.shown(said.quiesce)})
    return status.model_copy(update=_volumes(report.backup)) if report.backup else status


def _volumes(report: BackupReport) -> dict[str, object]:
    processed = sum(volume.bytes_processed for volume in report.volumes)
    added = sum(volume.bytes_added for volume in report.volumes)
    return {
        "volumes": report.volumes,
        "record": report.record_id,
        "consistency": _weakest(report),
        "bytes_processed": processed,
        "size": humanize.size(processed),
        "bytes_added": added,
        "added": humanize.size(added),
    }


def _weakest(report: BackupReport) -> Consistency | None:
    kinds = {volume.consistency for volume in report.volumes}
    return next((kind for kind in WEAKEST_FIRST if kind in kinds), None)
