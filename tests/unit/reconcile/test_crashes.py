"""The operator dies at each call of a port, before or after it; the next one brings all to the same end."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Literal

import pytest

from compose_backup.api.kinds import ARCHIVE_REPOSITORY, BACKUP_POLICY, COMPOSE_HOST, RESTORE_REQUEST
from fakes import objects
from fakes.scene import Life, Scene
from fakes.turned_loop import run_on_turned_loop

MANY = 500
MOMENTS = ("before", "after")
Moment = Literal["before", "after"]


def die_everywhere(scenario: Callable[[Life], Coroutine[Any, Any, None]], moment: Moment) -> int:
    """Run a scenario once for each call at which the operator can die in it, and return their number."""
    for number in range(1, MANY):
        life = Life(number, moment)
        run_on_turned_loop(scenario(life))
        if not life.over:
            return number - 1
    raise AssertionError("the scenario does not come to an end by itself")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_repository_is_initialised_once(moment: Moment) -> None:
    async def scenario(life: Life) -> None:
        scene = Scene()
        scene.agents.seconds = 3
        scene.apply_all()
        await scene.outlive(life, scene.is_ready)
        assert scene.agents.creations == 1
        assert scene.get(ARCHIVE_REPOSITORY, "main").status.repository_id == scene.agents.repository_id

    assert die_everywhere(scenario, moment) > 10


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_slot_makes_one_run_that_archives_once(moment: Moment) -> None:
    async def scenario(life: Life) -> None:
        scene = Scene()
        scene.agents.seconds = 3
        scene.apply_all()
        await scene.until(scene.world(), scene.is_ready)

        def over() -> bool:
            return (
                bool(scene.runs())
                and scene.runs()[0].finished
                and not scene.get(BACKUP_POLICY, "nightly").status.active_run
            )

        await scene.outlive(life, over)
        await scene.sweep()
        (run,) = scene.runs()
        assert (run.name, run.status.phase, run.status.attempts) == ("nightly-202610130200", "Succeeded", 1)
        assert len(scene.agents.jobs("run")) == 1
        assert not [name for name in scene.engine.agents if "-run-" in name or "-catalog-" in name]
        policy = scene.get(BACKUP_POLICY, "nightly").status
        assert policy.last_schedule_time == run.spec.scheduled_for == policy.last_success_time
        assert [point.run_uid for point in policy.restore_points] == [run.uid]

    assert die_everywhere(scenario, moment) > 20


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_restore_writes_once(moment: Moment) -> None:
    async def scenario(life: Life) -> None:
        scene = Scene()
        scene.agents.seconds = 3
        scene.apply_all()
        await scene.until(scene.world(), lambda: bool(scene.runs()) and scene.runs()[0].finished)
        scene.apply(RESTORE_REQUEST, "rescue", objects.restore_spec(existingData="Mirror"))
        await scene.outlive(life, lambda: scene.restore().finished)
        await scene.sweep()
        assert (scene.restore().status.phase, len(scene.agents.jobs("restore"))) == ("Succeeded", 1)
        assert not [name for name in scene.engine.agents if "-restore-" in name or "-catalog-" in name]

    assert die_everywhere(scenario, moment) > 10


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_service_is_stopped_once_and_comes_back(moment: Moment) -> None:
    async def scenario(life: Life) -> None:
        scene = Scene()
        scene.agents.seconds = 3
        scene.engine.add_service("shop-db-1", "shop_data")
        scene.apply_all()
        await scene.until(scene.world(), scene.is_ready)
        starts = scene.engine.ticks
        await scene.outlive(life, lambda: bool(scene.runs()) and scene.runs()[0].finished)
        await scene.sweep()
        await scene.live(scene.world(), 90)
        (run,) = scene.runs()
        assert (run.status.phase, run.status.attempts, len(scene.agents.jobs("run"))) == ("Succeeded", 1, 1)
        assert (scene.engine.services["shop-db-1"].state, scene.engine.ticks) == ("running", starts + 1)
        assert not [name for name in (*scene.engine.volumes, *scene.engine.agents) if run.uid in name]

    assert die_everywhere(scenario, moment) > 20


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_a_dead_agent_has_left_stopped_is_started_whoever_else_dies(moment: Moment) -> None:
    async def scenario(life: Life) -> None:
        scene = Scene()
        scene.agents.seconds = 3
        scene.engine.add_service("shop-db-1", "shop_data")
        scene.apply_all(retry={"limit": 1, "backoffSeconds": 1})
        world = scene.world()
        await scene.until(world, lambda: scene.engine.services["shop-db-1"].state == "exited")
        (name,) = [name for name in scene.engine.agents if "-run-" in name]
        scene.engine.agents.pop(name).end(137)
        await scene.outlive(life, lambda: scene.runs()[0].finished)
        await scene.sweep()
        await scene.live(scene.world(), 90)
        (run,) = scene.runs()
        assert (run.status.phase, run.status.attempts, len(scene.agents.jobs("run"))) == ("Succeeded", 2, 2)
        assert scene.engine.services["shop-db-1"].state == "running"
        assert not [name for name in (*scene.engine.volumes, *scene.engine.agents) if run.uid in name]

    assert die_everywhere(scenario, moment) > 20


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_restore_never_starts_anybody_onto_half_restored_data(moment: Moment) -> None:
    async def scenario(life: Life) -> None:
        scene = Scene()
        scene.agents.seconds = 3
        scene.apply_all(suspend=False)
        await scene.until(scene.world(), lambda: bool(scene.runs()) and scene.runs()[0].finished)
        scene.engine.add_service("shop-db-1", "shop_data")
        scene.agents.breaks_after_writing = True
        starts = scene.engine.ticks
        scene.apply(RESTORE_REQUEST, "rescue", objects.restore_spec(existingData="Mirror"))
        await scene.outlive(life, lambda: scene.restore().finished)
        await scene.sweep()
        await scene.live(scene.world(), 900)
        assert scene.restore().status.failure.reason == "TargetIncomplete"
        assert (scene.engine.services["shop-db-1"].state, scene.engine.ticks) == ("exited", starts)
        assert [one.kept_stopped for one in scene.get(COMPOSE_HOST, "srv1").status.unresumed] == [True]

    assert die_everywhere(scenario, moment) > 20
