"""The one place that writes status: the whole of it, once a pass, and an Event where a condition has changed.

Called by worker.py at the end of each pass, and by passes that must be seen by others before they go on.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from compose_backup.api.conditions import FRESH, LAST_RUN_SUCCEEDED, READY, SERVICES_RESUMED, Condition
from compose_backup.api.resources import Resource
from compose_backup.planning.conditions import conditions
from compose_backup.reconcile.dependents import wake_dependents
from compose_backup.reconcile.outcome import Outcome
from compose_backup.reconcile.ports import Notice
from compose_backup.reconcile.queue import key_of
from compose_backup.reconcile.world import World

log = logging.getLogger(__name__)

TOLD = (READY, FRESH, LAST_RUN_SUCCEEDED, SERVICES_RESUMED)


async def commit(world: World, resource: Resource[Any, Any], outcome: Outcome) -> Outcome:
    """Write the outcome's status if it says something new; return what is left of the outcome."""
    if outcome.status is None:
        return outcome
    stated = conditions(outcome.claims, resource.status.conditions, resource.generation, world.now())
    status = outcome.status.model_copy(update={"conditions": stated, "observed_generation": resource.generation})
    wire = status.to_wire()
    if wire != resource.status.to_wire():
        body = await world.cluster.write_status(resource.kind, resource.body, wire)
        if body is not None:
            world.store.put(resource.kind, body)
            wake_dependents(world, key_of(resource.kind, body))
            for notice in _notices(resource, stated):
                await world.cluster.emit(notice)
    return replace(outcome, status=None, claims=())


def _notices(resource: Resource[Any, Any], stated: tuple[Condition, ...]) -> list[Notice]:
    """Return an Event for each told condition whose status or reason has changed; first good news are none."""
    before = {condition.type: condition for condition in resource.status.conditions}
    notices = []
    for condition in stated:
        old = before.get(condition.type)
        if condition.type not in TOLD or (old and (old.status, old.reason) == (condition.status, condition.reason)):
            continue
        if old is None and condition.status != "False":
            continue
        kind = "Warning" if condition.status == "False" else "Normal"
        reason = condition.reason if condition.type == READY else f"{condition.type}{condition.status}"
        notices.append(Notice(resource.kind, resource.body, kind, reason, condition.message))
        log.info("%s %s/%s: %s: %s", resource.kind.name, resource.namespace, resource.name, reason, condition.message)
    return notices
