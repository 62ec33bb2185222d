"""Operator and API server die at any moment of a run: it goes on, and ends once, with its report.

Run by pytest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.agents import counted_starts
from e2e.scene import ANNOTATIONS, Document, condition
from e2e.stage import WHOLE, Stage, policy
from realparts import existing_cluster

SHORT_OF_CPU = 0.1
ALMOST_STOPPED = 0.03
LONG_RUN_SECONDS = 30


@pytest.mark.skipif(existing_cluster.is_wanted(), reason="the API server of an existing cluster is not ours to kill")
def test_a_long_run_outlives_operator_and_api_server(stage: Stage, tmp_path: Path) -> None:
    scene = stage.scene
    volumes = [stage.volume("first", megabytes=40), stage.volume("second", megabytes=8)]
    stage.declare(policy(volumes), slow_to_open=True)
    with counted_starts(scene.engine, scene.namespace, "run", tmp_path / "starts") as starts:
        run = scene.request_run("nightly", "through-the-night")
        began = time.monotonic()
        agent = stage.started("run", run, cpus=SHORT_OF_CPU)
        agent.allow(ALMOST_STOPPED)
        scene.operator.kill()
        scene.cluster.kill_api_server()
        assert agent.state == "running"
        scene.cluster.start_api_server()
        scene.operator.start()
        scene.wait_for("the end of a long run", lambda: time.monotonic() - began >= LONG_RUN_SECONDS)
        assert agent.state == "running"
        agent.allow(WHOLE)
        finished = stage.succeeded(run)
        scene.wait_for("the removal of the agent", lambda: agent.state == "")
        assert starts.read_text().split() == [agent.name]
    assert finished["status"]["attempts"] == 1
    assert {volume["name"]: volume["phase"] for volume in finished["status"]["volumes"]} == dict.fromkeys(
        volumes, "Succeeded"
    )
    assert finished["status"]["progress"]["percent"] == 100
    snapshots, (record,) = stage.snapshots("run", run), stage.snapshots("record", run)
    assert len(snapshots) == len(volumes)
    assert record["id"] == finished["status"]["record"]
    assert stage.locks() == []


MOMENTS: dict[str, Callable[[Stage, Document], object]] = {
    "created": lambda _stage, _run: True,
    "pinned": lambda _, run: "resolved" in run["status"],
    "being-started": lambda stage, run: stage.agent("run", run).state,
    "moving": lambda _, run: "progress" in run["status"],
    "ended": lambda _, run: condition(run, "Finished").get("status") == "True",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_request_is_answered_once_wherever_the_operator_is_killed(stage: Stage, moment: str) -> None:
    scene = stage.scene
    stage.declare(policy([stage.volume("data", megabytes=8)]))
    scene.kubectl("annotate", "backuppolicy", "nightly", f"{ANNOTATIONS}/run-requested=once")

    def has_come() -> bool:
        runs = scene.all_of("backupruns")
        return any(MOMENTS[moment](stage, run) or MOMENTS["ended"](stage, run) for run in runs)

    scene.wait_for(f"a run that is {moment}", has_come)
    scene.operator.restart()
    (run,) = scene.all_of("backupruns")
    assert stage.succeeded(run)["status"]["attempts"] == 1
    scene.wait_for("the removal of the agent", lambda: stage.agent("run", run).state == "")
    assert len(stage.snapshots("record", run)) == len(stage.snapshots("run", run)) == 1
    asked = scene.wait_for("the end of it", lambda: idle_policy(stage))
    assert asked["status"]["lastHandledRunRequest"] == "once"
    assert len(scene.all_of("backupruns")) == 1


def idle_policy(stage: Stage) -> Document | None:
    """Return the policy once it has taken in the end of its run."""
    found = stage.scene.get("backuppolicy", "nightly")
    return None if "activeRun" in found["status"] or "lastRun" not in found["status"] else found


def test_a_report_that_was_lost_is_read_from_the_repository(stage: Stage) -> None:
    scene = stage.scene
    volume = stage.volume("data", megabytes=2)
    stage.declare(policy([volume]))
    run = scene.request_run("nightly", "lost-report")
    agent = stage.started("run", run)
    scene.operator.kill()
    scene.wait_for("the report of the agent", agent.has_reported)
    agent.remove()
    scene.operator.start()
    finished = stage.succeeded(run)
    (record,), (snapshot,) = stage.snapshots("record", run), stage.snapshots("run", run)
    assert finished["status"]["record"] == record["id"]
    assert [one["snapshotId"] for one in finished["status"]["volumes"]] == [snapshot["id"]]
    assert finished["status"]["attempts"] == 1
    scene.wait_for("the removal of the agents", lambda: stage.agents() == [])


def test_kubectl_wait_returns_on_either_end(stage: Stage) -> None:
    scene = stage.scene
    good, empty = stage.volume("good"), stage.volume_name("never-made")
    stage.declare(policy([good]), policy([empty], name="empty"))
    for name, phase in (("nightly", "Succeeded"), ("empty", "Failed")):
        run = scene.request_run(name, "wait-for-me")["metadata"]["name"]
        scene.kubectl("wait", "--for=condition=Finished", "--timeout=90s", f"backuprun/{run}")
        assert scene.get("backuprun", run)["status"]["phase"] == phase
