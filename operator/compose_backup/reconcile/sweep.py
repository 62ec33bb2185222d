"""The sweep: agent containers of our own installation whose object is gone or finished are ended and removed.

It makes up for every crash and every deletion, since no object has a finalizer. It touches only what carries the label
of this installation, and only after a live look at its owner. Journals that are left are paid off by the pass over
their host, which the sweep wakes. Called by manager.py at start, after each deletion and every ten minutes.
"""

from __future__ import annotations

import logging

from compose_backup.api.resources import Host
from compose_backup.errors import ComposeBackupError, Stalled
from compose_backup.planning import debts as planning
from compose_backup.planning import staging, wholeness
from compose_backup.planning.facts import Inventory, OwnContainer
from compose_backup.planning.labels import PURPOSE, Owner
from compose_backup.planning.sweeping import Verdict, verdict
from compose_backup.reconcile import debts, journals, stages
from compose_backup.reconcile.access import address_of
from compose_backup.reconcile.ports import DockerHost
from compose_backup.reconcile.world import World

log = logging.getLogger(__name__)


async def sweep_host(world: World, host: Host) -> bool:
    """Sweep one host; return whether something is still ending, so that another sweep is needed soon."""
    try:
        docker = world.hosts.at(await address_of(world, host))
        pending = [
            await settle_container(world, docker, one) for one in await docker.own_containers(world.installation)
        ]
        inventory = await docker.inventory()
        if await _has_orphans(world, inventory):
            journals.wake_host(world, host)
        await _sweep_volumes(world, docker, inventory)
        return any(pending)
    except ComposeBackupError as error:
        log.warning("ComposeHost %s/%s was not swept: %s", host.namespace, host.name, error.message)
        return False


async def settle_container(world: World, docker: DockerHost, container: OwnContainer) -> bool:
    """End or remove one container if nobody needs it; return whether it is still ending.

    One at which the engine fails is no reason to leave the others: it counts as ending, and is looked at again.
    """
    try:
        return await _settle(world, docker, container)
    except Stalled as error:
        log.warning("%s could not be ended: %s", container.name, error.message)
        return True


async def _settle(world: World, docker: DockerHost, container: OwnContainer) -> bool:
    owner = Owner.of(container.labels)
    match verdict(container, owner, await debts.body_of(world, owner)):
        case Verdict.KEEP:
            return False
        case Verdict.TERMINATE if container.labels.get(PURPOSE) == "cleanup":
            return True  # it undoes what another one has left, and ends by itself
        case Verdict.TERMINATE:
            log.info("ending %s: its object %s is gone or finished", container.name, owner)
            await docker.terminate_agent(container.name)
            return True
        case Verdict.REMOVE:
            log.info("removing %s: its object %s is gone or finished", container.name, owner)
            await docker.remove_agent(container.name)
            return False


async def _sweep_volumes(world: World, docker: DockerHost, inventory: Inventory) -> None:
    """Remove the stages, and the marks of whole restores, whose object is gone or finished."""
    stages_made = staging.made_stages(inventory, world.installation)
    for name, owner in (*stages_made, *wholeness.orphans(inventory, world.installation)):
        if not await debts.is_needed(world, owner):
            await stages.remove_one(docker, name)


async def _has_orphans(world: World, inventory: Inventory) -> bool:
    """Return whether a journal is left that no object needs any more."""
    found = planning.own_journals(inventory, world.installation)
    return any([not await debts.is_needed(world, owner) for _, _, owner in found])
