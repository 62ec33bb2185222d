"""Which containers go down while volumes are read or written, in which order, and what must be undone afterwards.

The operator makes the plan before each attempt; the agent carries it out, after it has compared it with what it sees.

| a container that writes | what is done |
|---|---|
| running | stopped or paused, started again |
| restarting (crash-looping) | stopped, since it may write at any moment; ours to start |
| paused by somebody else | left alone: the copy is `Frozen`. A restore waits for it |
| exited, created, dead | left alone, unless an unfinished journal says that we have stopped it |
| `docker compose run`, `docker run --rm`, a task of a swarm | refused: nobody could start it again |

Called by reconcile/ and agent/.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from compose_backup.api.backup_policy import Hooks, Method, Quiesce
from compose_backup.api.compose_host import Permit
from compose_backup.api.journal import JournalPlan, PlannedService
from compose_backup.planning import hooks, journals, ordering, permits, quiescing_checks, resuming, writers
from compose_backup.planning.checks import Objection
from compose_backup.planning.facts import Container, Inventory

STOPPABLE = frozenset({"running", "restarting"})


@dataclass(frozen=True)
class Intent:
    """What is going to be done, and for whom."""

    purpose: Literal["run", "restore"]
    owner: str
    """`<kind> <namespace>/<name>`, for messages."""
    agent: str
    """Name of the agent's container."""
    attempt: int
    volumes: tuple[str, ...]
    """Full names of the volumes that are read, or written by a restore."""
    quiesce: Quiesce
    permit: Permit
    hooks: Hooks = field(default_factory=Hooks)
    tried: Mapping[str, str] = field(default_factory=dict)
    """Container id → `StartedAt` after a start of ours that did not last: what a dead agent has left, it still is."""


@dataclass(frozen=True)
class _Choice:
    """What is done with each container, by id."""

    down: dict[str, Literal["Stop", "Pause"]]
    left_running: tuple[Container, ...]
    adopted: dict[str, PlannedService]
    """Containers that an unfinished journal has left down: they count as ours to start."""
    spoilt: frozenset[str] = frozenset()
    """Those of them that a restore has left down: only whole data may be under them when they start."""


def candidates(volumes: Sequence[str], inventory: Inventory, quiesce: Quiesce) -> tuple[str, ...]:
    """Return the ids of the containers that must be inspected before a plan can be made.

    That is every container at work once any may go down: only inspect tells who is joined to whom. Those that a
    journal names are among them, running or not.
    """
    using = journals.users(volumes, inventory)
    named = {(one.project, one.service) for one in quiesce.services}
    concerned = any(
        writers.is_active(one) and method_of(one, quiesce) != "None"
        for one in inventory.containers
        if one.id in using or (one.project, one.service) in named
    )
    left = {service.container_id for plan in journals.plans(inventory) for service in plan.services}
    return tuple(one.id for one in inventory.containers if (concerned and writers.is_active(one)) or one.id in left)


def make_plan(
    intent: Intent, inventory: Inventory, inspected: Sequence[Container], now: dt.datetime
) -> JournalPlan | Objection:
    """Return what goes down for an attempt, or why the attempt cannot begin."""
    look = inventory.with_inspected(inspected)
    known = {one.id for one in inspected}
    using = [one for one in _using(intent.purpose, intent.volumes, look) if writers.is_active(one)]
    if objection := quiescing_checks.of_users(intent.purpose, intent.agent, intent.quiesce, using, look):
        return objection
    plan = _plan(intent, look, _choose(intent, look, using, known), now)
    concerned = [one for one in look.containers if one.id in {service.container_id for service in plan.services}]
    return (
        quiescing_checks.of_plan(plan, concerned)
        or permits.containers_refused(intent.permit, concerned)
        or hooks.objection(intent.hooks, intent.permit, look.containers)
        or quiescing_checks.of_journals(plan, intent.volumes, look)
        or plan
    )


def changes(plan: JournalPlan, volumes: Sequence[str], inventory: Inventory) -> tuple[str, ...]:
    """Return what is not as it was when the plan was made, for people: another attempt has to plan anew.

    The containers of the plan and the users of the volumes must have been inspected.
    """
    containers = {one.id: one for one in inventory.containers}
    moved = [f"{one.title} was started anew or removed" for one in plan.services if not _is_as_planned(one, containers)]
    left_down = {
        service.container_id
        for other in journals.plans(inventory)
        for service in other.services
        if other.agent != plan.agent
    }
    # Else it would be started or let go in the end, although nobody but a person has brought it to rest.
    stopped = [
        f"{one.title} was stopped or paused"
        for one in plan.services
        if one.container_id not in left_down and _is_at_rest(one, containers)
    ]
    if plan.method == "None":
        return tuple(sorted({*moved, *stopped}))  # a live copy is asked for, whoever writes
    expected = {one.container_id for one in plan.services} | set(plan.left_running)
    using = _using(plan.purpose, volumes, inventory)
    new = [
        f"{one.title} writes now"
        for one in using
        if one.state in STOPPABLE and one.id not in expected and one.name != plan.agent
    ]
    return tuple(sorted({*moved, *stopped, *new}))


def _is_at_rest(service: PlannedService, containers: dict[str, Container]) -> bool:
    found = containers.get(service.container_id)
    return found is not None and found.state not in STOPPABLE


