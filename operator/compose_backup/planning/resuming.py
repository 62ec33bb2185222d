"""What is owed to whom: which containers of a plan are down because of us, and must be started again.

It follows from the plan and from a look at the containers alone, so that whoever is left can settle a journal, as often
as it likes. Called by agent/ after each restart and by reconcile/ for an agent that is dead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from compose_backup.api.journal import JournalPlan, PlannedService
from compose_backup.planning.facts import Container

ANY_START = ""
"""`startedAt` of a container that was crash-looping when the plan was made: Docker starts it again at any moment."""

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
