"""Down: dependants first, one level after the other, each container written to the journal before it is touched.

Called by window.py.
"""

from __future__ import annotations

from compose_backup.agent.events import now
from compose_backup.agent.looking import Engine
from compose_backup.agent.quiesce.downtimes import Downtimes
from compose_backup.agent.quiesce.journal import Journal
from compose_backup.agent.quiesce.reaching import side_by_side
from compose_backup.agent.stopping import Stop
from compose_backup.api import reasons
from compose_backup.api.journal import JournalPlan, PlannedService, RestartPolicy
from compose_backup.errors import AgentFailed


def take_down(plan: JournalPlan, engine: Engine, journal: Journal, downtimes: Downtimes, stop: Stop) -> None:
    """Stop or pause everything. Raise AgentFailed for the first that cannot be; then the rest is left alone."""

    def act(service: PlannedService) -> None:
        journal.write("going-down", container=service.container_id)
        downtimes.told_to_stop(service, now())
        _quiesce(service, plan.stop_timeout_seconds, engine)
        if plan.purpose == "restore":
            # Docker starts what is `always` when its daemon is restarted, also onto half-restored data. Not before the
            # stop: the engine refuses to change a container that is just being started again.
            engine.set_restart_policy(service.container_id, RestartPolicy())
        journal.note("down", container=service.container_id)

    if plan.purpose == "run" and plan.services:
        stop.open_window(plan.max_seconds)
    for level in sorted({service.level for service in plan.services}):
        stop.check()
        side_by_side(act, [service for service in plan.services if service.level == level])


def _quiesce(service: PlannedService, timeout_seconds: int | None, engine: Engine) -> None:
    try:
        if service.method == "Stop":
            engine.stop(service.container_id, timeout_seconds)
        else:
            engine.pause(service.container_id)
    except AgentFailed as error:
        if error.reason != reasons.SERVICE_NOT_STOPPED:
            raise
        message = f"{service.title} ({service.name}) could not be quiesced: {error.message}"
        raise AgentFailed(error.reason, message, retryable=error.retryable) from error