def _is_as_planned(service: PlannedService, containers: dict[str, Container]) -> bool:
    found = containers.get(service.container_id)
    return found is not None and service.started_at in (found.started_at, resuming.ANY_START)


def _using(purpose: Literal["run", "restore"], names: Iterable[str], inventory: Inventory) -> list[Container]:
    """Return who writes to the volumes; for a restore, who uses them at all."""
    wanted = [volume for volume in inventory.volumes if volume.name in set(names)]
    find = writers.writers if purpose == "run" else writers.users
    return list({one.id: one for volume in wanted for one in find(volume, inventory)}.values())


def _choose(intent: Intent, look: Inventory, using: Sequence[Container], known: set[str]) -> _Choice:
    active = [one for one in look.containers if one.id in known and one.state in STOPPABLE]
    named = {(one.project, one.service) for one in intent.quiesce.services}
    wanted = [one for one in active if one in using or (one.project, one.service) in named]
    down = {one.id: _as(method, one) for one in wanted if (method := method_of(one, intent.quiesce)) != "None"}
    adopted, spoilt = _adopted(intent, look)
    stopped = [one for one in active if down.get(one.id) == "Stop"]
    # Whatever was said of them: without a start of their own they would be cut off for good.
    down |= {one.id: "Stop" for one in ordering.with_joined(stopped, active)}
    asked = [one for one in using if one.state in STOPPABLE and method_of(one, intent.quiesce) == "None"]
    left = tuple(one for one in asked if one.id not in down)
    return _Choice(down, left, adopted, spoilt)


def method_of(container: Container, quiesce: Quiesce) -> Method:
    """Return what is done with a container: what is said of its service, else of all."""
    said = [
        one.method for one in quiesce.services if (one.project, one.service) == (container.project, container.service)
    ]
    return said[0] if said else quiesce.method


def _as(method: Literal["Stop", "Pause"], container: Container) -> Literal["Stop", "Pause"]:
    """Return the method for a container: Docker does not pause one that is restarting."""
    return "Stop" if container.state == "restarting" else method


def _adopted(intent: Intent, look: Inventory) -> tuple[dict[str, PlannedService], frozenset[str]]:
    """Return the services that an unfinished journal has left down, and that this attempt will start.

    A container that uses a volume which a restore has left incomplete is taken only when all of these are restored now.
    The second part are the ids of those that a restore has left down.
    """
    using = journals.users(intent.volumes, look)
    found: dict[str, PlannedService] = {}
    spoilt: set[str] = set()
    for other in sorted(journals.plans(look), key=lambda plan: plan.made_at):
        if other.agent == intent.agent or journals.is_at_work(other, look):
            continue
        if other.purpose == "run" or intent.purpose == "restore":
            owed = {one.container_id: one for one in resuming.owed(other, look.containers, intent.tried)}
            not_restored = set(other.volumes) - set(intent.volumes) if other.purpose == "restore" else set()
            barred = journals.users(not_restored, look)
            mine = [one for one in look.containers if one.id in owed and one.id in using]
            pool = [one for one in look.containers if one.id in owed]
            taken = [one for one in ordering.with_joined(mine, pool) if one.id not in barred]
            found |= {one.id: owed[one.id] for one in taken}
            spoilt |= {one.id for one in taken if other.purpose == "restore"}
    return found, frozenset(spoilt)


def _plan(intent: Intent, look: Inventory, choice: _Choice, now: dt.datetime) -> JournalPlan:
    planned = [one for one in look.containers if one.id in choice.down or one.id in choice.adopted]
    levels = ordering.levels(planned, look.containers)
    services = [_service(one, choice, levels[one.id], planned) for one in planned]
    return JournalPlan(
        purpose=intent.purpose,
        owner=intent.owner,
        agent=intent.agent,
        attempt=intent.attempt,
        made_at=now,
        volumes=intent.volumes,
        method=intent.quiesce.method,
        stop_timeout_seconds=intent.quiesce.stop_timeout_seconds,
        max_seconds=intent.quiesce.max_seconds,
        services=tuple(sorted(services, key=lambda one: (one.level, one.title, one.name))),
        left_running=tuple(one.id for one in choice.left_running),
        pre_hooks=intent.hooks.pre,
        post_hooks=intent.hooks.post,
    )


def _service(container: Container, choice: _Choice, level: int, planned: Sequence[Container]) -> PlannedService:
    before = choice.adopted.get(container.id)
    healthy = before.was_healthy if before else container.health == "healthy"
    asking = (one for one in planned if one.project == container.project)
    asked = any(one.dependencies.get(container.service or "") == "service_healthy" for one in asking)
    return PlannedService(
        container_id=container.id,
        name=container.name,
        project=container.project,
        service=container.service,
        number=container.number,
        method=before.method if before else choice.down[container.id],
        started_at=_started_at(container),
        level=level,
        was_healthy=healthy,
        health_seconds=before.health_seconds if before else container.health_seconds,
        waited_for=healthy and asked,
        stop_seconds=container.stop_seconds,
        restart_policy=before.restart_policy if before else container.restart_policy,
        only_when_whole=container.id in choice.spoilt,
    )


def _started_at(container: Container) -> str:
    return resuming.ANY_START if container.state == "restarting" else container.started_at or resuming.ANY_START
