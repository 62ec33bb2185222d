"""Deciding who may run: one decision about the last in line, with 10,000 policies and 1,000 runs that wait.

From what was last seen to the verdict, as a pass does it while nothing is at rest: before each decision some runs have
said something new. What the first decision after a start takes, when nothing is made out yet, is told as well. All runs
wait for one engine. Only this process is measured: no cluster, no host. Run alone, or by run.py.
"""

from __future__ import annotations

import datetime as dt
import random
import time
from collections.abc import Sequence
from typing import Any

from compose_backup.api.backup_run import BackupRunSpec, BackupRunStatus
from compose_backup.api.base import Model
from compose_backup.api.kinds import ARCHIVE_REPOSITORY, BACKUP_POLICY, BACKUP_RUN, COMPOSE_HOST, Kind
from compose_backup.api.resources import Run
from compose_backup.planning import backup as planning
from compose_backup.planning import turns
from compose_backup.planning.conditions import conditions, still_waiting
from compose_backup.planning.facts import Container, Inventory, Mount, Volume
from compose_backup.planning.turns import InLine
from compose_backup.reconcile.run_place import facts_of
from compose_backup.reconcile.world import SeenInventory, World
from compose_backup.settings import Settings
from fakes import objects
from fakes.cluster import FakeCluster
from fakes.docker_host import FakeHosts
from figures import Figure, main, median_of

HOSTS = 50
POLICIES = 10_000
WAITING = 1_000
VOLUMES = 400
DECISIONS = 20
CHANGES = 20
"""Runs that have said something new since the last decision."""
MUST_MILLISECONDS = 50.0
NOW = dt.datetime(2026, 10, 13, 2, 10, tzinfo=dt.UTC)
SETTINGS = Settings("compose-backup-system", "lab", "agent:test", allow_local_endpoints=True)


def measure() -> Sequence[Figure]:
    """Decide about the last in line, again and again, while others change."""
    world, chance = _world(), random.Random(1)
    last = world.store.run(objects.NAMESPACE, _run_name(WAITING - 1))
    assert last
    first = _milliseconds(world, last)
    whole, bare = [], []
    for number in range(DECISIONS):
        for changed in chance.sample(range(WAITING - 1), CHANGES):
            _put(world, BACKUP_RUN, _run_name(changed), *_waiting(changed, number + 1), version=number + 2)
        whole.append(_milliseconds(world, last))
        bare.append(_milliseconds_of_the_line(world, last))
    return (
        median_of("turn_decided_10000_policies_1000_waiting", whole, "ms", MUST_MILLISECONDS),
        median_of("turn_decided_line_alone", bare, "ms"),
        Figure("turn_decided_first_after_start", first, "ms", remark="once"),
    )


def _milliseconds(world: World, run: Run) -> float:
    began = time.perf_counter()
    verdict = planning.may_look(facts_of(world, run))
    took = 1000 * (time.perf_counter() - began)
    if not isinstance(verdict, InLine) or verdict.place < WAITING // 2:
        raise RuntimeError(f"the run is not the last in line: {verdict}")
    return took


def _milliseconds_of_the_line(world: World, run: Run) -> float:
    facts = facts_of(world, run)
    assert facts.host
    party, room = facts.party, turns.room_of(facts.host, facts.hosts)
    began = time.perf_counter()
    turns.turn(party, facts.others, room)
    return 1000 * (time.perf_counter() - began)


def _world() -> World:
    """Return an operator that has seen everything: the hosts of one engine, the policies, and the runs that wait."""
    cluster: Any = FakeCluster(clock=lambda: NOW)
    hosts: Any = FakeHosts({})
    world = World(cluster, hosts, SETTINGS, "installation", lambda: NOW)
    inventory = _inventory()
    for number in range(HOSTS):
        host, repository = objects.host(f"srv{number}", maxConcurrentRuns=4), objects.repository(f"main{number}")
        on_it = objects.repository_spec(hostRef={"name": host.name})
        _put(world, COMPOSE_HOST, host.name, host.spec, host.status)
        _put(world, ARCHIVE_REPOSITORY, repository.name, on_it, repository.status)
        world.memory.inventories[f"uid-of-{host.name}"] = SeenInventory(inventory, NOW)
    for number in range(POLICIES):
        references = {"hostRef": {"name": f"srv{number % HOSTS}"}, "repositoryRef": {"name": f"main{number % HOSTS}"}}
        matched = tuple(f"data{(number + step) % VOLUMES}" for step in range(2))
        policy = objects.policy(f"policy{number}", **references)
        _put(world, BACKUP_POLICY, policy.name, policy.spec, policy.status.model_copy(update={"volumes": matched}))
    for number in range(WAITING):
        _put(world, BACKUP_RUN, _run_name(number), *_waiting(number, 0))
    return world


def _inventory() -> Inventory:
    volumes = tuple(Volume(f"data{number}") for number in range(VOLUMES))
    containers = tuple(
        Container(f"c{number}", f"c{number}", "i", "running", mounts=(Mount(volume.name, "/data", writable=True),))
        for number, volume in enumerate(volumes)
    )
    return Inventory(volumes, containers)


def _run_name(number: int) -> str:
    return f"policy{number}-202610130200"


def _waiting(number: int, told: int) -> tuple[BackupRunSpec, BackupRunStatus]:
    """Return a run that waits, and has said so for the `told`th time."""
    spec = BackupRunSpec.model_validate({"policyRef": {"name": f"policy{number}"}, "trigger": "Schedule"})
    said = still_waiting(InLine("HostBusy", f"told {told} times", behind="BackupRun prod/x"))
    return spec, BackupRunStatus(phase="Pending", observed_generation=1, conditions=conditions(said, (), 1, NOW))


def _put(world: World, kind: Kind, name: str, spec: Model, status: Model, version: int = 1) -> None:
    body = objects.body(kind, name, spec, uid=f"uid-of-{name}")
    body["metadata"]["resourceVersion"] = str(version)
    world.store.put(kind, {**body, "status": status.to_wire()})


if __name__ == "__main__":
    main(measure)
