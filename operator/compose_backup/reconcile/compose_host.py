"""One pass over a ComposeHost: ask the engine who it is, list now and then, say what nobody backs up, start what is
owed by runs that have ended.

Called by worker.py.
"""

from __future__ import annotations

import datetime as dt

from compose_backup.api import reasons
from compose_backup.api.compose_host import ComposeHostStatus
from compose_backup.api.resources import Host
from compose_backup.errors import Stalled, Unreachable
from compose_backup.planning import host as planning
from compose_backup.planning.conditions import Standing, claims, services_resumed
from compose_backup.planning.debts import own_journals as journals_of
from compose_backup.planning.facts import HostAddress, Inventory
from compose_backup.reconcile import debts
from compose_backup.reconcile.access import address_of
from compose_backup.reconcile.outcome import Outcome
from compose_backup.reconcile.ports import DockerHost
from compose_backup.reconcile.world import SeenInventory, World

LIST_INTERVAL = dt.timedelta(minutes=10)
# A wrong key is not tried every minute: that gets accounts locked. A changed Secret is seen at the next look.
STALLED_LOOK_SECONDS = 15.0
STALLED_RETRY = dt.timedelta(minutes=10)


async def reconcile(world: World, host: Host) -> Outcome:
    """Ask the engine and return how the host stands."""
    status = debts.noted_request(host, host.status, world.now()).model_copy(update={"conditions": ()})
    version, owed = None, debts.Owed()
    try:
        address = await address_of(world, host)
        version = address.version
        if _tried_in_vain(world, host, version):
            return Outcome(look_again_in=STALLED_LOOK_SECONDS)
        docker = world.hosts.at(address)
        status = status.model_copy(update={"engine": await docker.look(), "credentials_version": version})
        _remember(world, host, address, status)
        status = _summarised(world, host, status, await inventory_of(world, host, docker, LIST_INTERVAL))
        owed = await _paid(world, host, docker, status)
        status = status.model_copy(update={"unresumed": owed.unresumed})
    except Stalled as error:
        status = status.model_copy(update={"credentials_version": version})
        return _outcome(status, Standing("stalled", error.reason, error.message), STALLED_LOOK_SECONDS)
    except Unreachable as error:
        return _outcome(status, Standing("waiting", error.reason, error.message), host.spec.probe_interval_seconds)
    assert status.engine
    message = f"Docker Engine {status.engine.version} on {status.engine.operating_system}"
    soon = min(host.spec.probe_interval_seconds, owed.look_again_in or host.spec.probe_interval_seconds)
    return _outcome(status, Standing("good", reasons.CONNECTED, message), soon)


async def _paid(world: World, host: Host, docker: DockerHost, status: ComposeHostStatus) -> debts.Owed:
    """Start what is owed. A list of some minutes ago tells whether there is any journal: runs wake the host in the end.

    Without one, nothing more is asked.
    """
    seen = await inventory_of(world, host, docker, LIST_INTERVAL)
    if not host.status.unresumed and not journals_of(seen, world.installation):
        return debts.Owed()
    world.memory.inventories.pop(host.uid, None)
    return await debts.pay(world, host, docker, status)


async def inventory_of(world: World, host: Host, docker: DockerHost, max_age: dt.timedelta) -> Inventory:
    """Return the volumes and containers of a host, listed anew when the last list is older than `max_age`."""
    seen = world.memory.inventories.get(host.uid)
    if seen is None or world.clock() - seen.at > max_age:
        seen = SeenInventory(await docker.inventory(), world.clock())
        world.memory.inventories[host.uid] = seen
    return seen.inventory


def repository_volumes(world: World, host: Host) -> frozenset[str]:
    """Return the volumes of a host that hold a repository."""
    return frozenset(
        repository.spec.storage.volume.name
        for repository in world.store.repositories_on(host.namespace, host.name)
        if repository.spec.storage.volume
    )


def _remember(world: World, host: Host, address: HostAddress, status: ComposeHostStatus) -> None:
    """Let what is at work on the host be reached by this address, unless it leads to another engine than before."""
    before = host.status.engine
    if status.engine and (before is None or before.id == status.engine.id):
        world.memory.addresses[host.uid] = address


def _tried_in_vain(world: World, host: Host, version: str) -> bool:
    """Return whether a person must act, and has changed nothing since the last try."""
    stalled = next((c for c in host.status.conditions if c.type == "Stalled"), None)
    if stalled is None or host.status.credentials_version != version:
        return False
    return stalled.observed_generation == host.generation and world.now() - stalled.last_transition_time < STALLED_RETRY


def _summarised(world: World, host: Host, status: ComposeHostStatus, inventory: Inventory) -> ComposeHostStatus:
    selectors = [policy.spec.selector for policy in world.store.policies_of(host.namespace, host=host.name)]
    projects = planning.projects(inventory)
    volumes = planning.volumes(inventory, selectors, repository_volumes(world, host))
    return status.model_copy(update={"projects": projects, "project_count": len(projects), "volumes": volumes})


def _outcome(status: ComposeHostStatus, standing: Standing, look_again_in: float) -> Outcome:
    told = (services_resumed(status.unresumed),) if status.engine else ()
    return Outcome(status, (*claims(standing), *told), look_again_in)
