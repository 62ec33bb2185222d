"""The agent of a run is killed: its attempt ends, the next one begins, and nothing is left over on the host.

Run by pytest.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from e2e.agents import Agent
from e2e.stage import Stage, failure, policy

WAYS = {
    "kill-9": Agent.kill_process,
    "docker-kill": lambda agent: agent.engine.docker("kill", agent.name),
    "docker-rm": Agent.remove,
}


@pytest.mark.parametrize("end", WAYS.values(), ids=WAYS.keys())
def test_the_next_attempt_begins(stage: Stage, end: Callable[[Agent], None]) -> None:
    volume = stage.volume("data", megabytes=8)
    stage.declare(policy([volume], retry={"limit": 1, "backoffSeconds": 1}))
    run = stage.scene.request_run("nightly", "twice")
    end(stage.started("run", run, cpus=0.2))
    finished = stage.succeeded(run)
    assert finished["status"]["attempts"] == 2
    (record,) = stage.snapshots("record", run)
    assert "attempt=2" in record["tags"]
    stage.scene.wait_for("the removal of the agent", lambda: stage.agents() == [])


def test_without_retry_the_run_has_failed_and_says_why(stage: Stage) -> None:
    volume = stage.volume("data", megabytes=8)
    stage.declare(policy([volume]))
    run = stage.scene.request_run("nightly", "once")
    stage.started("run", run, cpus=0.2).kill_process()
    finished = stage.scene.wait_finished("backuprun", run["metadata"]["name"])
    assert failure(finished) == ("Failed", "AgentKilled"), stage.scene.told()
    assert "137" in finished["status"]["failure"]["message"]
    told = stage.scene.wait_condition("backuppolicy", "nightly", "LastRunSucceeded", status="False")
    assert told["status"]["lastRun"]["phase"] == "Failed"
    # A killed restic leaves its lock. It is stale, and stands in nobody's way.
    assert stage.archive("nightly", "again")["status"]["attempts"] == 1
