"""One job, from its kind to its report; every error that is part of normal operation ends here.

Called by agent/__main__.py.
"""

from __future__ import annotations

import traceback

from compose_backup.agent import backup, catalog, probe, restore
from compose_backup.agent.context import Context
from compose_backup.agent.texts import MESSAGE_LIMIT, shorten
from compose_backup.api import reasons
from compose_backup.api.backup_run import Failure
from compose_backup.api.job import Job, Report
from compose_backup.errors import AgentFailed


def perform(job: Job, context: Context) -> Report:
    """Do the job and return its report, whatever happened."""
    try:
        report = _dispatched(job, context)
    except AgentFailed as error:
        message = shorten(error.message, MESSAGE_LIMIT)
        report = Report(failure=Failure(reason=error.reason, message=message, retryable=error.retryable))
    except Exception as error:  # a bug or a broken machine: told as it is, and never taken for success
        context.diagnostics.say(traceback.format_exc())
        message = shorten(context.diagnostics.redact(f"the agent failed: {error!r}; see status.logTail"), MESSAGE_LIMIT)
        report = Report(failure=Failure(reason=reasons.ARCHIVE_FAILED, message=message, retryable=True))
    cancelled = context.stop.cancelled and report.failure is not None
    return report.model_copy(update={"cancelled": cancelled})


def seconds_left(job: Job) -> int | None:
    """Return the time until the deadline, in seconds; None without one."""
    part = job.backup or job.restore
    return part.seconds_left if part else None


def _dispatched(job: Job, context: Context) -> Report:
    if job.probe is not None:
        return probe.run(job.probe, context)
    if job.catalog is not None:
        return catalog.run(job.catalog, context)
    if job.backup is not None:
        return backup.run(job.backup, context)
    if job.restore is not None:
        return restore.run(job.restore, context)
    raise AgentFailed(reasons.INVALID_SPEC, "the job is empty: operator and agent image do not fit", retryable=False)
