"""Starting through the engine what a plan says is owed: once, in order, and looked at afterwards.

Called by journals.py for an agent that is dead, and by debts.py again and again.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from compose_backup.api import reasons
from compose_backup.api.backup_run import Failure
from compose_backup.api.journal import JournalPlan, PlannedService, RestartPolicy
from compose_backup.errors import Stalled
from compose_backup.planning import humanize, journals, resuming
from compose_backup.planning.facts import Container, Inventory
from compose_backup.planning.resuming import left_to_others, owed
from compose_backup.reconcile.ports import DockerHost

NO_RESTART = "no"


@dataclass(frozen=True)
class Left:
    """A service that does not run yet, why, and Docker's `StartedAt` after the last try."""

    service: PlannedService
    error: str
    started_at: str | None = None
    running: bool = False
    """It runs, but was started just now: only the next look tells whether it lasts."""


async def look(docker: DockerHost, plan: JournalPlan, tried: Mapping[str, str]) -> tuple[Left, ...]:
    """Return what is owed, without doing anything."""
    containers = await inspected(docker, plan)
    by_id = {one.id: one for one in containers}
    down = owed(plan, containers, tried)
    return tuple(Left(one, "it is down", by_id[one.container_id].started_at) for one in down)


async def resume(
    docker: DockerHost, plan: JournalPlan, inventory: Inventory, tried: dict[str, str], *, whole: bool = False
) -> tuple[Left, ...]:
    """Start or let go on what is owed, dependencies first; return all of it: whether it lasts is seen by another look.

    `tried` holds `StartedAt` of what we have started before, and is added to.

    What a later restore has taken over is left to that one, and what an earlier one keeps stopped to the earlier one,
    unless this one is `whole`: the data may be half there.
    Health is not waited for: a service that ends since its dependency is not ready yet is started again.
    """
    others = left_to_others(plan, whole=whole)
    found = journals.to_start(plan, inventory.with_inspected(await inspected(docker, plan)), tried)
    down = [service for service in found if service not in others]
    errors = {service.container_id: await started(docker, service) for service in down}
    if not down:
        return ()
    after = {one.id: one for one in await docker.inspect([service.container_id for service in down])}
    tried.update({one.id: one.started_at for one in after.values() if one.started_at})
    return tuple(_left(down, after, errors))


async def await_down(docker: DockerHost, plan: JournalPlan) -> None:
    """Wait for what an agent that has just died may have told to stop."""
    for seconds in itertools.count():
        if not resuming.going_down(plan, await inspected(docker, plan), dt.timedelta(seconds=seconds)):
            return
        await asyncio.sleep(1)


async def remember(docker: DockerHost, plan: JournalPlan, names: Collection[str], tried: dict[str, str]) -> None:
    """Take for tries of ours the last starts of containers of which their agent tells that they do not run."""
    found = [one for one in await inspected(docker, plan) if one.name in names]
    tried.update({one.id: one.started_at for one in found if one.started_at})


async def is_untouched(docker: DockerHost, plan: JournalPlan) -> bool:
    """Return whether a restore of this plan cannot have written anything, by what still runs."""
    return resuming.is_untouched(plan, await inspected(docker, plan))


async def put_policies_back(docker: DockerHost, plan: JournalPlan, *, whole: bool = False) -> None:
    """Give containers back the restart policy that a restore has held at `no`; one that a person changed stays."""
    if plan.purpose != "restore":
        return
    now = {one.id: one.restart_policy for one in await inspected(docker, plan)}
    others = left_to_others(plan, whole=whole)
    for service in (one for one in plan.services if one not in others):
        held = now.get(service.container_id, service.restart_policy) == RestartPolicy(name=NO_RESTART)
        if held and service.restart_policy.name != NO_RESTART:
            await docker.set_restart_policy(service.container_id, service.restart_policy)


def failure_of(left: Iterable[Left], message: str = "") -> Failure:
    """Return why an attempt ends whose services do not come back."""
    told = "; ".join(f"{one.service.title} ({one.service.name}) does not run again: {one.error}" for one in left)
    after = f" (after: {message})" if message else ""
    text = f"{told}; the operator goes on trying, see status.unresumed of the ComposeHost{after}"
    return Failure(reason=reasons.SERVICE_NOT_RESUMED, message=text[:4000])


def names_of(left: Iterable[Left]) -> str:
    """Return the services for a message."""
    return humanize.listed(sorted(one.service.title for one in left))


async def inspected(docker: DockerHost, plan: JournalPlan) -> tuple[Container, ...]:
    """Return the containers of a plan as they are now."""
    return await docker.inspect([one.container_id for one in plan.services]) if plan.services else ()


async def started(docker: DockerHost, service: PlannedService) -> str | None:
    """Start or let go on one container; return what the engine says when it cannot."""
    try:
        if service.method == "Pause":
            await docker.unpause_container(service.container_id)
        else:
            await docker.start_container(service.container_id)
    except Stalled as error:
        return error.message
    return None


def _left(
    down: Iterable[PlannedService], after: Mapping[str, Container], errors: Mapping[str, str | None]
) -> Iterable[Left]:
    for service in down:
        container = after.get(service.container_id)
        if container is None:
            continue  # removed meanwhile
        error = errors[service.container_id]
        if error is None and container.state in ("running", "restarting"):
            yield Left(service, "it was started just now, and is looked at once more", container.started_at, True)
        else:
            yield Left(service, error or f"it was started and is {container.state} again", container.started_at)
