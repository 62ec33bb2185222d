"""A stop that ends only after the agent has died that asked for it: stories told by passes alone.

The rest of the stories about services that come back is in test_coming_back.py.
"""

from __future__ import annotations

import asyncio

import pytest

from compose_backup.api.kinds import BACKUP_POLICY, BACKUP_RUN, COMPOSE_HOST
from compose_backup.reconcile import deletion
from compose_backup.reconcile.world import World
from fakes.scene import Scene
from fakes.turned_loop import turned_loop
from unit.reconcile.test_coming_back import assert_nothing_left, ended, is_down, journals_of, state, the_agent, told


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
