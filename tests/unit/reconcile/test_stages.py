"""Stage volumes are there while an agent works, and gone afterwards, whoever dies."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from compose_backup.api.backup_run import Failure
from compose_backup.api.kinds import BACKUP_RUN, COMPOSE_HOST
from compose_backup.planning import labels, staging
from compose_backup.planning.agent_container import BACKUP_CAPABILITIES, STAGING_CAPABILITIES
from compose_backup.reconcile.world import World
from fakes import objects
from fakes.scene import Scene
from fakes.turned_loop import run_on_turned_loop

Story = Callable[[Scene, World], Coroutine[Any, Any, None]]
DB = {"com.docker.compose.project": "shop", "com.docker.compose.service": "db"}


def told(story: Story, **policy: Any) -> None:
    """Tell a story that begins when all is Ready, and a service writes to the volume of the policy."""

    async def scenario() -> None:
        scene = Scene()
        scene.engine.add_service("shop-db-1", "shop_data", labels=DB)
        scene.apply_all(**{"retry": {"limit": 1, "backoffSeconds": 5}} | policy)
        scene.apply(COMPOSE_HOST, "srv1", objects.host_spec(permit={"hostPaths": ["/srv/backups"]}))
        world = scene.world()
        await scene.until(world, scene.is_ready)
        await story(scene, world)

    run_on_turned_loop(scenario())


def stages(scene: Scene) -> list[str]:
    return [name for name in scene.engine.volumes if "-stage-" in name]


def agent(scene: Scene) -> Any:
    return next((one for name, one in scene.engine.agents.items() if "-run-" in name), None)


def ended(scene: Scene) -> bool:
    return bool(scene.runs()) and all(run.finished for run in scene.runs())


def test_it_is_mounted_beside_its_volume_and_gone_with_the_agent() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, lambda: agent(scene) is not None)
        (run,) = scene.runs()
        assert stages(scene) == [labels.stage_name(run.uid, "0")]
        mounts = {mount.target: (mount.source, mount.read_only) for mount in agent(scene).wanted.mounts}
        assert mounts["/stage/0"] == (labels.stage_name(run.uid, "0"), False)
        assert mounts["/live/volumes/shop_data"] == ("shop_data", True)
        assert agent(scene).wanted.capabilities == STAGING_CAPABILITIES
        _, job = scene.agents.started[-1]
        assert job.backup and job.backup.ahead["shop_data"].stage == "/stage/0"
        await scene.until(world, lambda: ended(scene))
        await scene.live(world, 1)
        assert stages(scene) == [] and agent(scene) is None

    told(story)


def test_without_one_the_agent_gets_no_more_rights_than_before() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, lambda: agent(scene) is not None)
        assert stages(scene) == [] and agent(scene).wanted.capabilities == BACKUP_CAPABILITIES

    told(story, quiesce={"stage": "None"})


def test_the_attempt_after_a_full_disk_has_none() -> None:
    async def story(scene: Scene, world: World) -> None:
        scene.agents.failure = Failure(reason="StageDropped", message="the disk is full", retryable=True)
        await scene.until(world, lambda: bool(scene.runs()) and scene.runs()[0].status.attempts == 1)
        await scene.until(world, lambda: scene.runs()[0].status.retry_at is not None)
        await scene.live(world, 1)
        assert stages(scene) == [], "it pins the disk while the run waits"
        scene.agents.failure = None
        await scene.until(world, lambda: ended(scene))
        first, second = (job.backup for _, job in scene.agents.started if job.backup)
        assert first and second and first.ahead["shop_data"].stage and second.ahead["shop_data"].stage is None

    told(story)


@pytest.mark.parametrize("death", ["killed", "removed"])
def test_that_of_a_dead_agent_is_removed(death: str) -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, lambda: agent(scene) is not None)
        dead = agent(scene)
        dead.end(137)
        if death == "removed":
            scene.engine.agents.pop(dead.wanted.name)
        await scene.until(world, lambda: ended(scene))
        await scene.live(world, 90)
        assert stages(scene) == []

    told(story, retry={"limit": 0})


def test_that_of_a_deleted_run_is_removed() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, lambda: agent(scene) is not None)
        (run,) = scene.runs()
        await world.cluster.delete(BACKUP_RUN, "prod", run.name, run.uid)
        agent(scene).end(0)
        await scene.sweep()
        assert stages(scene) == []

    told(story)


def test_the_sweep_leaves_those_that_are_needed_or_of_others() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, lambda: agent(scene) is not None)
        owner = labels.Owner("BackupRun", "prod", "long-gone", "uid-of-nobody")
        await scene.engine.create_volume(staging.stage_volume("left-stage-ours", owner, world.installation))
        await scene.engine.create_volume(staging.stage_volume("left-stage-theirs", owner, "installation-2"))
        mine = stages(scene)[0]
        await scene.sweep()
        assert stages(scene) == [mine, "left-stage-theirs"]

    told(story)
