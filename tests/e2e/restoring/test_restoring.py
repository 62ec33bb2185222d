"""Restores: in place, into missing volumes, under other names, in parts, and never onto something that is in the way.

Run by pytest.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.agents import Agent
from e2e.scene import Document
from e2e.stage import WHOLE, Stage, failure, policy, restorerequest
from realparts.trees import differences, fingerprint


def archived(stage: Stage, *volumes: str) -> Document:
    """Declare everything and archive the volumes."""
    stage.declare(policy(list(volumes)))
    return stage.archive()


def ended(stage: Stage, name: str = "bring-it-back") -> Document:
    """Return a restore that has ended."""
    return stage.scene.wait_finished("restorerequest", name, seconds=180)


def succeeded(stage: Stage, name: str = "bring-it-back") -> Document:
    """Return a restore that has ended well."""
    found = ended(stage, name)
    assert found["status"]["phase"] == "Succeeded", stage.scene.told()
    return found


def waiting(stage: Stage, kind: str, name: str, reason: str) -> Document:
    """Return a run or restore once it waits, and says for what."""
    return stage.scene.wait_condition(kind, name, "Ready", status="Unknown", reason=reason)


def test_a_restore_waits_for_services_and_starts_by_itself(stage: Stage) -> None:
    volume = stage.volume("data")
    (stage.data(volume) / "conf").mkdir()
    (stage.data(volume) / "conf" / "app.ini").write_text("colour=blue")
    before = fingerprint(stage.data(volume))
    archived(stage, volume)
    (stage.data(volume) / "note.txt").write_text("overwritten")
    (stage.data(volume) / "stranger.txt").write_text("not in the archive")
    holder = stage.run_container("wiki", "--volume", f"{volume}:/data")
    stage.request_restore(restorerequest(existingData="Mirror", quiesce="None"))
    found = waiting(stage, "restorerequest", "bring-it-back", "VolumeInUse")
    assert found["status"]["phase"] == "Pending"
    said = [one["message"] for one in found["status"]["conditions"] if one["type"] == "Ready"]
    assert holder in said[0] and volume in said[0]
    stage.scene.engine.docker("stop", "--time", "1", holder)
    succeeded(stage)
    assert differences(before, fingerprint(stage.data(volume))) == []


def test_existing_data_is_not_touched_unless_asked(stage: Stage) -> None:
    volume = stage.volume("data")
    archived(stage, volume)
    (stage.data(volume) / "note.txt").write_text("newer")
    before = fingerprint(stage.data(volume))
    stage.request_restore(restorerequest())
    assert failure(ended(stage)) == ("Failed", "TargetNotEmpty")
    assert differences(before, fingerprint(stage.data(volume))) == []


def test_missing_volumes_are_made_as_they_were_and_parts_go_elsewhere(stage: Stage, tmp_path: Path) -> None:
    device = tmp_path / "disk"
    device.mkdir()
    bound = stage.volume_name("bound")
    labels = ("--label", "colour=blue", "--label", "com.docker.compose.volume=bound")
    options = ("--opt", "type=none", "--opt", "o=bind", "--opt", f"device={device}")
    stage.scene.engine.docker("volume", "create", *labels, *options, bound)
    (device / "conf").mkdir()
    (device / "conf" / "app.ini").write_text("colour=blue")
    (device / "large.txt").write_text("much")
    before = fingerprint(device)
    archived(stage, bound)

    stage.scene.wait_for("the agent to be gone", lambda: not stage.agents())  # it is removed when its end is stored
    stage.scene.engine.docker("volume", "rm", bound)
    for path in sorted(device.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    copy = stage.volume_name("copy")
    mapping = {"volumes": [{"source": bound, "target": copy}]}
    stage.request_restore(restorerequest())
    restored = succeeded(stage)
    assert [one["created"] for one in restored["status"]["volumes"]] == [True]
    assert differences(before, fingerprint(device)) == []
    assert inspected(stage, bound, "{{json .Options}}") == f'{{"device":"{device}","o":"bind","type":"none"}}'
    assert inspected(stage, bound, "{{.Driver}} {{len .Labels}} {{.Labels.colour}}") == "local 2 blue"

    stage.scene.engine.docker("volume", "create", copy)
    stage.request_restore(restorerequest("a-part", target=mapping, include=["conf"]))
    succeeded(stage, "a-part")
    assert sorted(path.name for path in stage.data(copy).rglob("*")) == ["app.ini", "conf"]


def inspected(stage: Stage, volume: str, template: str) -> str:
    """Return what the engine says about a volume."""
    return stage.scene.engine.docker("volume", "inspect", "--format", template, volume)


@pytest.fixture
def emptied(stage: Stage) -> str:
    """A volume that was archived and is empty now."""
    volume = stage.volume("data", megabytes=48)
    archived(stage, volume)
    for path in stage.data(volume).iterdir():
        path.unlink()
    return volume


def begun(stage: Stage) -> Agent:
    """Ask for a restore, and return its agent, which has little time to work."""
    return stage.started("restore", stage.request_restore(restorerequest()), cpus=0.1)


def bytes_in(stage: Stage, volume: str) -> int:
    """Return how much lies in a volume."""
    return sum(path.stat().st_blocks * 512 for path in stage.data(volume).rglob("*") if path.is_file())


def test_killed_before_anything_is_written_the_target_is_whole(stage: Stage, emptied: str) -> None:
    agent = begun(stage)
    assert not agent.has_touched()
    agent.kill_process()
    assert failure(ended(stage)) == ("Failed", "AgentKilled")
    assert list(stage.data(emptied).iterdir()) == []


def test_killed_while_it_writes_the_target_is_incomplete(stage: Stage, emptied: str) -> None:
    agent = begun(stage)
    stage.scene.wait_for("the first byte", lambda: bytes_in(stage, emptied), seconds=90)
    agent.kill_process()
    found = ended(stage)
    assert failure(found) == ("Failed", "TargetIncomplete")
    assert emptied in found["status"]["failure"]["message"]
    # A second request brings everything, whatever the first has left.
    stage.request_restore(restorerequest("again", existingData="Mirror"))
    succeeded(stage, "again")
    assert stage.plain_restic("check", "--no-lock", "--quiet") == ""


def test_cancelled_while_it_writes_the_target_is_incomplete(stage: Stage, emptied: str) -> None:
    before = set(stage.locks())  # a killed restic leaves its own
    begun(stage)
    stage.scene.wait_for("the first byte", lambda: bytes_in(stage, emptied), seconds=90)
    cancel(stage)
    assert failure(ended(stage)) == ("Failed", "TargetIncomplete")
    assert set(stage.locks()) <= before


def test_deleted_while_it_writes_it_ends_on_the_host(stage: Stage, emptied: str) -> None:
    before = set(stage.locks())
    agent = begun(stage)
    stage.scene.wait_for("the first byte", lambda: bytes_in(stage, emptied), seconds=90)
    stage.scene.kubectl("delete", "restorerequest", "bring-it-back", "--timeout=10s")
    stage.scene.wait_for("the end of the agent", lambda: agent.state == "", seconds=30)
    assert set(stage.locks()) <= before


def test_cancelled_while_it_waits_nothing_is_touched(stage: Stage) -> None:
    volume = stage.volume("data")
    archived(stage, volume)
    stage.run_container("holder", "--volume", f"{volume}:/data")
    stage.request_restore(restorerequest(existingData="Mirror", quiesce="None"))
    waiting(stage, "restorerequest", "bring-it-back", "VolumeInUse")
    cancel(stage)
    assert failure(ended(stage)) == ("Cancelled", "Cancelled")


def cancel(stage: Stage) -> None:
    """Ask for the end of the restore."""
    annotation = "backup.dockerwarts.io/cancel-requested=yes"
    stage.scene.kubectl("annotate", "restorerequest", "bring-it-back", annotation)


def test_one_at_a_time_the_oldest_first_and_backups_wait(stage: Stage, emptied: str) -> None:
    agent = begun(stage)
    agent.allow(0.02)  # for as long as it takes
    stage.request_restore(restorerequest("second", existingData="Mirror"))
    waiting(stage, "restorerequest", "second", "RestoreActive")
    run = stage.scene.request_run("nightly", "meanwhile")
    name = run["metadata"]["name"]
    waiting(stage, "backuprun", name, "RestoreActive")
    agent.allow(WHOLE)
    first, second = succeeded(stage), succeeded(stage, "second")
    archived_again = stage.succeeded(run)
    assert second["status"]["startTime"] >= first["status"]["completionTime"]
    assert archived_again["status"]["startTime"] >= first["status"]["completionTime"]
