"""Two clusters or two namespaces on one engine: nobody touches what is the other's, and one repository serves both.

Run by pytest.
"""

from __future__ import annotations

import json

import pytest

from e2e.scene import condition
from e2e.stage import WHOLE, Stage, policy


def test_a_sweep_touches_nothing_of_another_installation(own_stage: Stage, other_stage: Stage) -> None:
    volume = own_stage.volume("data", megabytes=8)
    own_stage.declare(policy([volume]), slow_to_open=True)
    other_stage.declare(policy([volume], name="theirs"))
    run = own_stage.scene.request_run("nightly", "undisturbed")
    agent = own_stage.started("run", run, cpus=0.1)
    agent.allow(0.02)  # for as long as it takes

    other_stage.archive("theirs")
    other_stage.scene.kubectl("delete", "backuppolicy", "theirs")
    before = other_stage.scene.operator.log_file.stat().st_size
    other_stage.scene.operator.restart()
    # Its sweep has come past when it has taken away something of its own.
    log = other_stage.scene.operator.log_file
    other_stage.scene.wait_for("work of the other operator", lambda: b"work begins" in log.read_bytes()[before:])
    other_stage.scene.apply(policy([volume], name="theirs"))
    other_stage.scene.wait_ready("backuppolicy", "theirs")
    assert agent.state == "running"
    assert agent.name not in log.read_text()
    agent.allow(WHOLE)
    assert own_stage.succeeded(run)["status"]["attempts"] == 1


@pytest.mark.parametrize("who", ["other_stage", "neighbour"])
def test_a_repository_is_made_once_and_serves_both(own_stage: Stage, who: str, request: pytest.FixtureRequest) -> None:
    other: Stage = request.getfixturevalue(who)
    volume = own_stage.volume("data")
    stages = (own_stage, other)
    for one in stages:
        one.scene.apply(*one.place, policy([volume]))
    found = [one.scene.wait_ready("archiverepository", "main", seconds=90) for one in stages]
    assert len({one["status"]["repositoryId"] for one in found}) == 1
    assert sorted(condition(one, "Ready")["reason"] for one in found) == ["Created", "Opened"]
    assert len(json.loads(own_stage.plain_restic("key", "list", "--json", "--no-lock"))) == 1

    runs = [one.scene.request_run("nightly", "both-at-once") for one in stages]
    for one, run in zip(stages, runs, strict=True):
        one.succeeded(run)
    assert all(len(own_stage.snapshots("record", run)) == 1 for run in runs)
    assert own_stage.plain_restic("check", "--no-lock", "--quiet") == ""


def test_of_two_clusters_that_want_one_service_one_waits_and_names_the_other(
    own_stage: Stage, other_stage: Stage
) -> None:
    volume = own_stage.volume("data", megabytes=8)
    own_stage.run_container("database", "--volume", f"{volume}:/data")
    own_stage.declare(policy([volume]), slow_to_open=True)
    other_stage.declare(policy([volume], name="theirs"))
    first = own_stage.scene.request_run("nightly", "first")
    agent = own_stage.started("run", first, cpus=0.1)
    agent.allow(0.02)  # for as long as it takes

    name = other_stage.scene.request_run("theirs", "meanwhile")["metadata"]["name"]
    waiting = {"status": "Unknown", "reason": "StoppedByAnother"}
    second = other_stage.scene.wait_condition("backuprun", name, "Ready", **waiting, seconds=90)
    said = f"BackupRun {own_stage.scene.namespace}/{first['metadata']['name']} has stopped"
    assert condition(second, "Ready")["message"].startswith(said)
    agent.allow(WHOLE)
    before, after = own_stage.succeeded(first)["status"]["quiesce"], other_stage.succeeded(second)["status"]["quiesce"]
    assert before["endTime"] <= after["startTime"]
