"""The thinnest story, with the objects of examples/01-first-backup: archived, damaged, brought back byte for byte.

Run by pytest.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from e2e.compose_project import ComposeProject
from e2e.scene import EXAMPLES, Scene
from realparts.trees import differences

EXAMPLE = "01-first-backup"
VOLUMES = ("pages", "uploads")


@pytest.fixture
def wiki(scene: Scene) -> ComposeProject:
    """The example's Compose project, up, with data in both volumes."""
    project = scene.project(EXAMPLES / EXAMPLE / "project" / "compose.yaml")
    project.up()
    return project


def declare(scene: Scene) -> None:
    """Apply host, repository and policy, and wait until all are ready."""
    scene.apply(*scene.example(f"{EXAMPLE}/1-host-and-repository.yaml"))
    scene.wait_ready("composehost", "this-machine")
    scene.wait_ready("archiverepository", "main")
    scene.apply(*scene.example(f"{EXAMPLE}/2-policy.yaml"))
    scene.wait_ready("backuppolicy", "nightly")


def snapshots(restic: Path, repository: Path) -> list[dict[str, Any]]:
    """Open the repository with plain restic and return its snapshots."""
    environment = os.environ | {"RESTIC_PASSWORD": "change-me-before-you-trust-it"}
    command: list[str | Path] = [restic, "--repo", repository, "--no-lock", "--no-cache", "--json", "snapshots"]
    found: list[dict[str, Any]] = json.loads(subprocess.check_output(command, env=environment))
    return found


def test_a_damaged_project_comes_back_byte_for_byte(scene: Scene, wiki: ComposeProject, restic: Path) -> None:
    declare(scene)
    before = wiki.fingerprint(*VOLUMES)

    run = scene.request_run("nightly", "before-the-upgrade")
    finished = scene.wait_finished("backuprun", run["metadata"]["name"])
    assert finished["status"]["phase"] == "Succeeded", scene.told()
    assert finished["status"]["consistency"] == "Stopped"
    assert {volume["name"] for volume in finished["status"]["volumes"]} == {wiki.volume(key) for key in VOLUMES}
    assert finished["metadata"].get("finalizers") is None

    found = snapshots(restic, scene.directory / "first-backup")
    assert len([one for one in found if "kind=run" in one["tags"]]) == len(VOLUMES)
    assert len([one for one in found if "kind=record" in one["tags"]]) == 1

    wiki.run_in("wiki", "rm -r /pages/2026; echo oops > /pages/home.txt; touch /uploads/virus.exe")
    assert wiki.fingerprint(*VOLUMES) != before
    scene.apply(*scene.example(f"{EXAMPLE}/3-restore.yaml"))
    restored = scene.wait_finished("restorerequest", "bring-it-back")
    assert restored["status"]["phase"] == "Succeeded", scene.told()
    assert differences(before, wiki.fingerprint(*VOLUMES)) == []


def test_a_request_is_answered_once_and_a_stopped_project_is_archived_as_such(
    scene: Scene, wiki: ComposeProject
) -> None:
    wiki.stop()
    declare(scene)
    run = scene.request_run("nightly", "once")
    finished = scene.wait_finished("backuprun", run["metadata"]["name"])
    assert (finished["status"]["phase"], finished["status"]["consistency"]) == ("Succeeded", "Stopped"), scene.told()
    scene.operator.restart()
    scene.wait_ready("backuppolicy", "nightly")
    assert len(scene.all_of("backupruns")) == 1
