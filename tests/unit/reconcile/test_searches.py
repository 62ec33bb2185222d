"""Searches for restore points after a cluster was built anew: one at a time on a host, and a pause after a failure."""

from __future__ import annotations

import datetime as dt

from compose_backup.api import reasons
from compose_backup.api.backup_policy import RUN_REQUESTED_ANNOTATION
from compose_backup.api.backup_run import Failure
from compose_backup.api.job import Report
from compose_backup.api.kinds import BACKUP_POLICY, KINDS
from compose_backup.reconcile.world import SEARCH_PAUSE, Searches
from fakes import objects
from fakes.docker_host import FakeAgent
from fakes.scene import Scene
from fakes.turned_loop import run_on_turned_loop

NOW = dt.datetime(2026, 10, 13, 2, 0, tzinfo=dt.UTC)


def test_one_policy_searches_on_a_host_until_it_is_done() -> None:
    searches = Searches()
    assert searches.may_begin("host", "a", NOW) and searches.may_begin("host", "a", NOW)
    assert not searches.may_begin("host", "b", NOW)
    assert searches.may_begin("another", "c", NOW)
    searches.give_up("a")
    assert searches.may_begin("host", "b", NOW)


def test_a_search_that_failed_lets_others_search_first() -> None:
    searches = Searches()
    searches.may_begin("host", "a", NOW)
    searches.put_off("a", NOW)
    assert not searches.may_begin("host", "a", NOW)
    assert searches.may_begin("host", "b", NOW)
    searches.give_up("b")
    assert searches.may_begin("host", "a", NOW + SEARCH_PAUSE)


async def lost_and_rebuilt() -> Scene:
    """Return a scene whose repository holds a good run, and whose cluster has just been built anew."""
    scene = Scene()
    scene.apply_all()
    world = scene.world()
    await scene.until(world, scene.is_ready)
    scene.annotate(BACKUP_POLICY, "nightly", RUN_REQUESTED_ANNOTATION)
    await scene.until(world, lambda: any(run.finished for run in scene.runs()))
    await scene.live(world, 20)
    for kind in KINDS:
        for one in scene.all(kind):
            scene.cluster.remove(kind, "prod", one.name)
    scene.apply_all()
    return scene


def test_a_search_that_fails_is_not_repeated_all_the_time() -> None:
    async def scenario() -> None:
        scene = await lost_and_rebuilt()

        def refuse(agent: FakeAgent) -> None:
            scene.agents.play(agent)
            if "-catalog-" in agent.wanted.name:
                agent.report(
                    Report(failure=Failure(reason=reasons.REPOSITORY_LOCKED, message="locked", retryable=True))
                )

        scene.engine.script = refuse
        await scene.live(scene.world(), 300)
        assert 1 <= len(scene.agents.jobs("catalog")) <= 6

    run_on_turned_loop(scenario())


def test_many_policies_search_one_after_the_other() -> None:
    async def scenario() -> None:
        scene = await lost_and_rebuilt()
        for number in range(20):
            scene.apply(BACKUP_POLICY, f"p{number}", objects.policy_spec(suspend=True))
        together = []

        def all_listed() -> bool:
            together.append(sum("-catalog-" in name for name in scene.engine.agents))
            return all(policy.status.catalog_of for policy in scene.all(BACKUP_POLICY))

        await scene.until(scene.world(), all_listed)
        assert max(together) == 1

    run_on_turned_loop(scenario())
