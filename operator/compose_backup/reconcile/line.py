"""Everybody who is at work or waits: the facts from which planning/turns.py decides, gathered from what was last seen.

Called by the passes over runs and restores.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator

from compose_backup.api.kinds import ARCHIVE_REPOSITORY, BACKUP_POLICY, BACKUP_RUN, COMPOSE_HOST
from compose_backup.api.resources import Host
from compose_backup.planning import competitors
from compose_backup.planning.checks import Objection
from compose_backup.planning.competitors import NOTHING_SEEN, Place, Usage
from compose_backup.planning.turns import EXACT_PLACES, InLine, Party
from compose_backup.reconcile.ports import Body
from compose_backup.reconcile.queue import Key
from compose_backup.reconcile.restore_place import host_of, repository_of
from compose_backup.reconcile.world import KnownParty, World

FAR_BACK_SECONDS = 60.0


def patience(objection: Objection, seconds: float) -> float:
    """Return after when one that waits looks again, in seconds. Whoever ends wakes all, so the last may doze."""
    far_back = isinstance(objection, InLine) and objection.place > EXACT_PLACES
    return FAR_BACK_SECONDS if far_back else seconds


def usage_of(world: World, host: Host | None) -> Usage:
    """Return who uses which volumes of a host, as last seen."""
    seen = world.memory.inventories.get(host.uid) if host else None
    return seen.usage if seen else NOTHING_SEEN


def others(world: World, uid: str) -> tuple[Party, ...]:
    """Return all runs and restores that are not finished, but the one that asks."""
    return tuple(party for owner, party in (*_runs(world), *_restores(world)) if owner != uid)


def _restores(world: World) -> Iterator[tuple[str, Party]]:
    for restore in world.store.active_restores():
        host = host_of(world, restore)
        place = Place(host, repository_of(world, restore), usage_of(world, host))
        if party := competitors.of_restore(restore, place):
            yield restore.uid, party


def _runs(world: World) -> list[tuple[str, Party]]:
    """Return the runs, each made out anew only when something that it follows from has changed."""
    before, world.memory.parties = world.memory.parties, {}
    found = []
    for body in world.store.active_bodies(BACKUP_RUN):
        uid, sources = body["metadata"]["uid"], _sources(world, body)
        known = before.get(uid)
        if known is None or not _are_same(known.sources, sources):
            if (party := _party(world, body)) is None:
                continue
            known = KnownParty(party, sources)
        if not known.party.began:  # for one that has begun, the pause between two attempts passes as well
            world.memory.parties[uid] = known
        found.append((uid, known.party))
    return found


def _party(world: World, body: Body) -> Party | None:
    run = world.store.run(body["metadata"]["namespace"], body["metadata"]["name"])
    if run is None:
        return None
    policy = world.store.policy(run.namespace, run.spec.policy_ref.name)
    host = world.store.host(run.namespace, policy.spec.host_ref.name) if policy else None
    repository = world.store.repository(run.namespace, policy.spec.repository_ref.name) if policy else None
    return competitors.of_run(run, policy, Place(host, repository, usage_of(world, host)), world.now())


def _sources(world: World, run: Body) -> tuple[object, ...]:
    """Return what `_party` looks at, as it was last seen."""
    namespace, name = run["metadata"]["namespace"], run["spec"].get("policyRef", {}).get("name", "")
    policy = world.store.body(Key(BACKUP_POLICY.name, namespace, name))
    if policy is None:
        return (run,)
    wanted = policy["spec"]
    host = world.store.body(Key(COMPOSE_HOST.name, namespace, wanted.get("hostRef", {}).get("name", "")))
    archives = wanted.get("repositoryRef", {}).get("name", "")
    repository = world.store.body(Key(ARCHIVE_REPOSITORY.name, namespace, archives))
    return run, policy, host, repository, world.memory.inventories.get(host["metadata"]["uid"]) if host else None


def _are_same(before: tuple[object, ...], now: tuple[object, ...]) -> bool:
    return len(before) == len(now) and all(map(operator.is_, before, now))
