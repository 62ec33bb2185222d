"""A specification that the API server let through and that does not fit its type: said, and nothing known is lost."""

from __future__ import annotations

from typing import Any

import pytest

from compose_backup.api import reasons
from compose_backup.api.kinds import BACKUP_POLICY, BACKUP_RUN
from fakes.scene import Scene
from fakes.turned_loop import run_on_turned_loop


def broken(scene: Scene, kind: Any, name: str) -> None:
    """Make a spec that an older definition of the kind allowed."""
    scene.cluster.apply(kind, {**scene.body(kind, name), "spec": {"policyRef": 7, "hostRef": 7}})


def test_a_policy_keeps_what_it_knew_and_what_was_said_of_it() -> None:
    async def scenario() -> None:
        scene = Scene()
        scene.apply_all()
        world = scene.world()
        await scene.until(world, lambda: any(run.finished for run in scene.runs()))
        await scene.live(world, 5)
        before = scene.body(BACKUP_POLICY, "nightly")["status"]
        broken(scene, BACKUP_POLICY, "nightly")
        await scene.live(world, 5)
        after = scene.body(BACKUP_POLICY, "nightly")["status"]
        assert after["restorePoints"] == before["restorePoints"]
        assert after["lastScheduleTime"] == before["lastScheduleTime"]
        said = {condition["type"]: condition["reason"] for condition in after["conditions"]}
        assert said["Stalled"] == reasons.INVALID_SPEC and said["LastRunSucceeded"] == "Succeeded"

    run_on_turned_loop(scenario())


@pytest.mark.parametrize("finished", [False, True], ids=["a run that has not ended fails", "an ended one stays"])
def test_a_run(finished: bool) -> None:
    async def scenario() -> None:
        scene = Scene()
        scene.apply_all()
        world = scene.world()
        await scene.until(world, lambda: bool(scene.runs()) and (scene.runs()[0].finished or not finished))
        name = scene.runs()[0].name
        broken(scene, BACKUP_RUN, name)
        await scene.live(scene.world(), 5)
        status = scene.body(BACKUP_RUN, name)["status"]
        told = {condition["type"]: condition["status"] for condition in status["conditions"]}
        assert (status["phase"], told["Finished"]) == ("Succeeded" if finished else "Failed", "True")
        assert finished or status["failure"]["reason"] == reasons.INVALID_SPEC

    run_on_turned_loop(scenario())
