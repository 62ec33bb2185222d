"""Which objects get a pass when another one has changed: those that refer to it by name, and those that wait for it.

Called by manager.py for events and by commit.py for our own writes, which are no events to us.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from compose_backup.api.resources import Resource
from compose_backup.reconcile.queue import Key
from compose_backup.reconcile.world import World


def wake_dependents(world: World, changed: Key) -> None:
    """Make the dependents of an object due."""
    for resource in _dependents(world, changed):
        world.queue.add(Key(resource.kind.name, resource.namespace, resource.name))


def _dependents(world: World, changed: Key) -> Iterator[Resource[Any, Any]]:
    store, namespace, name = world.store, changed.namespace, changed.name
    match changed.kind:
        case "ComposeHost":
            yield from store.repositories_on(namespace, name)
            yield from store.policies_of(namespace, host=name)
            yield from _active(world, namespace)
        case "ArchiveRepository":
            yield from store.policies_of(namespace, repository=name)
            yield from _active(world, namespace)
        case "BackupPolicy":
            yield from store.active_runs(namespace)
        case "BackupRun" | "RestoreRequest":
            yield from _after_work(world, changed)


def _active(world: World, namespace: str) -> Iterator[Resource[Any, Any]]:
    yield from world.store.active_runs(namespace)
    yield from world.store.active_restores(namespace)


def _after_work(world: World, changed: Key) -> Iterator[Resource[Any, Any]]:
    """Wake the policy of a run, the repository that a finished run has written to, and whoever waits for the engine."""
    run = world.store.run(changed.namespace, changed.name) if changed.kind == "BackupRun" else None
    if run and (policy := world.store.policy(run.namespace, run.spec.policy_ref.name)):
        yield policy
    if run and run.finished and run.status.resolved:
        repository = world.store.repository(run.namespace, run.status.resolved.repository.name)
        yield from [repository] if repository else []
    yield from (one for one in world.store.active_runs() if one.status.phase == "Pending")
    yield from (one for one in world.store.active_restores() if one.status.phase == "Pending")
