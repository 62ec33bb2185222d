"""What follows the deletion of an object at once: its agent on the host is ended.

The address and credentials of active objects are kept in memory for it, since the ComposeHost and its Secret may be
deleted at the same moment, with their namespace. Whatever fails here is made up for by the sweep. Called by manager.py,
and by passes whose host was deleted under them.
"""

from __future__ import annotations

import asyncio
import logging

from compose_backup.errors import ComposeBackupError
from compose_backup.planning.labels import Owner
from compose_backup.reconcile import debts, journals, stages, sweep
from compose_backup.reconcile.ports import DockerHost
from compose_backup.reconcile.queue import Key
from compose_backup.reconcile.world import Pledge, World

log = logging.getLogger(__name__)

# As long as `docker stop` waits for an agent: restic takes its lock away, on a slow host as well.
PATIENCE = 300
PAUSE_SECONDS = 1.0


async def settle(world: World, key: Key, uid: str) -> None:
    """End the containers of a deleted object.

    A pass over it may be starting its agent at this moment: only when that has ended, all is there to be found.
    """
    await world.queue.idle(key)
    await end_agents(world, uid)


async def end_agents(world: World, uid: str) -> None:
    """End the containers of an object that is gone or finished, with time to leave the repository in order."""
    pledge = world.memory.forget(uid)
    if pledge is None:
        return
    docker = world.hosts.at(pledge.address)
    try:
        for _ in range(PATIENCE):
            mine = [
                container
                for container in await docker.own_containers(world.installation)
                if (owner := Owner.of(container.labels)) and owner.uid == uid
            ]
            pending = [await sweep.settle_container(world, docker, container) for container in mine]
            if not any(pending):
                await _settle_journal(world, docker, pledge, uid)
                await stages.remove(docker, world.installation, uid)
                return
            await asyncio.sleep(PAUSE_SECONDS)
    except ComposeBackupError as error:
        log.warning("the agent of a deleted object on %s is left to the sweep: %s", pledge.address.name, error.message)


async def _settle_journal(world: World, docker: DockerHost, pledge: Pledge, uid: str) -> None:
    """See to what a dead agent has left stopped: the pass over the host does, as long as there is a ComposeHost."""
    host = next((one for one in world.store.hosts() if one.uid == pledge.address.key), None)
    if host is None:
        await debts.pay_without_host(world, docker, uid)
    else:
        journals.wake_host(world, host)
