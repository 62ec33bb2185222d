"""Which objects get a pass when another one has changed: those that refer to it by name, and those that wait for it.

Called by manager.py for events and by commit.py for our own writes, which are no events to us.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from compose_backup.api.backup_run import AT_WORK, TERMINAL_PHASES
from compose_backup.api.resources import Resource
from compose_backup.reconcile.queue import Key
from compose_backup.reconcile.world import World


def wake_dependents(world: World, changed: Key, *, gone: bool = False) -> None:
    """Make the dependents of an object due. `gone`: it was deleted, and is about to leave the store."""
    for resource in _dependents(world, changed, gone):
        world.queue.add(Key(resource.kind.name, resource.namespace, resource.name))


def _dependents(world: World, changed: Key, gone: bool) -> Iterator[Resource[Any, Any]]:
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
            yield from (run for run in store.active_runs(namespace) if run.spec.policy_ref.name == name)
        case "BackupRun":
            yield from _after_run(world, changed, gone)
        case "RestoreRequest":
            body = store.body(changed)
            if gone or (body and body["status"].get("phase") in TERMINAL_PHASES):
                yield from _waiting(world)


def _active(world: World, namespace: str) -> Iterator[Resource[Any, Any]]:
    yield from world.store.active_runs(namespace)
    yield from world.store.active_restores(namespace)


def _after_run(world: World, changed: Key, gone: bool) -> Iterator[Resource[Any, Any]]:
    """Wake the policy of a run, the repository that a finished run has written to, and whoever waits for the engine.

    Progress wakes nobody: a run at work says something every few seconds, and a hundred others may wait for it.
    """
    run = world.store.run(changed.namespace, changed.name)
    if run is None or (run.status.phase in AT_WORK and not gone):
        return
    if policy := world.store.policy(run.namespace, run.spec.policy_ref.name):
        yield policy
    if not run.finished and not gone:
        return
    if run.status.resolved and (
        repository := world.store.repository(run.namespace, run.status.resolved.repository.name)
    ):
        yield repository
    yield from _waiting(world)


def _waiting(world: World) -> Iterator[Resource[Any, Any]]:
    yield from (one for one in world.store.active_runs() if one.status.phase == "Pending")
    yield from (one for one in world.store.active_restores() if one.status.phase == "Pending")
