"""Who writes while a volume is read decides how good its copy is, and whether there is one.

Run by pytest.
"""

from __future__ import annotations

from pathlib import Path

from e2e.stage import Stage, failure, policy


def state(stage: Stage, container: str) -> str:
    """Return Docker's word for the state of a container, and when it was started."""
    return stage.scene.engine.docker("inspect", "--format", "{{.State.Status}} {{.State.StartedAt}}", container)


def test_a_running_writer_is_stopped_and_started_or_makes_the_copy_live(stage: Stage) -> None:
    volume = stage.volume("data")
    live = policy([volume], name="live", quiesce={"method": "None"})
    stage.declare(policy([volume]), live)
    writer = stage.run_container("database", "--volume", f"{volume}:/data")
    before = state(stage, writer)

    assert stage.archive("live")["status"]["consistency"] == "Live"
    assert state(stage, writer) == before

    stopped = stage.archive("nightly", "while-it-runs")["status"]
    assert stopped["consistency"] == "Stopped"
    assert [one["container"] for one in stopped["quiesce"]["services"]] == [writer]
    assert state(stage, writer).startswith("running ") and state(stage, writer) != before

    stage.scene.engine.docker("stop", "--time", "1", writer)
    before = state(stage, writer)
    resting = stage.archive("nightly", "while-it-rests")["status"]
    assert resting["consistency"] == "Stopped"
    assert not resting.get("quiesce", {}).get("services")
    assert state(stage, writer) == before


def test_a_container_that_nobody_would_start_again_is_named(stage: Stage) -> None:
    volume = stage.volume("data")
    stage.declare(policy([volume]))
    one_off = ("--label", "com.docker.compose.oneoff=True", "--label", "com.docker.compose.project=shop")
    labels = (*one_off, "--label", "com.docker.compose.service=migrate")
    once = stage.run_container("migration", "--volume", f"{volume}:/data", *labels)
    run = stage.scene.request_run("nightly", "while-it-migrates")
    refused = stage.scene.wait_finished("backuprun", run["metadata"]["name"])
    assert failure(refused) == ("Failed", "ServicesRunning")
    assert once in refused["status"]["failure"]["message"]
    assert stage.snapshots("run", refused) == []
    assert state(stage, once).startswith("running ")


def test_a_directory_that_is_shared_is_seen_through(stage: Stage, tmp_path: Path) -> None:
    device = tmp_path / "shared" / "data"
    device.mkdir(parents=True)
    (device / "note.txt").write_text("shared")
    volume = stage.volume("bound", type="none", o="bind", device=str(device))
    reading = stage.run_container("reader", "--volume", f"{device.parent}:/data:ro")
    stage.declare(policy([volume], quiesce={"method": "None"}))
    assert stage.archive("nightly", "read-only")["status"]["consistency"] == "Stopped"
    stage.scene.engine.docker("rm", "--force", reading)
    stage.run_container("writer", "--volume", f"{device.parent}:/data")
    assert stage.archive("nightly", "writable")["status"]["consistency"] == "Live"
