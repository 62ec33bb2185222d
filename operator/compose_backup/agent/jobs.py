"""One job, from its kind to its report; every error that is part of normal operation ends here.

Called by agent/__main__.py.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable

from compose_backup.agent import backup, catalog, probe, restore
from compose_backup.agent.context import Context, Surroundings
from compose_backup.agent.engines.restic import Restic
from compose_backup.agent.processes import Runner
from compose_backup.agent.quiesce import recovery
from compose_backup.agent.quiesce.reaching import EngineGone
from compose_backup.agent.texts import MESSAGE_LIMIT, shorten
from compose_backup.api import reasons
from compose_backup.api.backup_run import Failure
from compose_backup.api.job import Job, Report, RepositoryAccess
from compose_backup.errors import AgentFailed


def perform(job: Job, outside: Surroundings) -> Report:
    """Do the job and return its report, whatever happened. Raise EngineGone when the agent has to be started anew."""
    return told(lambda: _dispatched(job, outside), outside)


def told(work: Callable[[], Report], outside: Surroundings) -> Report:
    """Return the report on work, whatever becomes of it. Raise EngineGone when the agent has to be started anew."""
    try:
        report = work()
    except AgentFailed as error:
        message = shorten(error.message, MESSAGE_LIMIT)
        report = Report(failure=Failure(reason=error.reason, message=message, retryable=error.retryable))
    except EngineGone:
        raise
    except Exception as error:  # a bug or a broken machine: told as it is, and never taken for success
        outside.diagnostics.say(traceback.format_exc())
        message = shorten(outside.diagnostics.redact(f"the agent failed: {error!r}; see status.logTail"), MESSAGE_LIMIT)
        report = Report(failure=Failure(reason=reasons.ARCHIVE_FAILED, message=message, retryable=True))
    cancelled = outside.stop.cancelled and report.failure is not None
    return report.model_copy(update={"cancelled": cancelled})


def context_for(access: RepositoryAccess, outside: Surroundings) -> Context:
    """Return what a job works with that opens a repository."""
    places = outside.places
    password = access.password.get_secret_value()
    outside.diagnostics.keep_secret(password)
    runner = Runner(outside.stop, outside.patience.ending)
    restic = Restic(runner, access, places.repository, places.restic, places.scratch, outside.diagnostics.say)
    return Context(
        places=places,
        emitter=outside.emitter,
        diagnostics=outside.diagnostics,
        stop=outside.stop,
        engine=outside.engine,
        patience=outside.patience,
        access=access,
        restic=restic,
    )


def seconds_left(job: Job) -> int | None:
    """Return the time until the deadline, in seconds; None without one."""
    part = job.backup or job.restore
    return part.seconds_left if part else None


def _dispatched(job: Job, outside: Surroundings) -> Report:
    if job.cleanup is not None:
        return recovery.recover(job.cleanup.plan, outside, asked_for=lambda: True)
    if job.repository is None:
        raise AgentFailed(reasons.INVALID_SPEC, "the job names no repository: what should it do?", retryable=False)
    return _with_repository(job, context_for(job.repository, outside))


def _with_repository(job: Job, context: Context) -> Report:
    if job.probe is not None:
        return probe.run(job.probe, context)
    if job.catalog is not None:
        return catalog.run(job.catalog, context)
    if job.backup is not None:
        return backup.run(job.backup, context)
    if job.restore is not None:
        return restore.run(job.restore, context)
    raise AgentFailed(reasons.INVALID_SPEC, "the job is empty: operator and agent image do not fit", retryable=False)
