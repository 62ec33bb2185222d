"""What is still owed on a host by runs and restores that have ended: started again and again, until it runs.

Planning judges each journal; here it is carried out. Called by compose_host.py, and by deletion.py for what is gone.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from compose_backup.api.compose_host import FORGET_UNRESUMED_ANNOTATION, ComposeHostStatus, Unresumed
from compose_backup.api.journal import JournalPlan
from compose_backup.api.kinds import BY_NAME
from compose_backup.api.resources import Host
from compose_backup.errors import Stalled
from compose_backup.planning import debts as planning
from compose_backup.planning import labels, sweeping, wholeness
from compose_backup.planning.facts import Inventory, Volume
from compose_backup.planning.labels import Owner
from compose_backup.reconcile import journals, second_line
from compose_backup.reconcile.journals import Site
from compose_backup.reconcile.ports import DockerHost
from compose_backup.reconcile.world import World

log = logging.getLogger(__name__)

# A container that was just started is looked at once more before its debt is settled.
SOON_SECONDS = 5.0


@dataclass(frozen=True)
class Owed:
    """What is owed on a host, and when to look again."""

    unresumed: tuple[Unresumed, ...] = ()
    look_again_in: float | None = None


@dataclass(frozen=True)
class _Journal:
    site: Site
    plan: JournalPlan
    debt: planning.Debt


async def pay(world: World, host: Host, docker: DockerHost, status: ComposeHostStatus) -> Owed:
    """Start what is owed and due, settle the journals that owe nothing any more, and return what is left."""
    inventory = await docker.inventory()
    left: list[Unresumed] = []
    soon = False
    for volume, plan, owner in planning.own_journals(inventory, world.installation):
        journal = await _read(world, host, docker, volume, plan, owner)
        try:
            entries, again = await _carried_out(journal, inventory, _forgotten(status, host, plan))
        except Stalled as error:  # it is of one journal: the host itself is well
            log.warning("journal %s on ComposeHost %s/%s: %s", volume.name, host.namespace, host.name, error.message)
            entries, again = journal.debt.known, True
        left.extend(entries)
        soon = soon or again
    shown = planning.shown(left)
    return Owed(shown, _look_again(shown, soon, world.now()))


def noted_request(host: Host, status: ComposeHostStatus, now: dt.datetime) -> ComposeHostStatus:
    """Return the status that knows since when a person wants debts to be forgotten: later ones are not meant."""
    wanted = (host.annotations.get(FORGET_UNRESUMED_ANNOTATION) or "")[:1024] or None
    if wanted == status.forget_request:
        return status
    return status.model_copy(update={"forget_request": wanted, "forget_request_time": now if wanted else None})


async def pay_without_host(world: World, docker: DockerHost, uid: str) -> None:
    """Settle the journal of an object that is gone with its ComposeHost: nobody would look at it later."""
    for volume, plan, owner in planning.own_journals(await docker.inventory(), world.installation):
        if owner.uid != uid:
            continue
        await second_line.await_down(docker, plan)
        inventory = await docker.inventory()
        whole = bool(wholeness.told_of(uid, inventory))
        if plan.purpose == "restore" and not whole:
            left = await second_line.look(docker, plan, world.memory.tried)
        else:
            left = await second_line.resume(docker, plan, inventory, world.memory.tried, whole=whole)
            left = tuple(one for one in left if not one.running)
        if left:
            log.error("%s has left %s stopped on a host that is gone", plan.owner, second_line.names_of(left))
            continue
        await second_line.put_policies_back(docker, plan, whole=whole)
        await docker.remove_volume(volume.name)
        await docker.remove_volume(labels.whole_name(uid))


async def is_needed(world: World, owner: Owner | None) -> bool:
    """Return whether the object that something on a host was made for is still at work, by a live look."""
    return sweeping.is_needed(owner, await body_of(world, owner))


async def body_of(world: World, owner: Owner | None) -> Mapping[str, Any] | None:
    """Return the object of an owner's name as it is now, or None."""
    kind = BY_NAME.get(owner.kind) if owner else None
    return await world.cluster.get(kind, owner.namespace, owner.name) if owner and kind else None


async def _read(
    world: World, host: Host, docker: DockerHost, volume: Volume, plan: JournalPlan, owner: Owner
) -> _Journal:
    body = await body_of(world, owner)
    known = planning.of_journal(host.status.unresumed, volume.name)
    site = Site(world, docker, host, owner, plan.agent)
    return _Journal(site, plan, planning.Debt(volume.name, plan, owner, body, known, tried=world.memory.tried))


async def _carried_out(
    journal: _Journal, inventory: Inventory, forgotten: frozenset[str]
) -> tuple[tuple[Unresumed, ...], bool]:
    """Do what planning says about one journal; return what its host shows of it, and whether to look again soon."""
    docker, world = journal.site.docker, journal.site.world
    ids = planning.containers_of(journal.plan)
    seen = inventory.with_inspected(await docker.inspect(ids) if ids else ())
    debt = journal.debt
    if not planning.is_attended(debt, seen):  # else its time has not begun yet
        debt = replace(debt, abandoned_for=journals.abandoned_for(journal.site))
    verdict = planning.judge(debt, seen, forgotten, world.now())
    match verdict.action:
        case "wait" | "keep":
            return verdict.show, verdict.lasting
        case "start":
            return await _started(journal, verdict), True
        case "settle":
            return (), not await _settled(journal, verdict)


async def _started(journal: _Journal, verdict: planning.Verdict) -> tuple[Unresumed, ...]:
    """Try what is due; whether it lasts is seen by the next look."""
    docker, now = journal.site.docker, journal.site.world.now()
    due = {service.container_id for service in verdict.start}
    errors = {one.container_id: await second_line.started(docker, one) for one in verdict.start}
    after = {one.id: one for one in await docker.inspect(tuple(due))}
    journal.site.world.memory.tried.update({one.id: one.started_at for one in after.values() if one.started_at})
    shown = []
    for entry in verdict.show:
        if entry.container_id not in due:
            shown.append(entry)
            continue
        error = errors[entry.container_id]
        log.info("%s, stopped by %s: %s", entry.service, entry.owner, error or "started")
        shown.append(planning.tried(entry, after.get(entry.container_id), error, now))
    return tuple(shown)


async def _settled(journal: _Journal, verdict: planning.Verdict) -> bool:
    """Give back restart policies, run the hooks that are left, remove the journal; return whether that is done."""
    for service in verdict.policies:
        await journal.site.docker.set_restart_policy(service.container_id, service.restart_policy)
    if verdict.hooks and not await journals.cleaned(journal.site, journal.plan):
        return False
    return await journals.close(journal.site, journal=True)


def _forgotten(status: ComposeHostStatus, host: Host, plan: JournalPlan) -> frozenset[str]:
    """Return the containers whose debts a person has ended, as far as they are older than that."""
    since = status.forget_request_time
    if since is None or plan.made_at > since:
        return frozenset()
    return planning.forgotten_names(host.annotations.get(FORGET_UNRESUMED_ANNOTATION))


def _look_again(shown: tuple[Unresumed, ...], soon: bool, now: dt.datetime) -> float | None:
    if soon:
        return SOON_SECONDS
    due = planning.next_look(shown)
    return max(1.0, (due - now).total_seconds()) if due else None
