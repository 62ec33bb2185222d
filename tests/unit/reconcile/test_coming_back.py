"""Services that a run or restore has stopped come back, whoever dies: whole stories told by passes alone."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from compose_backup.api import reasons
from compose_backup.api.backup_policy import CANCEL_REQUESTED_ANNOTATION
from compose_backup.api.backup_run import Failure
from compose_backup.api.compose_host import FORGET_UNRESUMED_ANNOTATION
from compose_backup.api.journal import JournalPlan, PlannedService, RestartPolicy
from compose_backup.api.kinds import BACKUP_POLICY, BACKUP_RUN, COMPOSE_HOST
from compose_backup.planning import journals, labels
from compose_backup.reconcile import sweep
from compose_backup.reconcile.world import World
from fakes import objects
from fakes.scene import Scene
from fakes.turned_loop import run_on_turned_loop

Story = Callable[[Scene, World], Coroutine[Any, Any, None]]
DB = {"com.docker.compose.project": "shop", "com.docker.compose.service": "db"}
ALWAYS = RestartPolicy(name="always")
PORT_TAKEN = "driver failed programming external connectivity: address already in use"


def told(story: Story, **policy: Any) -> None:
    """Tell a story that begins when all is Ready, and a service writes to the volume of the policy."""

    async def scenario() -> None:
        scene = Scene()
        scene.engine.add_service("shop-db-1", "shop_data", labels=DB, restart_policy=ALWAYS)
        scene.apply_all(**{"retry": {"limit": 1, "backoffSeconds": 5}} | policy)
        permit = {"hooks": True, "hostPaths": ["/srv/backups"]}
        scene.apply(COMPOSE_HOST, "srv1", objects.host_spec(permit=permit))
        world = scene.world()
        await scene.until(world, scene.is_ready)
        await story(scene, world)

    run_on_turned_loop(scenario())


def state(scene: Scene) -> str:
    return scene.engine.services["shop-db-1"].state


def is_down(scene: Scene) -> Callable[[], bool]:
    return lambda: state(scene) == "exited" and any(run.status.agent for run in scene.runs())


def ended(scene: Scene) -> Callable[[], bool]:
    return lambda: bool(scene.runs()) and all(run.finished for run in scene.runs())


def journals_of(scene: Scene) -> list[str]:
    return [name for name in scene.engine.volumes if "-journal-" in name]


def agents_of(scene: Scene) -> list[str]:
    return [name for name in scene.engine.agents if "-probe-" not in name]


def the_agent(scene: Scene, purpose: str = "run") -> Any:
    return next(agent for name, agent in scene.engine.agents.items() if f"-{purpose}-" in name)


def unresumed(scene: Scene) -> list[tuple[str, bool]]:
    return [(one.service, one.kept_stopped) for one in scene.get(COMPOSE_HOST, "srv1").status.unresumed]


def assert_nothing_left(scene: Scene) -> None:
    assert (state(scene), journals_of(scene), agents_of(scene)) == ("running", [], [])
    assert [name for name in scene.engine.volumes if "-stage-" in name or "-whole-" in name] == []
    assert scene.engine.services["shop-db-1"].restart_policy == ALWAYS
    assert unresumed(scene) == [] and "AllResumed" in scene.get(COMPOSE_HOST, "srv1").condition("ServicesResumed")


def test_a_service_is_down_while_its_volume_is_read_and_the_downtime_is_told() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, is_down(scene))
        await scene.live(world, 2)
        (run,) = scene.runs()
        assert run.condition("Ready").startswith("Quiesced") and "shop/db" in run.condition("Ready")
        assert journals_of(scene) == [labels.journal_name(run.uid)]
        await scene.until(world, ended(scene))
        await scene.live(world, 90)
        status = scene.runs()[0].status
        assert (status.phase, [one.service for one in status.quiesce.services]) == ("Succeeded", ["shop/db"])
        assert status.downtime and status.quiesce.services[0].up_time
        assert_nothing_left(scene)

    told(story)


def test_without_a_writer_there_is_no_journal_and_nothing_is_inspected() -> None:
    async def story(scene: Scene, world: World) -> None:
        scene.engine.stop_service("shop-db-1")
        await scene.until(world, ended(scene))
        assert scene.runs()[0].status.phase == "Succeeded" and "inspect" not in scene.engine.calls
        assert "remove_volume" not in scene.engine.calls and state(scene) == "exited"

    told(story)


@pytest.mark.parametrize("death", ["killed", "removed"])
def test_the_operator_starts_what_a_dead_agent_has_left_stopped_before_the_next_attempt(death: str) -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, is_down(scene))
        agent = the_agent(scene)
        agent.end(137)
        if death == "removed":
            scene.engine.agents.pop(agent.wanted.name)
        await scene.until(world, lambda: state(scene) == "running", seconds=3)
        assert not scene.runs()[0].finished
        await scene.until(world, ended(scene))
        await scene.live(world, 90)
        assert (scene.runs()[0].status.phase, scene.runs()[0].status.attempts) == ("Succeeded", 2)
        assert_nothing_left(scene)

    told(story)


def test_a_paused_service_is_let_go_on_by_the_operator() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, lambda: state(scene) == "paused")
        before = scene.engine.services["shop-db-1"].started_at
        scene.engine.agents.pop(the_agent(scene).wanted.name)
        await scene.until(world, lambda: state(scene) == "running", seconds=3)
        assert scene.engine.services["shop-db-1"].started_at == before
        await scene.until(world, ended(scene))
        await scene.live(world, 90)
        assert_nothing_left(scene)

    told(story, quiesce={"method": "Pause"})


def test_an_attempt_whose_agent_cannot_be_started_leaves_no_journal() -> None:
    async def story(scene: Scene, world: World) -> None:
        scene.engine.unmountable.add("shop_data")
        await scene.until(world, ended(scene))
        await scene.live(world, 90)
        assert scene.runs()[0].status.failure.reason == reasons.VOLUME_MOUNT_FAILED
        assert scene.runs()[0].status.attempts == 2
        assert_nothing_left(scene)

    told(story)


def test_an_agent_that_was_restarted_and_has_recovered_is_followed_by_another_attempt() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, is_down(scene))
        scene.agents.recover(the_agent(scene))
        await scene.until(world, ended(scene))
        await scene.live(world, 90)
        assert (scene.runs()[0].status.phase, scene.runs()[0].status.attempts) == ("Succeeded", 2)
        assert_nothing_left(scene)

    told(story)


def test_a_service_that_a_person_has_started_since_is_theirs_again() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, is_down(scene))
        scene.engine.start_service("shop-db-1")
        scene.engine.stop_service("shop-db-1")
        the_agent(scene).end(137)
        await scene.until(world, ended(scene))
        await scene.live(world, 90)
        assert (state(scene), journals_of(scene)) == ("exited", [])

    told(story)


def test_what_a_person_stops_before_the_agent_does_stays_down() -> None:
    async def story(scene: Scene, world: World) -> None:
        def stopped_by_a_person() -> Failure | None:
            if state(scene) == "exited":
                return None
            scene.engine.stop_service("shop-db-1")
            return Failure(reason=reasons.SERVICES_CHANGED, message="shop/db was stopped", retryable=True)

        scene.agents.before_stop = stopped_by_a_person
        await scene.until(world, ended(scene))
        await scene.live(world, 90)
        assert (scene.runs()[0].status.phase, state(scene), journals_of(scene)) == ("Succeeded", "exited", [])

    told(story)


def test_hooks_that_a_dead_agent_has_left_are_run_by_a_cleanup_agent() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, is_down(scene))
        the_agent(scene).end(137)
        await scene.until(world, ended(scene))
        await scene.live(world, 90)
        assert len([job for job in scene.agents.jobs("cleanup") if job.cleanup and job.cleanup.plan.post_hooks]) == 1
        assert_nothing_left(scene)

    told(story, hooks={"post": [{"project": "shop", "service": "db", "command": ["true"], "onError": "Continue"}]})


def test_a_run_does_not_wait_for_ever_for_an_agent_that_cannot_run_its_hooks() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, is_down(scene))
        scene.engine.unmountable.update(journals_of(scene))
        the_agent(scene).end(137)
        await scene.until(world, ended(scene), seconds=1200)
        await scene.live(world, 90)
        assert_nothing_left(scene)

    told(story, hooks={"post": [{"project": "shop", "service": "db", "command": ["true"]}]}, retry={"limit": 0})


def test_an_engine_that_holds_on_to_a_dead_agent_is_not_asked_all_the_time() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, is_down(scene))
        scene.engine.unremovable.add(the_agent(scene).wanted.name)
        the_agent(scene).end(137)
        await scene.until(world, lambda: "does not let go of" in scene.runs()[0].condition("Ready"))
        scene.engine.calls.clear()
        await scene.live(world, 60)
        assert scene.engine.calls.count("look_at_agent") < 40 and state(scene) == "running"
        scene.engine.unremovable.clear()
        await scene.until(world, ended(scene))
        await scene.live(world, 90)
        assert (scene.runs()[0].status.phase, scene.runs()[0].status.attempts) == ("Succeeded", 2)
        assert_nothing_left(scene)

    told(story)


def test_what_cannot_be_removed_at_the_end_is_removed_as_soon_as_it_can_be() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, is_down(scene))
        scene.engine.unremovable.add(the_agent(scene).wanted.name)
        await scene.until(world, ended(scene))
        assert journals_of(scene)
        scene.engine.unremovable.clear()
        await scene.live(world, 90)
        assert_nothing_left(scene)

    told(story)


def test_an_agent_that_a_stranger_stops_is_followed_by_the_next_attempt() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, is_down(scene))
        the_agent(scene).terminate()
        await scene.until(world, ended(scene))
        await scene.live(world, 90)
        assert (scene.runs()[0].status.phase, scene.runs()[0].status.attempts) == ("Succeeded", 2)
        assert_nothing_left(scene)

    told(story)


def test_cancelling_in_the_window_brings_the_service_back() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, is_down(scene))
        scene.annotate(BACKUP_RUN, scene.runs()[0].name, CANCEL_REQUESTED_ANNOTATION)
        await scene.until(world, ended(scene), seconds=10)
        await scene.live(world, 90)
        assert scene.runs()[0].status.phase == "Cancelled" and scene.runs()[0].status.quiesce
        assert_nothing_left(scene)

    told(story)


@pytest.mark.parametrize("alive", [True, False])
def test_deleting_a_run_in_the_window_leaves_nothing_down(alive: bool) -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, is_down(scene))
        if not alive:
            the_agent(scene).end(137)
        scene.cluster.remove(BACKUP_RUN, "prod", scene.runs()[0].name)
        scene.cluster.remove(BACKUP_POLICY, "prod", "nightly")
        await scene.look(world)
        (host,) = world.store.hosts()
        for _ in range(2):
            await sweep.sweep_host(world, host)
        await scene.until(world, lambda: state(scene) == "running", seconds=30)
        await scene.live(world, 90)
        assert_nothing_left(scene)

    told(story)


class TestServiceThatDoesNotStart:
    """A port that is taken: the run waits for a while, then the host goes on trying."""

    @staticmethod
    async def fail(scene: Scene, world: World) -> None:
        await scene.until(world, is_down(scene))
        scene.engine.unstartable["shop-db-1"] = PORT_TAKEN
        the_agent(scene).end(137)
        await scene.until(world, lambda: scene.runs()[0].status.phase == "Resuming", seconds=5)
        await scene.live(world, 60)
        assert PORT_TAKEN in scene.runs()[0].condition("Ready")
        await scene.until(world, ended(scene), seconds=900)
        await scene.live(world, 5)

    def test_it_is_told_everywhere_and_started_as_soon_as_it_can_be(self) -> None:
        async def story(scene: Scene, world: World) -> None:
            await self.fail(scene, world)
            failure = scene.runs()[0].status.failure
            assert failure.reason == reasons.SERVICE_NOT_RESUMED and "shop/db" in failure.message
            assert "shop/db" in scene.get(BACKUP_POLICY, "nightly").condition("LastRunSucceeded")
            assert unresumed(scene) == [("shop/db", False)]
            assert PORT_TAKEN in scene.get(COMPOSE_HOST, "srv1").condition("ServicesResumed")
            await scene.live(world, 7200)
            assert 10 < scene.get(COMPOSE_HOST, "srv1").status.unresumed[0].attempts < 40
            scene.engine.unstartable.clear()
            await scene.until(world, lambda: not journals_of(scene), seconds=700)
            await scene.live(world, 90)
            assert_nothing_left(scene)
            told = [one.reason for one in scene.cluster.notices if one.reason.startswith("ServicesResumed")]
            assert told == ["ServicesResumedFalse", "ServicesResumedTrue"]

        told(story, suspend=False, retry={"limit": 0})

    def test_an_agent_that_tells_of_it_ends_the_run_and_leaves_it_to_the_host(self) -> None:
        async def story(scene: Scene, world: World) -> None:
            await scene.until(world, is_down(scene))
            scene.engine.unstartable["shop-db-1"] = PORT_TAKEN
            await scene.until(world, ended(scene))
            status = scene.runs()[0].status
            assert (status.phase, status.failure.reason) == ("Failed", reasons.SERVICE_NOT_RESUMED)
            assert status.record and status.attempts == 1
            await scene.until(world, lambda: unresumed(scene) == [("shop/db", False)], seconds=10)
            scene.engine.unstartable.clear()
            await scene.until(scene.world(), lambda: state(scene) == "running", seconds=700)

        told(story)

    def test_a_person_can_end_it_for_what_was_stopped_so_far(self) -> None:
        async def story(scene: Scene, world: World) -> None:
            await self.fail(scene, world)
            scene.annotate(COMPOSE_HOST, "srv1", FORGET_UNRESUMED_ANNOTATION, "all")
            await scene.look(world)
            await scene.until(world, lambda: unresumed(scene) == [], seconds=700)
            await scene.live(world, 90)
            assert (state(scene), journals_of(scene)) == ("exited", [])

        told(story, retry={"limit": 0})


def test_of_two_policies_that_share_volumes_one_waits_for_the_other() -> None:
    async def story(scene: Scene, world: World) -> None:
        scene.apply(COMPOSE_HOST, "srv1", objects.host_spec(maxConcurrentRuns=2))
        scene.apply(BACKUP_POLICY, "weekly", objects.policy_spec())
        waited: list[str] = []

        def over() -> bool:
            waited.extend(run.name for run in scene.runs() if "VolumesBusy" in run.condition("Ready"))
            return len(scene.runs()) == 2 and ended(scene)()

        await scene.until(world, over)
        await scene.live(world, 90)
        assert len(set(waited)) == 1 and {run.status.phase for run in scene.runs()} == {"Succeeded"}
        assert_nothing_left(scene)

    told(story)


def test_the_journal_of_another_installation_is_respected_and_never_touched() -> None:
    async def story(scene: Scene, world: World) -> None:
        service = scene.engine.services["shop-db-1"]
        owner = labels.Owner("RestoreRequest", "prod", "theirs", "their-uid")
        planned = PlannedService(
            container_id=service.id, name=service.name, method="Stop", started_at=service.started_at or "", level=0
        )
        plan = JournalPlan(
            purpose="restore",
            owner="RestoreRequest prod/theirs",
            agent="their-agent",
            made_at=scene.now(),
            method="Stop",
            services=(planned,),
        )
        theirs = journals.volume_of(plan, owner, "another-installation")
        scene.engine.volumes[theirs.name] = theirs
        scene.engine.services["shop-db-1"] = replace(service, state="exited")
        scene.engine.add_volume("blog_data")
        scene.apply(BACKUP_POLICY, "blog", objects.policy_spec(selector={"volumes": ["blog_*"]}))
        await scene.live(world, 1200)
        # Who waits for somebody else gives its place on the engine to others.
        other, run = sorted(scene.runs(), key=lambda run: run.name)
        assert other.status.phase == "Succeeded" and run.status.retry_at
        assert run.status.phase == "Pending" and "RestoreRequest prod/theirs" in run.condition("Ready")
        assert (state(scene), journals_of(scene), unresumed(scene)) == ("exited", [theirs.name], [])
        del scene.engine.volumes[theirs.name]
        await scene.until(world, ended(scene))

    told(story)
