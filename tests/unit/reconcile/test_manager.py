"""The operator's tasks: events and lists in any order, deletions, and health."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from compose_backup.api import reasons
from compose_backup.api.kinds import BACKUP_POLICY, BACKUP_RUN, Kind
from compose_backup.errors import Unreachable
from compose_backup.reconcile import manager as managing
from compose_backup.reconcile.manager import Manager
from compose_backup.reconcile.queue import Key
from compose_backup.reconcile.world import World
from fakes import objects
from fakes.docker_host import FakeAgent
from fakes.scene import Scene
from fakes.turned_loop import run_on_turned_loop, turned_loop

NIGHTLY = Key("BackupPolicy", "prod", "nightly")


def managed(story: Callable[[Scene, Manager], Coroutine[Any, Any, None]]) -> None:
    """Tell a story with an operator that has started beside a host, a repository and a policy."""

    async def scenario() -> None:
        scene = Scene()
        scene.apply_all()
        manager = Manager(scene.world())
        await manager.start()
        await turn_until(scene, lambda: manager.ready and scene.is_ready())
        await story(scene, manager)
        await manager.stop()
        assert scene.hosts.closed

    run_on_turned_loop(scenario())


async def turn_until(scene: Scene, reached: Callable[[], bool], seconds: float = 900) -> None:
    end = turned_loop().now + seconds
    while not reached():
        assert turned_loop().now < end, scene.story()
        await turned_loop().turn(0.5)
        scene.agents.go_on()


async def agent_at_work(scene: Scene) -> FakeAgent:
    def working() -> list[FakeAgent]:
        return [agent for name, agent in scene.engine.agents.items() if "-run-" in name]

    await turn_until(scene, lambda: bool(working()) and any(run.status.agent for run in scene.runs()))
    return working()[0]


def deleted(scene: Scene, manager: Manager, kind: Kind, name: str) -> None:
    body = scene.body(kind, name)
    scene.cluster.remove(kind, "prod", name)
    manager.observe(kind, "DELETED", body)


def test_a_deleted_run_takes_its_agent_along() -> None:
    async def story(scene: Scene, manager: Manager) -> None:
        agent = await agent_at_work(scene)
        deleted(scene, manager, BACKUP_RUN, scene.runs()[0].name)
        await turn_until(scene, lambda: agent.wanted.name not in scene.engine.agents, seconds=10)
        assert agent.terminations == 1

    managed(story)


def test_a_run_deleted_while_its_agent_is_being_started_leaves_none_behind() -> None:
    async def story(scene: Scene, manager: Manager) -> None:
        await turn_until(scene, lambda: bool(scene.runs()) and scene.runs()[0].status.phase == "Running")
        scene.engine.gate = asyncio.Event()
        await turned_loop().turn(1)
        deleted(scene, manager, BACKUP_RUN, scene.runs()[0].name)
        await turned_loop().turn(1)
        scene.engine.gate.set()
        await turned_loop().turn(0)
        await turn_until(scene, lambda: not [name for name in scene.engine.agents if "-run-" in name], seconds=10)

    managed(story)


def test_errands_that_are_done_are_no_dead_tasks() -> None:
    async def story(scene: Scene, manager: Manager) -> None:
        await agent_at_work(scene)
        deleted(scene, manager, BACKUP_RUN, scene.runs()[0].name)
        await turn_until(scene, lambda: not manager._errands, seconds=60)
        assert manager.complaint() is None

    managed(story)


def test_a_task_that_has_ended_is_a_complaint() -> None:
    async def story(scene: Scene, manager: Manager) -> None:
        manager._tasks[0].cancel()
        await turned_loop().turn(0)
        assert "have ended" in str(manager.complaint())

    managed(story)


def test_a_list_that_is_too_old_is_a_complaint() -> None:
    async def story(scene: Scene, manager: Manager) -> None:
        scene.cluster.failure = Unreachable(reasons.UNREACHABLE, "the API server is down")
        turned_loop().now += managing.STALE_AFTER_SECONDS + 1
        assert "full list" in str(manager.complaint())
        scene.cluster.failure = None
        await turn_until(scene, lambda: manager.complaint() is None, seconds=60)

    managed(story)


def test_nothing_is_decided_before_the_first_full_list() -> None:
    async def scenario() -> None:
        scene = Scene()
        scene.apply_all()
        scene.cluster.failure = Unreachable(reasons.UNREACHABLE, "the API server is down")
        manager = Manager(scene.world())
        await manager.start()
        turned_loop().now += 300
        manager.observe(BACKUP_POLICY, "ADDED", scene.body(BACKUP_POLICY, "nightly"))
        for _ in range(20):
            await turned_loop().turn(1)
        assert not manager.ready and not scene.runs() and scene.engine.calls == []
        scene.cluster.failure = None
        await turn_until(scene, lambda: bool(scene.runs()))
        await manager.stop()

    run_on_turned_loop(scenario())


class LateList:
    """A cluster whose lists are as old as the moment when they were asked for."""

    def __init__(self, scene: Scene, meanwhile: Callable[[], None]) -> None:
        self._scene, self._meanwhile = scene, meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scene.cluster, name)

    async def list(self, kind: Kind) -> list[Any]:
        bodies = await self._scene.cluster.list(kind)
        if kind is BACKUP_POLICY:
            self._meanwhile()
        return list(bodies)


def late(meanwhile: Callable[[Scene, Manager], None]) -> tuple[Scene, World]:
    """Return what the store knows when something happens between a list and its arrival."""

    async def scenario() -> tuple[Scene, World]:
        scene = Scene()
        scene.apply_all()
        world = scene.world()
        manager = Manager(world)
        await manager._list(BACKUP_POLICY)
        world.cluster = LateList(scene, lambda: meanwhile(scene, manager))
        await manager._list(BACKUP_POLICY)
        return scene, world

    return run_on_turned_loop(scenario())


def test_what_was_made_while_a_list_was_on_its_way_is_no_ghost() -> None:
    def made(scene: Scene, manager: Manager) -> None:
        scene.apply(BACKUP_POLICY, "new", objects.policy_spec())
        manager.observe(BACKUP_POLICY, "ADDED", scene.body(BACKUP_POLICY, "new"))

    _, world = late(made)
    assert {key.name for key in world.store.keys(BACKUP_POLICY)} == {"nightly", "new"}


def test_what_was_deleted_while_a_list_was_on_its_way_stays_deleted() -> None:
    _, world = late(lambda scene, manager: deleted(scene, manager, BACKUP_POLICY, "nightly"))
    assert world.store.body(NIGHTLY) is None


def test_what_was_made_anew_while_a_list_was_on_its_way_is_the_new_one() -> None:
    def anew(scene: Scene, manager: Manager) -> None:
        deleted(scene, manager, BACKUP_POLICY, "nightly")
        scene.apply(BACKUP_POLICY, "nightly", objects.policy_spec())
        manager.observe(BACKUP_POLICY, "ADDED", scene.body(BACKUP_POLICY, "nightly"))

    scene, world = late(anew)
    known = world.store.body(NIGHTLY)
    assert known and known["metadata"]["uid"] == scene.get(BACKUP_POLICY, "nightly").uid


@pytest.mark.parametrize("seen", [True, False], ids=["the deletion is seen late", "the deletion is never seen"])
def test_an_object_made_anew_under_its_name_ends_what_the_old_one_left(seen: bool) -> None:
    async def story(scene: Scene, manager: Manager) -> None:
        agent = await agent_at_work(scene)
        old = scene.body(BACKUP_RUN, scene.runs()[0].name)
        scene.cluster.remove(BACKUP_RUN, "prod", old["metadata"]["name"])
        scene.cluster.apply(BACKUP_RUN, {**old, "metadata": {"namespace": "prod", "name": old["metadata"]["name"]}})
        manager.observe(BACKUP_RUN, "MODIFIED", scene.body(BACKUP_RUN, old["metadata"]["name"]))
        if seen:
            manager.observe(BACKUP_RUN, "DELETED", old)
        await turn_until(scene, lambda: agent.wanted.name not in scene.engine.agents, seconds=10)
        known = manager.world.store.run("prod", old["metadata"]["name"])
        assert known and known.uid != old["metadata"]["uid"]

    managed(story)


def test_progress_of_a_run_wakes_nobody_who_waits() -> None:
    async def story(scene: Scene, manager: Manager) -> None:
        scene.agents.seconds = 300
        for number in range(10):
            scene.apply(BACKUP_POLICY, f"p{number}", objects.policy_spec())
            manager.observe(BACKUP_POLICY, "ADDED", scene.body(BACKUP_POLICY, f"p{number}"))
        await turn_until(scene, lambda: len(scene.runs()) == 11 and any(run.status.agent for run in scene.runs()))
        before = scene.engine.calls.count("inventory")
        for _ in range(120):
            await turned_loop().turn(0.5)
            scene.agents.go_on()
        assert scene.engine.calls.count("inventory") - before <= 1

    managed(story)
