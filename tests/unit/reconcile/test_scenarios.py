"""Whole stories of hosts, repositories, runs and restores, each told to its end by passes alone."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from compose_backup.api import reasons
from compose_backup.api.backup_policy import CANCEL_REQUESTED_ANNOTATION, RUN_REQUESTED_ANNOTATION
from compose_backup.api.backup_run import Failure
from compose_backup.api.kinds import (
    ARCHIVE_REPOSITORY,
    BACKUP_POLICY,
    BACKUP_RUN,
    COMPOSE_HOST,
    KINDS,
    RESTORE_REQUEST,
)
from compose_backup.reconcile.world import World
from fakes import objects
from fakes.scene import Scene
from fakes.turned_loop import run_on_turned_loop, turned_loop

Story = Callable[[Scene, World], Coroutine[Any, Any, None]]


def told(story: Story, **policy: Any) -> None:
    """Tell a story that begins when host, repository and policy are Ready, two minutes before the slot."""

    async def scenario() -> None:
        scene = Scene()
        scene.apply_all(**policy)
        world = scene.world()
        await scene.until(world, scene.is_ready)
        await story(scene, world)

    run_on_turned_loop(scenario())


def at_work(scene: Scene) -> bool:
    return any(run.status.agent for run in scene.runs())


def all_ended(scene: Scene) -> Callable[[], bool]:
    return lambda: bool(scene.runs()) and all(run.finished for run in scene.runs())


def the_agent(scene: Scene, purpose: str = "run") -> Any:
    return next(agent for name, agent in scene.engine.agents.items() if f"-{purpose}-" in name)


def test_an_agent_that_was_killed_is_tried_again() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, lambda: at_work(scene))
        the_agent(scene).end(137)
        await scene.until(world, all_ended(scene))
        (run,) = scene.runs()
        assert (run.status.phase, run.status.attempts, run.status.failure) == ("Succeeded", 2, None)
        assert [job.backup.attempt for job in scene.agents.jobs("run") if job.backup] == [1, 2]

    told(story)


def test_the_reason_of_the_first_death_is_kept_when_no_attempt_is_left() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, lambda: at_work(scene))
        the_agent(scene).end(137, out_of_memory=True)
        await scene.until(world, all_ended(scene))
        (run,) = scene.runs()
        assert run.status.failure.reason == reasons.OUT_OF_MEMORY
        assert scene.get(BACKUP_POLICY, "nightly").status.last_run.phase == "Failed"

    told(story, retry={"limit": 0})


def test_an_agent_that_says_nothing_is_ended_and_the_reason_is_told() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, lambda: at_work(scene))
        scene.agents._at_work.clear()
        the_agent(scene).stubborn = True
        await scene.until(world, all_ended(scene))
        assert scene.runs()[0].status.failure.reason == reasons.AGENT_SILENT

    told(story, retry={"limit": 0})


def test_a_lost_report_is_rebuilt_from_the_record() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, lambda: at_work(scene))
        job = scene.agents.jobs("run")[0].backup
        assert job
        scene.agents.store_record(job)
        scene.engine.agents.pop(the_agent(scene).wanted.name)
        await scene.until(world, all_ended(scene))
        (run,) = scene.runs()
        assert (run.status.phase, run.status.attempts, len(scene.agents.jobs("run"))) == ("Succeeded", 1, 1)
        assert [volume.name for volume in run.status.volumes] == ["shop_data"]

    told(story)


def test_an_agent_that_was_only_created_is_started_anew() -> None:
    async def story(scene: Scene, world: World) -> None:
        def create_only(agent: Any) -> None:
            agent.state = "created"
            scene.engine.script = scene.agents.play

        scene.engine.script = create_only
        await scene.until(world, all_ended(scene))
        (run,) = scene.runs()
        assert (run.status.phase, run.status.attempts) == ("Succeeded", 1)

    told(story, retry={"limit": 0})


def test_cancelling_ends_the_agent_and_the_run() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, lambda: at_work(scene))
        scene.annotate(BACKUP_RUN, scene.runs()[0].name, CANCEL_REQUESTED_ANNOTATION)
        await scene.until(world, all_ended(scene))
        (run,) = scene.runs()
        assert (run.status.phase, run.status.failure.reason) == ("Cancelled", reasons.CANCELLED)
        assert len(scene.agents.jobs("run")) == 1

    told(story)


def test_a_run_ends_when_its_policy_is_deleted() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, lambda: at_work(scene))
        scene.cluster.remove(BACKUP_POLICY, "prod", "nightly")
        await scene.until(world, all_ended(scene))
        assert scene.runs()[0].status.phase == "Cancelled"

    told(story)


def test_a_request_makes_one_run_and_is_answered() -> None:
    async def story(scene: Scene, world: World) -> None:
        scene.annotate(BACKUP_POLICY, "nightly", RUN_REQUESTED_ANNOTATION, "please")
        await scene.until(world, all_ended(scene))
        await scene.live(scene.world(), 60)
        (run,) = scene.runs()
        assert (run.spec.trigger, run.status.phase) == ("Request", "Succeeded")
        assert scene.get(BACKUP_POLICY, "nightly").status.last_handled_run_request == "please"

    told(story)


def test_two_operators_over_each_other_make_one_run_of_a_slot() -> None:
    async def story(scene: Scene, world: World) -> None:
        other = scene.world()
        await scene.look(other)
        turned_loop().now += 180
        await scene.work(other)
        await scene.until(world, all_ended(scene))
        assert len(scene.runs()) == 1 and len(scene.agents.jobs("run")) == 1

    told(story)


def test_a_volume_that_was_removed_since_is_told_and_not_made() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, lambda: bool(scene.runs()) and scene.runs()[0].status.phase == "Running")
        scene.engine.lose_volume("shop_data")
        scene.engine.agents.clear()
        await scene.until(world, all_ended(scene))
        assert scene.runs()[0].status.failure.reason in (reasons.VOLUME_NOT_FOUND, reasons.AGENT_LOST)
        assert "shop_data" not in scene.engine.volumes

    told(story, retry={"limit": 1, "backoffSeconds": 1})


def test_a_backup_and_a_restore_of_a_volume_never_run_together() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, all_ended(scene))
        scene.apply(RESTORE_REQUEST, "rescue", objects.restore_spec(existingData="Mirror"))
        scene.annotate(BACKUP_POLICY, "nightly", RUN_REQUESTED_ANNOTATION, "now")
        together = []

        def ended() -> bool:
            both = [*scene.runs(), *scene.all(RESTORE_REQUEST)]
            together.append(sum(one.status.phase == "Running" for one in both))
            return len(both) == 3 and all(one.finished for one in both)

        await scene.until(world, ended)
        assert max(together) == 1
        assert {one.status.phase for one in (*scene.runs(), scene.restore())} == {"Succeeded"}

    told(story)


def test_two_restores_of_a_volume_run_one_after_the_other_the_oldest_first() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, all_ended(scene))
        scene.apply(RESTORE_REQUEST, "b-older", objects.restore_spec(existingData="Mirror"))
        turned_loop().now += 2
        scene.apply(RESTORE_REQUEST, "a-younger", objects.restore_spec(existingData="Mirror"))
        await scene.until(world, lambda: all(one.finished for one in scene.all(RESTORE_REQUEST)))
        younger, older = scene.restore("a-younger").status, scene.restore("b-older").status
        assert (older.phase, younger.phase) == ("Succeeded", "Succeeded")
        assert older.completion_time <= younger.start_time

    told(story)


def test_a_restore_waits_for_the_service_and_says_which() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, all_ended(scene))
        scene.engine.add_service("shop-db-1", "shop_data")
        scene.apply(RESTORE_REQUEST, "rescue", objects.restore_spec(existingData="Mirror", quiesce="None"))
        await scene.live(world, 60)
        assert "shop-db-1" in scene.restore().condition("Ready") and not scene.agents.jobs("restore")
        scene.engine.stop_service("shop-db-1")
        await scene.until(world, lambda: scene.restore().finished)
        assert scene.restore().status.phase == "Succeeded"

    told(story)


def test_a_restore_whose_agent_dies_is_incomplete_and_is_not_tried_again() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, all_ended(scene))
        scene.apply(RESTORE_REQUEST, "rescue", objects.restore_spec(existingData="Mirror"))
        await scene.until(world, lambda: bool(scene.restore().status.progress))
        the_agent(scene, "restore").end(137)
        await scene.until(world, lambda: scene.restore().finished)
        status = scene.restore().status
        assert (status.phase, status.failure.reason) == ("Failed", reasons.TARGET_INCOMPLETE)
        assert len(scene.agents.jobs("restore")) == 1

    told(story)


def test_a_dead_host_touches_only_its_own_objects() -> None:
    async def story(scene: Scene, world: World) -> None:
        scene.apply(COMPOSE_HOST, "dead", objects.host_spec(endpoint="unix:///dead.sock"))
        scene.apply(ARCHIVE_REPOSITORY, "dead", objects.repository_spec(hostRef={"name": "dead"}))
        references = {"hostRef": {"name": "dead"}, "repositoryRef": {"name": "dead"}}
        scene.apply(BACKUP_POLICY, "lost", objects.policy_spec(**references))
        await scene.until(world, lambda: any(run.finished for run in scene.runs()))
        phases = {run.spec.policy_ref.name: run.status.phase for run in scene.runs()}
        assert phases == {"nightly": "Succeeded", "lost": "Pending"}
        ready = {f"{one.kind.name}/{one.name}": one.ready for kind in KINDS[:2] for one in scene.all(kind)}
        assert ready == {
            "ComposeHost/srv1": True,
            "ComposeHost/dead": False,
            "ArchiveRepository/main": True,
            "ArchiveRepository/dead": False,
        }

    told(story)


def test_a_host_that_comes_back_brings_its_repository_back_within_two_minutes() -> None:
    async def story(scene: Scene, world: World) -> None:
        scene.engine.way = "refused"
        await scene.until(world, lambda: not scene.get(ARCHIVE_REPOSITORY, "main").ready, seconds=120)
        scene.engine.way = "open"
        await scene.until(world, scene.is_ready, seconds=120)

    told(story)


def test_a_run_goes_on_while_its_host_cannot_be_reached() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, lambda: at_work(scene))
        scene.engine.way = "refused"
        await scene.live(world, 120)
        assert scene.runs()[0].status.phase == "Running"
        scene.engine.way = "open"
        await scene.until(world, all_ended(scene))
        (run,) = scene.runs()
        assert (run.status.phase, run.status.attempts) == ("Succeeded", 1)

    told(story)


def test_a_run_without_a_mended_fault_fails_and_is_told_on_the_policy() -> None:
    async def story(scene: Scene, world: World) -> None:
        scene.agents.failure = Failure(reason=reasons.DISK_FULL, message="no space is left")
        await scene.until(world, all_ended(scene))
        await scene.live(world, 5)
        told_by = scene.get(BACKUP_POLICY, "nightly")
        assert "no space is left" in told_by.condition("LastRunSucceeded")

    told(story)


def test_progress_is_written_at_most_every_four_seconds_and_nothing_when_nothing_changes() -> None:
    async def story(scene: Scene, world: World) -> None:
        scene.agents.seconds = 60
        before = len(scene.cluster.status_writes)
        await scene.live(world, 100)
        assert len(scene.cluster.status_writes) == before
        await scene.until(world, all_ended(scene))
        progress = [
            body for body in scene.cluster.status_writes if body["kind"] == "BackupRun" and "progress" in body["status"]
        ]
        assert 10 <= len(progress) <= 16

    told(story)


def test_a_second_host_on_the_engine_lends_it_no_second_run() -> None:
    async def story(scene: Scene, world: World) -> None:
        scene.apply(COMPOSE_HOST, "twin", objects.host_spec(maxConcurrentRuns=5))
        scene.apply(ARCHIVE_REPOSITORY, "twin", objects.repository_spec(hostRef={"name": "twin"}))
        references = {"hostRef": {"name": "twin"}, "repositoryRef": {"name": "twin"}}
        scene.apply(BACKUP_POLICY, "weekly", objects.policy_spec(**references))
        together = []

        def ended() -> bool:
            together.append(sum(run.status.phase == "Running" for run in scene.runs()))
            return len(scene.runs()) == 2 and all(run.finished for run in scene.runs())

        await scene.until(world, ended)
        assert max(together) == 1 and {run.status.phase for run in scene.runs()} == {"Succeeded"}

    told(story)


def test_what_outlives_the_cluster_is_found_again() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, all_ended(scene))
        for kind in KINDS:
            for one in scene.all(kind):
                scene.cluster.remove(kind, "prod", one.name)
        scene.apply_all()
        await scene.until(scene.world(), lambda: bool(scene.get(BACKUP_POLICY, "nightly").status.restore_points))
        assert scene.agents.creations == 1
        scene.apply(RESTORE_REQUEST, "rescue", objects.restore_spec(existingData="Mirror"))
        await scene.until(scene.world(), lambda: scene.restore().finished)
        assert scene.restore().status.phase == "Succeeded"

    told(story)


def test_a_search_that_is_repeated_after_hours_is_not_taken_for_silent() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, all_ended(scene))
        for name in ("first", "second"):
            scene.apply(RESTORE_REQUEST, name, objects.restore_spec(existingData="Mirror"))
            await scene.until(world, lambda: scene.restore(name).finished)  # noqa: B023
            assert scene.restore(name).status.phase == "Succeeded"
            await scene.live(world, 7200)

    told(story, suspend=False)
