"""Where a restore works: its host and its repository, by what was pinned, else by its target and its source.

Called by the passes over restores, and by line.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from compose_backup.api.resources import Host, Repository, Restore
from compose_backup.api.restore_request import RestoredVolume
from compose_backup.planning import labels, wholeness
from compose_backup.reconcile import agents, journals
from compose_backup.reconcile.journals import Site
from compose_backup.reconcile.ports import DockerHost
from compose_backup.reconcile.world import Pledge, World


@dataclass(frozen=True)
class PlacedRestore:
    """A restore that may write, and where it works."""

    world: World
    restore: Restore
    host: Host
    repository: Repository
    docker: DockerHost
    pledge: Pledge

    @property
    def container(self) -> str:
        """Name of the agent's container."""
        return labels.agent_name("restore", self.restore.uid)

    @property
    def site(self) -> Site:
        """Where the restore's journal lies."""
        return Site(self.world, self.docker, self.host, agents.owner_of(self.restore), self.container)

    async def told_whole(self) -> tuple[RestoredVolume, ...]:
        """Return what became of each target where the agent has marked that all are whole, else nothing."""
        return wholeness.told_of(self.restore.uid, await self.docker.inventory())

    async def services_may_have_it(self) -> bool:
        """Return whether no target can be half-written, by the services that still run, or by what was known before.

        A restore is Resuming only when that is known of its agent, and Running again before another one is started.
        Later it cannot be seen any more: the last of the services may have gone down.
        """
        return self.restore.status.phase == "Resuming" or await journals.is_untouched(self.site)


def repository_of(world: World, restore: Restore) -> Repository | None:
    """Return the repository that is read, or None."""
    source, namespace = restore.spec.source, restore.namespace
    if restore.status.resolved:
        return world.store.repository(namespace, restore.status.resolved.repository.name)
    if source.repository_ref:
        return world.store.repository(namespace, source.repository_ref.name)
    if source.policy_ref:
        policy = world.store.policy(namespace, source.policy_ref.name)
        return world.store.repository(namespace, policy.spec.repository_ref.name) if policy else None
    run = world.store.run(namespace, source.run_ref.name) if source.run_ref else None
    return (
        world.store.repository(namespace, run.status.resolved.repository.name) if run and run.status.resolved else None
    )


def host_of(world: World, restore: Restore) -> Host | None:
    """Return the host that is written to, or None."""
    source, namespace = restore.spec.source, restore.namespace
    if restore.status.resolved:
        return world.store.host(namespace, restore.status.resolved.host.name)
    if restore.spec.target.host_ref:
        return world.store.host(namespace, restore.spec.target.host_ref.name)
    if source.policy_ref:
        policy = world.store.policy(namespace, source.policy_ref.name)
        return world.store.host(namespace, policy.spec.host_ref.name) if policy else None
    run = world.store.run(namespace, source.run_ref.name) if source.run_ref else None
    return world.store.host(namespace, run.status.resolved.host.name) if run and run.status.resolved else None
