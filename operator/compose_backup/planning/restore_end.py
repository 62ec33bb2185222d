"""How a restore ends: by the report of its agent, by the agent's death, or before it has begun.

Called by reconcile/restore_stop.py, restore_start.py and restore_outcomes.py.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from compose_backup.api import reasons
from compose_backup.api.backup_run import Failure
from compose_backup.api.job import Report, RestoreReport
from compose_backup.api.restore_request import RestoredVolume, RestoreRequestStatus, VolumeDefinition
from compose_backup.planning import downtime, humanize
from compose_backup.planning.agent_state import Died


def after_report(
    status: RestoreRequestStatus, report: Report, log_tail: str, now: dt.datetime, *, touched: bool = False
) -> RestoreRequestStatus:
    """Return the final status of a restore whose agent has reported, and has `touched` a target by what it said."""
    volumes = report.restore.volumes if report.restore else ()
    failure = report.failure or _unproven(status, report)
    said = report.restore or report.cleanup
    quiesce = said.quiesce if said else None
    status = status.model_copy(update={"volumes": volumes, "log_tail": log_tail or None, **downtime.shown(quiesce)})
    incomplete = _is_incomplete(report, touched=touched)
    if failure and incomplete and failure.reason != reasons.TARGET_INCOMPLETE:
        failure = _incomplete(status, failure)
    if failure:
        failure = failure.model_copy(update={"message": f"{failure.message}{downtime.kept(quiesce)}"[:4096]})
    if report.cancelled and not incomplete:
        return finished(status, "Cancelled", failure, now)
    return finished(status, "Failed" if failure else "Succeeded", failure, now)


def report_of_mark(volumes: tuple[RestoredVolume, ...], told: Report) -> Report:
    """Return the report of a restore whose agent has marked that it is whole, and has told of the services at most."""
    in_vain = told.failure is not None and told.failure.reason == reasons.SERVICE_NOT_RESUMED
    quiesce = told.cleanup.quiesce if told.cleanup else None
    if quiesce:
        quiesce = quiesce.model_copy(update={"kept_stopped": False})
    restored = RestoreReport(volumes=volumes, quiesce=quiesce)
    return Report(restore=restored, failure=told.failure if in_vain else None)


def _is_incomplete(report: Report, *, touched: bool) -> bool:
    """Return whether a target may hold half-restored data.

    An agent that was restarted knows only its journal, and one that came upon a fault of its own tells of no volume.
    """
    if report.restore:
        return any(volume.phase == "TargetIncomplete" for volume in report.restore.volumes)
    return report.cleanup.target_incomplete if report.cleanup else touched


def is_whole(status: RestoreRequestStatus) -> bool:
    """Return whether every volume was restored to its end, whatever became of the services."""
    wanted = {volume.target for volume in status.resolved.volumes} if status.resolved else set()
    return bool(wanted) and wanted <= {volume.name for volume in status.volumes if volume.phase == "Succeeded"}


def after_death(status: RestoreRequestStatus, died: Died, now: dt.datetime) -> RestoreRequestStatus:
    """Return the final status of a restore whose agent died: with something written, the targets are not to be used."""
    quiesce = died.quiesce or status.quiesce
    if quiesce and died.target_touched:
        quiesce = quiesce.model_copy(update={"kept_stopped": any(not one.up_time for one in quiesce.services)})
    failure = _incomplete(status, died.failure) if died.target_touched else died.failure
    failure = failure.model_copy(update={"message": f"{failure.message}{downtime.kept(quiesce)}"[:4096]})
    status = status.model_copy(update={"log_tail": died.log_tail or None, **downtime.shown(quiesce)})
    return finished(status, "Failed", failure, now)


def _incomplete(status: RestoreRequestStatus, cause: Failure) -> Failure:
    """Return the failure that says what must not be used, and how to get out of it."""
    targets = [volume.target for volume in status.resolved.volumes] if status.resolved else []
    return Failure(
        reason=reasons.TARGET_INCOMPLETE,
        message=f"{cause.message}; {humanize.listed(targets)} may hold half-restored data: do not start "
        "services onto it, restore again with existingData: Mirror",
    )


def done(status: RestoreRequestStatus) -> str:
    """Return what a restore has done, for the message of its conditions."""
    down = f"; services down for at most {status.downtime}" if status.downtime else ""
    return f"{len(status.volumes)} volumes restored{down}{downtime.unhealthy(status.quiesce)}"


def finished(
    status: RestoreRequestStatus, phase: str, failure: Failure | None, now: dt.datetime
) -> RestoreRequestStatus:
    """Return the status of a restore that has ended."""
    progress = status.progress
    if phase == "Succeeded" and progress:
        progress = progress.model_copy(update={"percent": 100, "volume": None})
    began = status.start_time or now
    return status.model_copy(
        update={
            "phase": phase,
            "failure": failure,
            "progress": progress,
            "completion_time": now,
            "duration": humanize.duration(now - began),
        }
    )


def _unproven(status: RestoreRequestStatus, report: Report) -> Failure | None:
    """Return why a report without a failure is still no success: every volume must have been restored."""
    wanted = {volume.target for volume in status.resolved.volumes} if status.resolved else set()
    done = {v.name for v in report.restore.volumes if v.phase == "Succeeded"} if report.restore else set()
    if wanted and wanted == done:
        return None
    return Failure(
        reason=reasons.NOTHING_RESTORED,
        message=f"the agent reported no failure, but nothing about {humanize.listed(sorted(wanted - done))}",
    )


def volumes_to_create(status: RestoreRequestStatus) -> Mapping[str, VolumeDefinition]:
    """Return the volumes that were missing when the request was resolved, by name."""
    volumes = status.resolved.volumes if status.resolved else ()
    return {volume.target: volume.definition for volume in volumes if volume.definition}
