"""The sweep: agent containers of our own installation whose object is gone or finished are ended and removed.

It makes up for every crash and every deletion, since no object has a finalizer. It touches only containers that carry
the label of this installation, and only after a live look at their owner. Called by manager.py at start, after each
deletion and every ten minutes.
"""

from __future__ import annotations

import logging

from compose_backup.api.kinds import BY_NAME
from compose_backup.api.resources import Host
from compose_backup.errors import ComposeBackupError
from compose_backup.planning.facts import HostAddress, OwnContainer
from compose_backup.planning.labels import Owner
from compose_backup.planning.sweeping import Verdict, verdict
from compose_backup.reconcile.access import address_of
from compose_backup.reconcile.ports import DockerHost
from compose_backup.reconcile.world import World

log = logging.getLogger(__name__)


async def sweep_host(world: World, host: Host) -> bool:
    """Sweep one host; return whether something is still ending, so that another sweep is needed soon."""
    try:
        return await sweep_address(world, await address_of(world, host))
    except ComposeBackupError as error:
        log.warning("ComposeHost %s/%s was not swept: %s", host.namespace, host.name, error.message)
        return False


async def sweep_address(world: World, address: HostAddress) -> bool:
    """Sweep the engine at an address, as sweep_host does."""
    docker = world.hosts.at(address)
    pending = False
    for container in await docker.own_containers(world.installation):
        pending = await settle_container(world, docker, container) or pending
    return pending


async def settle_container(world: World, docker: DockerHost, container: OwnContainer) -> bool:
    """End or remove one container if nobody needs it; return whether it is still ending."""
    owner = Owner.of(container.labels)
    body = None
    if owner and (kind := BY_NAME.get(owner.kind)):
        body = await world.cluster.get(kind, owner.namespace, owner.name)
    match verdict(container, owner, body):
        case Verdict.KEEP:
            return False
        case Verdict.TERMINATE:
            log.info("ending %s: its object %s is gone or finished", container.name, owner)
            await docker.terminate_agent(container.name)
            return True
        case Verdict.REMOVE:
            log.info("removing %s: its object %s is gone or finished", container.name, owner)
            await docker.remove_agent(container.name)
            return False
