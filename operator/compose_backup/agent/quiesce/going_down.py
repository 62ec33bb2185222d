"""Down: dependants first, one level after the other, each container written to the journal before it is touched.

Called by window.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from compose_backup.agent.context import Patience
from compose_backup.agent.events import now
from compose_backup.agent.looking import Engine
from compose_backup.agent.quiesce.downtimes import Downtimes
from compose_backup.agent.quiesce.journal import Journal
from compose_backup.agent.quiesce.reaching import reaching, side_by_side
from compose_backup.agent.stopping import Stop
from compose_backup.api import reasons
from compose_backup.api.journal import JournalEntry, JournalPlan, PlannedService, RestartPolicy
from compose_backup.errors import AgentFailed
from compose_backup.planning import resuming


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


def await_down(plan: JournalPlan, entries: Iterable[JournalEntry], engine: Engine, patience: Patience) -> None:
    """Wait for what an agent before this one was stopping when it died: the engine goes on, and is done a moment later.

    Who would not wait takes it for never stopped, and it stays down. It is not stopped again: some programs take a
    second signal for a wish to end without saving.
    """
    known = tuple(entries)
    seen = {entry.container for entry in known if entry.step in ("down", "up")}
    begun = {entry.container for entry in known if entry.step == "going-down"} - seen
    services = [one for one in plan.services if one.container_id in begun]
    limit = time.monotonic() + resuming.longest_grace(plan, services) + patience.after_grace

    def is_down() -> bool:
        found = reaching(lambda: engine.inspect([one.container_id for one in services]), patience)
        return not resuming.may_go_down(plan, found)

    while services and not is_down() and time.monotonic() < limit:
        time.sleep(patience.poll)


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
