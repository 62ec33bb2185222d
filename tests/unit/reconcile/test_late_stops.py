"""A stop that ends only after the agent has died that asked for it: stories told by passes alone.

The rest of the stories about services that come back is in test_coming_back.py.
"""

from __future__ import annotations

import asyncio

import pytest

from compose_backup.api import reasons
from compose_backup.api.kinds import BACKUP_POLICY, BACKUP_RUN, COMPOSE_HOST, RESTORE_REQUEST
from compose_backup.reconcile import deletion
from compose_backup.reconcile.world import World
from fakes import objects
from fakes.docker_host import FakeAgent
from fakes.scene import Scene
from fakes.turned_loop import turned_loop
from unit.reconcile.test_coming_back import (
    assert_nothing_left,
    ended,
    is_down,
    journals_of,
    state,
    the_agent,
    told,
    unresumed,
)


@pytest.mark.parametrize("death", ["killed", "removed"])
def test_a_stop_that_ends_after_the_agents_death_is_undone_by_the_operator(death: str) -> None:
    async def story(scene: Scene, world: World) -> None:
        before = scene.engine.services["shop-db-1"]
        await scene.until(world, is_down(scene))
        scene.engine.services["shop-db-1"] = before  # the engine is still at it: the container looks untouched
        agent = the_agent(scene)
        agent.end(137)
        if death == "removed":
            scene.engine.agents.pop(agent.wanted.name)
        await scene.live(world, 8)
        (run,) = scene.runs()
        assert run.status.phase == "Resuming" and "told shop/db to stop" in run.condition("Ready")
        assert journals_of(scene)
        scene.engine.stop_service("shop-db-1")
        await scene.until(world, lambda: state(scene) == "running", seconds=3)
        await scene.until(world, ended(scene))
        await scene.live(world, 90)
        assert (scene.runs()[0].status.phase, scene.runs()[0].status.attempts) == ("Succeeded", 2)
        assert_nothing_left(scene)

    told(story)


@pytest.mark.parametrize("host_is_gone", [False, True])
def test_a_stop_that_ends_after_its_run_was_deleted_is_undone(host_is_gone: bool) -> None:
    async def story(scene: Scene, world: World) -> None:
        before = scene.engine.services["shop-db-1"]
        await scene.until(world, is_down(scene))
        scene.engine.services["shop-db-1"] = before
        agent = the_agent(scene)
        agent.end(137)
        scene.engine.agents.pop(agent.wanted.name)
        (run,) = scene.runs()
        scene.cluster.remove(BACKUP_RUN, "prod", run.name)
        scene.cluster.remove(BACKUP_POLICY, "prod", "nightly")
        if host_is_gone:
            scene.cluster.remove(COMPOSE_HOST, "prod", "srv1")
        await scene.look(world)
        errand = asyncio.create_task(deletion.end_agents(world, run.uid))
        for second in range(30):
            await turned_loop().turn(1)
            await scene.live(world, 0)
            if second == 8:
                scene.engine.stop_service("shop-db-1")
        assert errand.done()
        assert (state(scene), journals_of(scene)) == ("running", [])

    told(story)


def test_a_restore_whose_agent_cannot_be_started_ends_at_once_and_leaves_nothing() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, ended(scene))
        scene.engine.unmountable.add("shop_data")
        scene.apply(RESTORE_REQUEST, "rescue", objects.restore_spec(existingData="Mirror"))
        await scene.until(world, lambda: scene.restore().finished, seconds=30)
        assert scene.restore().status.failure.reason == reasons.VOLUME_MOUNT_FAILED
        await scene.live(world, 90)
        assert_nothing_left(scene)

    told(story)


def test_what_is_known_of_one_agent_of_a_restore_is_not_believed_of_the_next() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, ended(scene))
        await scene.live(world, 5)

        def die(agent: FakeAgent) -> None:
            """End the operator when it has opened the journal, before its agent is there."""
            if "-restore-" in agent.wanted.name:
                del scene.engine.agents[agent.wanted.name]
                raise asyncio.CancelledError
            scene.agents.play(agent)

        scene.engine.script = die
        scene.apply(RESTORE_REQUEST, "rescue", objects.restore_spec(existingData="Mirror"))
        with pytest.raises(asyncio.CancelledError):
            await scene.until(world, lambda: scene.restore().finished)
        scene.engine.script = scene.agents.play
        world = scene.world()
        await scene.until(world, lambda: scene.restore().status.phase == "Resuming")
        assert journals_of(scene)
        await scene.until(world, lambda: state(scene) == "exited", seconds=30)
        agent = the_agent(scene, "restore")
        agent.end(137)
        scene.engine.agents.pop(agent.wanted.name)
        world = scene.world()  # it knows what stands in the cluster, and nothing else
        await scene.until(world, lambda: scene.restore().finished)
        await scene.live(world, 90)
        assert scene.restore().status.failure.reason == reasons.TARGET_INCOMPLETE
        assert (state(scene), unresumed(scene)) == ("exited", [("shop/db", True)])

    told(story)
