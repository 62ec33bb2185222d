"""One pass over a BackupPolicy: create the run that is due, forget old ones, keep restore points and freshness.

Called by worker.py.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from compose_backup.api import reasons
from compose_backup.api.backup_policy import RestorePoint
from compose_backup.api.base import API_VERSION
from compose_backup.api.job import CatalogJob, CatalogReport
from compose_backup.api.kinds import BACKUP_RUN
from compose_backup.api.resources import Host, Policy, Repository, parse
from compose_backup.errors import Stalled, Unreachable
from compose_backup.planning import labels
from compose_backup.planning import policy as planning
from compose_backup.reconcile import agents, catalog
from compose_backup.reconcile.access import address_of, repository_access
from compose_backup.reconcile.compose_host import repository_volumes
from compose_backup.reconcile.outcome import Outcome
from compose_backup.reconcile.queue import key_of
from compose_backup.reconcile.world import Pledge, World

LONGEST_LOOK_SECONDS = 3600.0


async def reconcile(world: World, policy: Policy) -> Outcome:
    """Create what is due, and return how the policy stands."""
    host = world.store.host(policy.namespace, policy.spec.host_ref.name)
    repository = world.store.repository(policy.namespace, policy.spec.repository_ref.name)
    points, searching = await _catalog(world, policy, host, repository)
    seen = world.memory.inventories.get(host.uid) if host else None
    facts = planning.PolicyFacts(
        policy=policy,
        host=host,
        repository=repository,
        inventory=seen.inventory if seen else None,
        repository_volumes=repository_volumes(world, host) if host else (),
        runs=tuple(
            run for run in world.store.runs_of(policy.namespace, policy.name) if planning.belongs_to(run, policy)
        ),
        catalog=points,
        now=world.now(),
    )
    plan = planning.plan(facts)
    if plan.create:
        await _create(world, policy, plan.create)
    for run in plan.forget:
        await world.cluster.delete(BACKUP_RUN, run.namespace, run.name, run.uid)
    return Outcome(plan.status, plan.claims, _look_again(plan.look_again_at, facts.now, searching))


async def _create(world: World, policy: Policy, new: planning.NewRun) -> None:
    """Create a run. A name that is taken is this very run, created before: a slot is never run twice."""
    body = {
        "apiVersion": API_VERSION,
        "kind": BACKUP_RUN.name,
        "metadata": {
            "name": new.name,
            "namespace": policy.namespace,
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": policy.kind.name,
                    "name": policy.name,
                    "uid": policy.uid,
                    "controller": True,
                }
            ],
        },
        "spec": {
            "policyRef": {"name": policy.name},
            "scheduledFor": new.slot.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "trigger": new.trigger,
        },
    }
    created = await world.cluster.create(BACKUP_RUN, body) or await _adopted(world, policy, new)
    world.store.put(BACKUP_RUN, created)
    world.queue.add(key_of(BACKUP_RUN, created))


async def _adopted(world: World, policy: Policy, new: planning.NewRun) -> Any:
    """Return the run that has the name already. Raises Stalled when it belongs to another policy or is just gone."""
    body = await world.cluster.get(BACKUP_RUN, policy.namespace, new.name)
    if body is not None and policy.uid in parse(BACKUP_RUN, body).owner_uids:
        return body
    raise Stalled(
        reasons.NAME_TAKEN,
        f"BackupRun {new.name} exists already and does not belong to this policy; delete it, it is in the way",
    )


async def _catalog(
    world: World, policy: Policy, host: Host | None, repository: Repository | None
) -> tuple[tuple[RestorePoint, ...] | None, bool]:
    """Read the restore points from the repository once for each policy, since records outlive objects.

    Return them, or None, and whether a search is to be looked at again soon.
    """
    searches = world.memory.searches
    if host is None or repository is None or not host.ready or not planning.wants_catalog(policy, repository):
        searches.give_up(policy.uid)
        return None, False
    if not searches.may_begin(host.uid, policy.uid, world.now()):
        return None, True
    identity = labels.archive_identity(world.settings.cluster_name, policy.namespace, host.name)
    wanted = CatalogJob(policy=f"{policy.namespace}/{policy.name}", host=identity)
    try:
        access = await repository_access(world, repository, repository.status.repository_id)
        address = await address_of(world, host)
        world.memory.pledges[policy.uid] = Pledge(address, None)
        search = catalog.Search(policy, host, repository, access, wanted)
        found = await catalog.search(world, world.hosts.at(address), search)
    except (Stalled, Unreachable):
        searches.put_off(policy.uid, world.now())
        return None, True  # The host or the repository says so in its own status.
    if isinstance(found, CatalogReport):
        searches.give_up(policy.uid)
        return found.points, False
    if found is not None:
        searches.put_off(policy.uid, world.now())
    return None, True


def _look_again(at: dt.datetime | None, now: dt.datetime, searching: bool) -> float | None:
    if searching:
        return agents.POLL_SECONDS * 4
    return min((at - now).total_seconds(), LONGEST_LOOK_SECONDS) if at else None
