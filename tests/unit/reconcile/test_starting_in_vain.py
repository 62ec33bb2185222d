"""A service that starts and does not last: stories told by passes alone; the others are in test_coming_back.py."""

from __future__ import annotations

from compose_backup.api import reasons
from compose_backup.reconcile.world import World
from fakes.scene import Scene
from unit.reconcile.test_coming_back import assert_nothing_left, ended, is_down, state, the_agent, told, unresumed


class TestServiceThatDoesNotLast:
    """It starts, and ends after a moment: it is not up by that, and not a person's by that either."""

    @staticmethod
    async def crash(scene: Scene, world: World, times: int) -> None:
        """Let the service end after each of so many starts, before it is looked at again."""
        for _ in range(times):
            await scene.until(world, lambda: state(scene) == "running", seconds=700)
            scene.engine.stop_service("shop-db-1")

    def test_the_operator_starts_it_again(self) -> None:
        async def story(scene: Scene, world: World) -> None:
            await scene.until(world, is_down(scene))
            the_agent(scene).end(137)
            await self.crash(scene, world, 3)
            await scene.until(world, lambda: state(scene) == "running", seconds=10)
            await scene.until(world, ended(scene))
            await scene.live(world, 90)
            assert scene.runs()[0].status.phase == "Succeeded"
            assert_nothing_left(scene)

        told(story)

    def test_the_host_goes_on_when_its_agent_has_given_up(self) -> None:
        async def story(scene: Scene, world: World) -> None:
            await scene.until(world, is_down(scene))
            scene.agents.starts_in_vain = True
            await scene.until(world, ended(scene))
            await self.crash(scene, world, 3)
            assert scene.runs()[0].status.failure.reason == reasons.SERVICE_NOT_RESUMED
            await scene.until(world, lambda: unresumed(scene) == [("shop/db", False)], seconds=10)
            await scene.until(world, lambda: state(scene) == "running", seconds=700)
            await scene.live(world, 90)
            assert_nothing_left(scene)

        told(story)
