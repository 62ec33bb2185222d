"""A run is ended before its time: by annotation, or by deleting it, its policy or its namespace, operator or not.

Run by pytest.
"""

from __future__ import annotations

import pytest

from e2e.agents import Agent
from e2e.scene import ANNOTATIONS, Document
from e2e.stage import Stage, failure, policy

SECONDS = 30.0


def at_work(stage: Stage) -> tuple[Document, Agent]:
    """Return a run at work, and its agent."""
    volume = stage.volume("data", megabytes=60)
    stage.declare(policy([volume]))
    run = stage.scene.request_run("nightly", "in-vain")
    agent = stage.started("run", run, cpus=0.2)
    stage.scene.wait_for("a lock", stage.locks)
    return run, agent


def gone_in_order(stage: Stage, agent: Agent) -> None:
    """Wait until nothing of an agent is left: no container on the host, no lock in the repository."""
    stage.scene.wait_for("the end of the agent", lambda: agent.state == "", seconds=SECONDS)
    assert stage.locks() == []


def test_a_run_is_cancelled_by_annotation(stage: Stage) -> None:
    run, agent = at_work(stage)
    name = run["metadata"]["name"]
    stage.scene.kubectl("annotate", "backuprun", name, f"{ANNOTATIONS}/cancel-requested=yes")
    stage.scene.kubectl("wait", "--for=condition=Finished", "--timeout=60s", f"backuprun/{name}")
    assert failure(stage.scene.get("backuprun", name)) == ("Cancelled", "Cancelled")
    gone_in_order(stage, agent)
    assert stage.snapshots("record", run) == []


@pytest.mark.parametrize("kind", ["backuprun", "backuppolicy"])
def test_what_is_deleted_ends_on_the_host(stage: Stage, kind: str) -> None:
    run, agent = at_work(stage)
    name = run["metadata"]["name"] if kind == "backuprun" else "nightly"
    stage.scene.kubectl("delete", kind, name, "--timeout=10s")
    gone_in_order(stage, agent)
    assert stage.scene.operator.is_healthy


def test_a_namespace_is_deleted_with_a_run_at_work(own_stage: Stage) -> None:
    _, agent = at_work(own_stage)
    own_stage.scene.cluster.kubectl("delete", "namespace", own_stage.scene.namespace, "--timeout=60s")
    gone_in_order(own_stage, agent)
    own_stage.scene.wait_for("the end of all agents", lambda: own_stage.agents() == [])
    assert own_stage.scene.operator.is_healthy


def test_what_was_deleted_while_the_operator_was_down_ends_at_its_start(stage: Stage) -> None:
    run, agent = at_work(stage)
    stage.scene.operator.kill()
    stage.scene.kubectl("delete", "backuprun", run["metadata"]["name"], "--timeout=10s")
    assert agent.state == "running"
    stage.scene.operator.start()
    gone_in_order(stage, agent)


def test_a_namespace_that_went_while_the_operator_was_down_is_swept_by_way_of_a_neighbour(
    stage: Stage, own_stage: Stage
) -> None:
    stage.declare()  # without a ComposeHost that is left, nobody would know of the engine any more
    _, agent = at_work(own_stage)
    own_stage.scene.operator.kill()
    own_stage.scene.cluster.kubectl("delete", "namespace", own_stage.scene.namespace, "--timeout=60s")
    assert agent.state != ""
    own_stage.scene.operator.start()
    gone_in_order(own_stage, agent)
