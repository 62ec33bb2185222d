"""What a played agent does to the services of its plan on a fake engine: down before its work, up after it.

Used by fakes/played_agents.py.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from compose_backup.api.backup_run import QuiescedService, QuiesceResult
from compose_backup.api.journal import JournalPlan, RestartPolicy
from compose_backup.planning.resuming import left_to_others, owed
from fakes.docker_host import FakeEngine


def down(engine: FakeEngine, plan: JournalPlan, now: dt.datetime) -> QuiesceResult | None:
    """Stop or pause the services of a plan; a restore holds their restart policies."""
    if not plan.services:
        return None
    for service in plan.services:
        found = engine.services[service.name]
        held = replace(found, restart_policy=RestartPolicy()) if plan.purpose == "restore" else found
        state = {"Stop": "exited", "Pause": "paused"}[service.method]
        engine.services[service.name] = replace(held, state=state)
    services = tuple(
        QuiescedService(container=one.name, service=one.title, method=one.method, down_time=now)
        for one in plan.services
    )
    return QuiesceResult(method=plan.method, services=services, start_time=now)


def up(
    engine: FakeEngine, plan: JournalPlan, before: QuiesceResult | None, now: dt.datetime, *, whole: bool = False
) -> QuiesceResult | None:
    """Bring back what is owed, and tell how long it was down; what the engine cannot start is told of, too."""
    errors = {}
    others = left_to_others(plan, whole=whole)
    for service in (one for one in owed(plan, engine.services.values()) if one not in others):
        if service.name in engine.unstartable:
            errors[service.name] = engine.unstartable[service.name]
        elif service.method == "Pause":
            engine.services[service.name] = replace(engine.services[service.name], state="running")
        else:
            engine.start_service(service.name)
    for service in (one for one in plan.services if one not in others):
        if plan.purpose == "restore" and (found := engine.services.get(service.name)):
            engine.services[service.name] = replace(found, restart_policy=service.restart_policy)
    return _ended(before, errors, now) if before else None


def ended_again(engine: FakeEngine, told: QuiesceResult | None) -> QuiesceResult | None:
    """Let all that was started end at once, and tell of it."""
    if told is None:
        return None
    for one in told.services:
        engine.stop_service(one.container)
    error = {"up_time": None, "downtime_seconds": None, "error": "it ended as soon as it was started"}
    return told.model_copy(update={"services": tuple(one.model_copy(update=error) for one in told.services)})


def _ended(before: QuiesceResult, errors: dict[str, str], now: dt.datetime) -> QuiesceResult:
    services = tuple(
        one.model_copy(update={"error": errors[one.container]})
        if one.container in errors
        else one.model_copy(update={"up_time": now, "downtime_seconds": _seconds(one, now)})
        for one in before.services
    )
    longest = max((one.downtime_seconds or 0.0 for one in services), default=0.0)
    return before.model_copy(update={"services": services, "end_time": now, "downtime_seconds": longest})


def _seconds(service: QuiescedService, now: dt.datetime) -> float:
    assert service.down_time
    return (now - service.down_time).total_seconds()
