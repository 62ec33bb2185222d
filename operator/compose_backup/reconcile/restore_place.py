"""Where a restore works: its host and its repository, by what was pinned, else by its target and its source.

Called by restore_request.py and line.py.
"""

from __future__ import annotations

from compose_backup.api.resources import Host, Repository, Restore
from compose_backup.reconcile.world import World


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
