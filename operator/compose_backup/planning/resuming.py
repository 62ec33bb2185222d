"""What is owed to whom: which containers of a plan are down because of us, and must be started again.

It follows from the plan and from a look at the containers alone, so that whoever is left can settle a journal, as often
as it likes. Called by agent/ after each restart and by reconcile/ for an agent that is dead.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

from compose_backup.api.journal import JournalPlan, PlannedService
from compose_backup.planning.facts import Container

ANY_START = ""
"""`startedAt` of a container that was crash-looping when the plan was made: Docker starts it again at any moment."""

AFTER_GRACE_SECONDS = 5.0
"""A container that was killed after its grace period, or told to pause, is seen as such within this time."""

NOTHING_TRIED: Mapping[str, str] = {}


def owed(
    plan: JournalPlan, containers: Iterable[Container], tried: Mapping[str, str] = NOTHING_TRIED
) -> tuple[PlannedService, ...]:
    """Return what is to be started or unpaused, in the order of coming up.

    Docker changes `StartedAt` on every start: a container that was started since, by anybody, or that was removed or
    made anew, owes nothing, so that a person's later stop is respected. `tried` holds, by container id, `StartedAt`
    as it was after a try of our own that did not last. The containers must have been inspected.
    """
    found = {one.id: one for one in containers}
    down = [
        service
        for service in plan.services
        if (container := found.get(service.container_id)) and is_owed(service, container, tried)
    ]
    return coming_up(down)


def may_go_down(plan: JournalPlan, containers: Iterable[Container]) -> tuple[PlannedService, ...]:
    """Return what runs as when the plan was made, of a plan whose agent is dead: it may be down in a moment.

    The engine goes on stopping a container whose caller is gone (moby, daemon/stop.go); until then it looks untouched.
    """
    found = {one.id: one for one in containers}
    return tuple(
        service
        for service in plan.services
        if (container := found.get(service.container_id))
        and container.state in ("running", "restarting")
        and service.started_at in (container.started_at, ANY_START)
    )


def going_down(
    plan: JournalPlan, containers: Iterable[Container], abandoned_for: dt.timedelta
) -> tuple[PlannedService, ...]:
    """Return what may still be on its way down, so long after the agent of a plan has died."""
    running = may_go_down(plan, containers)
    is_over = abandoned_for.total_seconds() >= longest_grace(plan, running) + AFTER_GRACE_SECONDS
    return () if is_over else running


def longest_grace(plan: JournalPlan, services: Iterable[PlannedService]) -> float:
    """Return how many seconds it may take at most until the engine has killed these, once they were told to stop."""
    given = plan.stop_timeout_seconds
    return max((one.stop_seconds if given is None else given for one in services if one.method == "Stop"), default=0)


def left_to_others(plan: JournalPlan, *, whole: bool) -> tuple[PlannedService, ...]:
    """Return what this plan must not start: below it is what an earlier restore has left, unless this made it whole."""
    return tuple(one for one in plan.services if one.only_when_whole and not whole)


def is_untouched(plan: JournalPlan, containers: Iterable[Container]) -> bool:
    """Return whether somebody still runs as when the plan was made: before all are down, a restore writes nothing."""
    planned = {one.container_id: one.started_at for one in plan.services if one.started_at != ANY_START}
    return any(one.state == "running" and planned.get(one.id) == one.started_at for one in containers)


def coming_up(services: Iterable[PlannedService]) -> tuple[PlannedService, ...]:
    """Return services in the order of coming up: dependencies first."""
    return tuple(sorted(services, key=lambda one: -one.level))


def is_owed(service: PlannedService, container: Container, tried: Mapping[str, str] = NOTHING_TRIED) -> bool:
    """Return whether a container is down, and nobody but us has started it since the plan was made."""
    if container.state != ("exited" if service.method == "Stop" else "paused"):
        return False
    ours = (service.started_at, tried.get(service.container_id, service.started_at))
    # What we have started Docker starts a few times more, and then gives up: these starts are no person's either.
    by_docker = service.container_id in tried and container.restart_policy.name == "on-failure"
    return by_docker or ANY_START in ours or container.started_at in ours
