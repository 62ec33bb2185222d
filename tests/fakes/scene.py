"""A cluster, an engine and an operator without its tasks: a test makes time pass, and kills the operator at will.

Used by the tests of reconcile/.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from compose_backup.api.base import Model
from compose_backup.api.kinds import (
    ARCHIVE_REPOSITORY,
    BACKUP_POLICY,
    BACKUP_RUN,
    COMPOSE_HOST,
    KINDS,
    RESTORE_REQUEST,
    Kind,
)
from compose_backup.api.resources import Resource, parse
from compose_backup.reconcile import sweep
from compose_backup.reconcile.queue import key_of
from compose_backup.reconcile.worker import work_once
from compose_backup.reconcile.world import World
from compose_backup.settings import Settings
from fakes import objects
from fakes.cluster import FakeCluster
from fakes.docker_host import FakeEngine, FakeHosts
from fakes.played_agents import PlayedAgents
from fakes.turned_loop import turned_loop

BEGINNING = dt.datetime(2026, 10, 13, 1, 58, tzinfo=dt.UTC)
"""Two minutes before the slot of the policy nightly."""
SETTINGS = Settings("compose-backup-system", "lab", "agent:test", allow_local_endpoints=True)


@dataclass
class Life:
    """Ends the operator at its call number `ends_at` of a port: before the call does anything, or after it has."""

    ends_at: int
    moment: Literal["before", "after"]
    calls: int = 0

    async def call(self, act: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """Make one call of a port."""
        self.calls += 1
        if self.calls == self.ends_at and self.moment == "before":
            raise asyncio.CancelledError
        answer = await act(*given, **named)
        if self.calls == self.ends_at:
            raise asyncio.CancelledError
        return answer

    @property
    def over(self) -> bool:
        """Whether the operator has died."""
        return self.calls >= self.ends_at


class Mortal:
    """A port whose calls count down a life."""

    def __init__(self, port: Any, life: Life) -> None:
        self._port, self._life = port, life

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._port, name)
        if name == "at":
            return lambda address: Mortal(attribute(address), self._life)
        if not inspect.iscoroutinefunction(attribute):
            return attribute

        async def call(*given: Any, **named: Any) -> Any:
            return await self._life.call(attribute, *given, **named)

        return call


@dataclass
class Scene:
    """What outlives every operator: the cluster, the engine, the agents, and time."""

    engine: FakeEngine = field(default_factory=FakeEngine)
    skew: dt.timedelta = dt.timedelta()

    def __post_init__(self) -> None:
        self.began = turned_loop().now
        self.cluster = FakeCluster(clock=self.now)
        self.agents = PlayedAgents(clock=self.now, engine=self.engine)
        self.hosts = FakeHosts({"unix:///srv1.sock": self.engine})
        self.engine.script = self.agents.play
        self.engine.facts = self.engine.facts.model_copy(update={"id": "engine-1"})
        self.engine.add_volume("shop_data", project="shop")
        self.cluster.put_secret("prod", "restic", {"password": b"canary"})

    def now(self) -> dt.datetime:
        """Return the time of the scene."""
        return BEGINNING + dt.timedelta(seconds=turned_loop().now - self.began) + self.skew

    def world(self, life: Life | None = None) -> World:
        """Return an operator that has just started and knows nothing."""
        cluster: Any = Mortal(self.cluster, life) if life else self.cluster
        hosts: Any = Mortal(self.hosts, life) if life else self.hosts
        return World(cluster, hosts, SETTINGS, "installation-1", self.now)

    def apply(self, kind: Kind, name: str, wanted: Model, **annotations: str) -> None:
        """Apply an object, as a person does."""
        self.cluster.apply(kind, objects.body(kind, name, wanted, annotations=annotations))

    def apply_all(self, **policy: Any) -> None:
        """Apply a host, a repository and a policy."""
        self.apply(COMPOSE_HOST, "srv1", objects.host_spec())
        self.apply(ARCHIVE_REPOSITORY, "main", objects.repository_spec())
        self.apply(BACKUP_POLICY, "nightly", objects.policy_spec(**policy))

    def annotate(self, kind: Kind, name: str, annotation: str, value: str = "1") -> None:
        """Set an annotation, as `kubectl annotate` does."""
        body = self.body(kind, name)
        metadata = {**body["metadata"], "annotations": {annotation: value}}
        self.cluster.apply(kind, {**body, "metadata": metadata})

    def body(self, kind: Kind, name: str) -> dict[str, Any]:
        """Return an object as the cluster has it."""
        return dict(self.cluster._objects[kind.name][("prod", name)])

    def get(self, kind: Kind, name: str) -> Resource[Any, Any]:
        """Return an object as the cluster has it, typed."""
        return parse(kind, self.body(kind, name))

    def all(self, kind: Kind) -> list[Resource[Any, Any]]:
        """Return all objects of a kind."""
        return [parse(kind, body) for _, body in sorted(self.cluster._objects[kind.name].items())]

    def runs(self) -> list[Resource[Any, Any]]:
        """Return all runs."""
        return self.all(BACKUP_RUN)

    def restore(self, name: str = "rescue") -> Resource[Any, Any]:
        """Return a restore."""
        return self.get(RESTORE_REQUEST, name)

    async def look(self, world: World) -> None:
        """List everything, as at the start of an operator: the only way in which changes are seen here."""
        for kind in KINDS:
            bodies = await world.cluster.list(kind)
            for ghost in world.store.keys(kind) - {key_of(kind, body) for body in bodies}:
                world.store.remove(ghost)
            for body in bodies:
                world.store.put(kind, body)
                world.queue.add(key_of(kind, body))

    async def work(self, world: World) -> None:
        """Make all passes that are due now."""
        while not world.queue._due.empty():
            await work_once(world)

    async def until(self, world: World, reached: Callable[[], bool], *, seconds: float = 3600) -> None:
        """Make passes and let time pass, until something is so. Fails when it is not in time."""
        end = turned_loop().now + seconds
        await self.look(world)
        await self.work(world)
        while not reached():
            assert turned_loop().now < end, f"not within {seconds} s; {self.story()}"
            turned_loop().now += min(max(0.05, world.queue._move_due() or 0.05), 30)
            self.agents.go_on()
            world.queue._move_due()
            await self.work(world)

    async def live(self, world: World, seconds: float) -> None:
        """Make passes for a while."""
        end = turned_loop().now + seconds
        await self.until(world, lambda: turned_loop().now >= end, seconds=seconds + 1)

    async def outlive(self, life: Life, reached: Callable[[], bool], *, seconds: float = 3600) -> World:
        """Run an operator to its death, then another one until something is so."""
        try:
            world = self.world(life)
            await self.until(world, reached, seconds=seconds)
        except asyncio.CancelledError:
            world = self.world()
            await self.until(world, reached, seconds=seconds)
        return world

    async def sweep(self) -> None:
        """Sweep the hosts, as an operator does at its start."""
        world = self.world()
        await self.look(world)
        for host in world.store.hosts():
            await sweep.sweep_host(world, host)

    def is_ready(self) -> bool:
        """Whether host, repository and policy are Ready."""
        return all(one.ready for kind in KINDS[:3] for one in self.all(kind))

    def story(self) -> str:
        """Return what the cluster says, for a failed test."""
        lines = [f"{one.kind.name} {one.name}: {one.condition('Ready')}" for kind in KINDS for one in self.all(kind)]
        return f"{self.now():%H:%M:%S}\n" + "\n".join(lines)
