"""Starting through the engine what a plan says is owed: once, in order, and looked at afterwards.

Called by journals.py for an agent that is dead, and by debts.py again and again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from compose_backup.api import reasons
from compose_backup.api.backup_run import Failure
from compose_backup.api.journal import JournalPlan, PlannedService, RestartPolicy
from compose_backup.errors import Stalled
from compose_backup.planning import humanize, journals
from compose_backup.planning.facts import Container, Inventory
from compose_backup.planning.resuming import left_to_others, owed
from compose_backup.reconcile.ports import DockerHost

NO_RESTART = "no"


@dataclass(frozen=True)
class Left:
    """A service that is still down, why, and Docker's `StartedAt` after the last try."""

    service: PlannedService
    error: str
    started_at: str | None = None


async def look(docker: DockerHost, plan: JournalPlan) -> tuple[Left, ...]:
    """Return what is owed, without doing anything."""
    containers = await _inspected(docker, plan)
    by_id = {one.id: one for one in containers}
    down = owed(plan, containers)
    return tuple(Left(one, "it is down", by_id[one.container_id].started_at) for one in down)


async def resume(
    docker: DockerHost, plan: JournalPlan, inventory: Inventory, *, whole: bool = False
) -> tuple[Left, ...]:
    """Start or let go on what is owed, dependencies first; return what does not run afterwards.

    What a later restore has taken over is left to that one, and what an earlier one keeps stopped to the earlier one,
    unless this one is `whole`: the data may be half there.
    Health is not waited for: an application whose dependency is not ready yet has to try again, as after a boot.
    """
    others = left_to_others(plan, whole=whole)
    found = journals.to_start(plan, inventory.with_inspected(await _inspected(docker, plan)))
    down = [service for service in found if service not in others]
    errors = {service.container_id: await started(docker, service) for service in down}
    if not down:
        return ()
    after = {one.id: one for one in await docker.inspect([service.container_id for service in down])}
    return tuple(_still_down(down, after, errors))


async def put_policies_back(docker: DockerHost, plan: JournalPlan, *, whole: bool = False) -> None:
    """Give containers back the restart policy that a restore has held at `no`; one that a person changed stays."""
    if plan.purpose != "restore":
        return
    now = {one.id: one.restart_policy for one in await _inspected(docker, plan)}
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


async def _inspected(docker: DockerHost, plan: JournalPlan) -> tuple[Container, ...]:
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


def _still_down(
    down: Iterable[PlannedService], after: Mapping[str, Container], errors: Mapping[str, str | None]
) -> Iterable[Left]:
    for service in down:
        container = after.get(service.container_id)
        if container is None or container.state in ("running", "restarting"):
            continue  # removed meanwhile, or up
        error = errors[service.container_id] or f"it was started and is {container.state} again"
        yield Left(service, error, container.started_at)
