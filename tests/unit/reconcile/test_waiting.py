"""Runs and restores that wait for their turn: whole stories of what they say and in which order they begin."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from compose_backup.api.conditions import QUEUED, READY
from compose_backup.api.kinds import BACKUP_POLICY, COMPOSE_HOST, RESTORE_REQUEST
from compose_backup.api.resources import Resource
from compose_backup.errors import Unreachable
from compose_backup.reconcile import worker
from compose_backup.reconcile.world import World
from fakes import objects
from fakes.scene import Scene
from fakes.turned_loop import run_on_turned_loop

Story = Callable[[Scene, World], Coroutine[Any, Any, None]]
NAMES = ("alpha", "beta", "gamma", "nightly")
SLOT = "202610130200"


def told(story: Story, limit: int = 1) -> None:
    """Tell a story of four policies with volumes of their own, and one slot, on a host that bears few at a time."""

    async def scenario() -> None:
        scene = Scene()
        scene.apply_all(selector={"volumes": ["shop_data"]})
        scene.apply(COMPOSE_HOST, "srv1", objects.host_spec(maxConcurrentRuns=limit))
        for name in NAMES[:3]:
            scene.engine.add_volume(f"{name}_data")
            scene.apply(BACKUP_POLICY, name, objects.policy_spec(selector={"volumes": [f"{name}_data"]}))
        world = scene.world()
        await scene.until(world, scene.is_ready)
        await scene.until(world, lambda: len(scene.runs()) == 4)
        await story(scene, world)

    run_on_turned_loop(scenario())


def queues(scene: Scene) -> list[str]:
    """Return what stands in the column Queue of those that wait, the first in line first."""
    said = [*scene.runs(), *scene.all(RESTORE_REQUEST)]
    return sorted(text for one in said if (text := queue(one)))


def queue(one: Resource[Any, Any]) -> str:
    return one.condition(QUEUED).partition(": ")[2]


def ended(scene: Scene) -> bool:
    return all(run.finished for run in scene.runs())


def test_those_that_wait_say_for_whom_and_at_which_place() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, lambda: len(queues(scene)) == 3)
        assert queues(scene) == [
            f"1, after BackupRun prod/alpha-{SLOT}",
            f"2, after BackupRun prod/beta-{SLOT}",
            f"3, after BackupRun prod/gamma-{SLOT}",
        ]
        last = next(run for run in scene.runs() if run.name.startswith("nightly"))
        assert last.condition(READY) == (
            f"HostBusy: place 3 in the queue: BackupRun prod/gamma-{SLOT} comes first; "
            "maxConcurrentRuns of ComposeHost prod/srv1 is 1"
        )
        await scene.until(world, lambda: ended(scene))
        runs = sorted(scene.runs(), key=lambda run: run.status.start_time)
        assert [run.name for run in runs] == [f"{name}-{SLOT}" for name in NAMES]
        assert all(run.status.phase == "Succeeded" and not queue(run) for run in runs)
        written = [body["metadata"]["name"] for body in scene.cluster.status_writes if "place" in str(body["status"])]
        assert all(written.count(run.name) == place for place, run in enumerate(runs))

    told(story)


def test_a_restore_goes_before_backups_that_only_wait() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, lambda: sum(run.finished for run in scene.runs()) == 1)
        source = {"policyRef": {"name": "alpha"}}
        scene.apply(RESTORE_REQUEST, "rescue", objects.restore_spec(source=source, existingData="Mirror"))
        await scene.until(world, lambda: ended(scene) and scene.restore().finished)
        order = sorted([*scene.runs(), scene.restore()], key=lambda one: one.status.start_time)
        assert [one.name for one in order] == [
            f"alpha-{SLOT}",
            f"beta-{SLOT}",
            "rescue",
            f"gamma-{SLOT}",
            f"nightly-{SLOT}",
        ]

    told(story)


def test_a_host_that_bears_all_lets_nobody_wait() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, lambda: ended(scene))
        assert not any("place" in str(body["status"]) for body in scene.cluster.status_writes)

    told(story, limit=4)


def test_a_place_is_not_told_any_more_while_something_else_is_wrong() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, lambda: len(queues(scene)) == 3)
        scene.cluster.put_secret("prod", "restic", {})
        await scene.until(world, lambda: any("SecretKeyMissing" in run.condition(READY) for run in scene.runs()))
        stuck = next(run for run in scene.runs() if "SecretKeyMissing" in run.condition(READY))
        assert not queue(stuck)

    told(story)


def test_nor_while_the_host_cannot_be_reached() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, lambda: len(queues(scene)) == 3)
        waits = next(run for run in scene.runs() if queue(run))
        said = worker._said(waits, Unreachable("Unreachable", "no answer"), None)
        assert {claim.type for claim in said.claims} == {"Ready", "Reconciling", "Finished"}

    told(story)
