"""A restore stops who uses its targets, and never starts anybody onto half-restored data: stories told by passes alone.

The rest of the stories about services that come back is in test_coming_back.py.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from compose_backup.api import reasons
from compose_backup.api.backup_policy import CANCEL_REQUESTED_ANNOTATION
from compose_backup.api.backup_run import Failure
from compose_backup.api.job import Report
from compose_backup.api.journal import RestartPolicy
from compose_backup.api.kinds import BACKUP_POLICY, COMPOSE_HOST, RESTORE_REQUEST
from compose_backup.reconcile.world import World
from fakes import objects
from fakes.scene import Scene
from unit.reconcile.test_coming_back import assert_nothing_left, ended, journals_of, state, the_agent, told, unresumed


async def begin(scene: Scene, world: World, name: str = "rescue") -> None:
    await scene.until(world, ended(scene))
    await scene.live(world, 5)
    scene.apply(RESTORE_REQUEST, name, objects.restore_spec(existingData="Mirror"))
    await scene.until(world, lambda: state(scene) == "exited" and bool(scene.restore(name).status.agent))


def test_services_are_stopped_and_come_back_when_all_is_whole() -> None:
    async def story(scene: Scene, world: World) -> None:
        await begin(scene, world)
        assert scene.engine.services["shop-db-1"].restart_policy == RestartPolicy()
        await scene.until(world, lambda: scene.restore().finished)
        await scene.live(world, 90)
        assert scene.restore().status.phase == "Succeeded" and scene.restore().status.downtime
        assert_nothing_left(scene)

    told(story)


def test_an_agent_that_dies_before_it_writes_leaves_nothing_down() -> None:
    async def story(scene: Scene, world: World) -> None:
        scene.agents.touches = False
        await begin(scene, world)
        the_agent(scene, "restore").end(137)
        await scene.until(world, lambda: scene.restore().finished)
        await scene.live(world, 90)
        assert scene.restore().status.failure.reason == reasons.AGENT_KILLED
        assert_nothing_left(scene)

    told(story)


@pytest.mark.parametrize("ends_late", [False, True])
def test_an_agent_that_vanishes_before_all_are_down_cannot_have_written(ends_late: bool) -> None:
    async def story(scene: Scene, world: World) -> None:
        await begin(scene, world)
        agent = the_agent(scene, "restore")
        agent.end(137)
        scene.engine.agents.pop(agent.wanted.name)
        never_stopped = replace(scene.engine.services["shop-db-1"], state="running")  # StartedAt is the plan's
        scene.engine.services["shop-db-1"] = never_stopped
        await scene.live(world, 8)
        assert scene.restore().status.phase == "Resuming"
        if ends_late:
            scene.engine.stop_service("shop-db-1")
        world = scene.world()  # what is known outlives the operator
        await scene.until(world, lambda: scene.restore().finished)
        await scene.live(world, 90)
        assert scene.restore().status.failure.reason == reasons.AGENT_LOST
        assert_nothing_left(scene)

    told(story)


def test_an_agent_with_a_fault_of_its_own_starts_nobody_onto_what_it_has_begun() -> None:
    async def story(scene: Scene, world: World) -> None:
        await begin(scene, world)
        await scene.live(world, 2)
        the_agent(scene, "restore").report(Report(failure=Failure(reason="ArchiveFailed", message="OSError()")), 1)
        await scene.until(world, lambda: scene.restore().finished)
        await scene.live(world, 90)
        assert scene.restore().status.failure.reason == reasons.TARGET_INCOMPLETE
        assert (state(scene), unresumed(scene)) == ("exited", [("shop/db", True)])

    told(story)


@pytest.mark.parametrize("down", [True, False], ids=["before-the-first-start", "when-all-is-up"])
@pytest.mark.parametrize("death", ["restarted", "killed", "removed"])
def test_a_restore_that_is_whole_has_succeeded_whatever_becomes_of_its_agent(death: str, down: bool) -> None:
    async def story(scene: Scene, world: World) -> None:
        await begin(scene, world)
        await scene.live(world, 2)
        agent = the_agent(scene, "restore")
        job = scene.agents.jobs("restore")[-1].restore
        assert job
        scene.agents.mark_whole(job)
        if not down:
            scene.engine.start_service("shop-db-1")
        if death == "restarted":
            scene.agents.recover(agent)
        else:
            agent.end(137)
        if death == "removed":
            scene.engine.agents.pop(agent.wanted.name)
        world = scene.world()
        await scene.until(world, lambda: scene.restore().finished)
        await scene.live(world, 90)
        status = scene.restore().status
        assert (status.phase, status.failure) == ("Succeeded", None)
        assert [one.phase for one in status.volumes] == ["Succeeded"]
        assert not status.quiesce.kept_stopped and "KeptStopped" not in scene.restore().condition("Ready")
        assert_nothing_left(scene)

    told(story)


@pytest.mark.parametrize("death", ["reported", "killed", "removed"])
def test_broken_data_keeps_services_stopped_until_the_next_good_restore(death: str) -> None:
    async def story(scene: Scene, world: World) -> None:
        scene.agents.breaks_after_writing = True
        await begin(scene, world)
        if death != "reported":
            the_agent(scene, "restore").end(137)
        if death == "removed":
            scene.engine.agents.pop(the_agent(scene, "restore").wanted.name)
        await scene.until(world, lambda: scene.restore().finished)
        assert scene.restore().status.failure.reason == reasons.TARGET_INCOMPLETE
        world = scene.world()
        await scene.live(world, 3600)
        assert (state(scene), unresumed(scene)) == ("exited", [("shop/db", True)])
        assert "KeptStopped" in scene.get(COMPOSE_HOST, "srv1").condition("ServicesResumed")
        scene.agents.breaks_after_writing = False
        scene.apply(RESTORE_REQUEST, "again", objects.restore_spec(existingData="Mirror"))
        await scene.until(world, lambda: scene.restore("again").finished)
        await scene.live(world, 90)
        assert scene.restore("again").status.phase == "Succeeded"
        assert_nothing_left(scene)

    told(story)


@pytest.mark.parametrize("end", ["killed", "cancelled", "refused"])
def test_a_restore_that_writes_nothing_leaves_stopped_what_an_earlier_one_keeps(end: str) -> None:
    async def story(scene: Scene, world: World) -> None:
        scene.agents.breaks_after_writing = True
        await begin(scene, world)
        await scene.until(world, lambda: scene.restore().finished)
        scene.agents.breaks_after_writing = scene.agents.touches = False
        if end == "refused":
            not_empty = Failure(reason="TargetNotEmpty", message="there are files in it")
            scene.agents.before_stop = lambda: not_empty
            scene.apply(RESTORE_REQUEST, "again", objects.restore_spec())
        else:
            await begin(scene, world, "again")
        if end == "killed":
            the_agent(scene, "restore").end(137)
        elif end == "cancelled":
            scene.annotate(RESTORE_REQUEST, "again", CANCEL_REQUESTED_ANNOTATION)
        await scene.until(world, lambda: scene.restore("again").finished)
        await scene.live(world, 90)
        assert (state(scene), unresumed(scene), len(journals_of(scene))) == ("exited", [("shop/db", True)], 1)
        assert scene.engine.services["shop-db-1"].restart_policy == RestartPolicy()
        scene.agents.touches, scene.agents.before_stop = True, lambda: None
        scene.apply(RESTORE_REQUEST, "third", objects.restore_spec(existingData="Mirror"))
        await scene.until(world, lambda: scene.restore("third").finished)
        await scene.live(world, 90)
        assert_nothing_left(scene)

    told(story)


def test_a_backup_waits_for_what_a_restore_keeps_stopped_and_lets_the_next_restore_pass() -> None:
    async def story(scene: Scene, world: World) -> None:
        scene.agents.breaks_after_writing = True
        await begin(scene, world)
        await scene.until(world, lambda: scene.restore().finished)
        scene.agents.breaks_after_writing = False
        scene.annotate(BACKUP_POLICY, "nightly", "backup.dockerwarts.io/run-requested")
        await scene.live(world, 120)
        waiting = next(run for run in scene.runs() if not run.finished)
        assert (waiting.status.phase, state(scene)) == ("Pending", "exited")
        assert "StoppedByAnother" in waiting.condition("Ready") and "rescue" in waiting.condition("Ready")
        scene.apply(RESTORE_REQUEST, "again", objects.restore_spec(existingData="Mirror"))
        await scene.until(world, lambda: scene.restore("again").finished and ended(scene)())
        await scene.live(world, 90)
        assert {run.status.phase for run in scene.runs()} == {"Succeeded"}
        assert_nothing_left(scene)

    told(story)
