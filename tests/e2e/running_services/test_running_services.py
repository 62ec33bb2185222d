"""Who writes while a volume is read decides how good its copy is, and whether there is one.

Run by pytest.
"""

from __future__ import annotations

from pathlib import Path

from e2e.scene import Document
from e2e.stage import Stage, failure, policy


def ended(stage: Stage, name: str, value: str) -> Document:
    """Have a run done, whatever its end."""
    run = stage.scene.request_run(name, value)
    return stage.scene.wait_finished("backuprun", run["metadata"]["name"])


def test_a_running_writer_is_named_or_makes_the_copy_live(stage: Stage) -> None:
    volume = stage.volume("data")
    live = policy([volume], name="live", quiesce={"method": "None"})
    stage.declare(policy([volume]), live)
    writer = stage.run_container("database", "--volume", f"{volume}:/data")

    refused = ended(stage, "nightly", "while-it-runs")
    assert failure(refused) == ("Failed", "ServicesRunning")
    message = refused["status"]["failure"]["message"]
    assert writer in message and volume in message
    assert stage.snapshots("run", refused) == []
    assert stage.archive("live")["status"]["consistency"] == "Live"

    stage.scene.engine.docker("stop", "--time", "1", writer)
    assert stage.archive("nightly", "stopped")["status"]["consistency"] == "Stopped"


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
