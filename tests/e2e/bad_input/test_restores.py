"""Restore requests that ask for what is not there, or for what must not be: what they say, and that nothing is touched.

Run by pytest.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.bad_input.ward import PASSWORD, Ward, assert_failed, assert_says, document, row
from e2e.scene import Document, condition
from realparts.ground import Ground

PAST = "2026-01-01T00:00:00Z"
NIGHTLY = {"policyRef": {"name": "nightly"}}


@pytest.fixture(scope="module")
def gallery(ward: Ward, restic: Path) -> Ward:
    """A good run, a failed one, one that never began, and all bad requests."""
    for key in ("nightly", "ignored", "busy"):
        ward.volume(key)
    ward.volume("archives", "")
    ward.scene.apply(
        ward.host("other"),
        ward.repository("on-volume", storage={"volume": {"name": ward.full("archives")}}),
        ward.policy("nightly"),
        ward.policy("busy"),
        ward.policy("ignored", excludeFiles=["*"]),
        ward.policy("unmatched", selector={"volumes": [ward.full("mistyped")]}),
        *(ward.run(name) for name in ("nightly", "busy", "ignored", "unmatched")),
    )
    for name in ("nightly", "busy", "ignored", "unmatched"):
        ward.ended("backuprun", name)
    ward.scene.apply(*requests(ward, record(ward, restic)))
    return ward


def record(ward: Ward, restic: Path) -> str:
    """Return the id of a snapshot that holds no volume: the record of a run."""
    command: list[str | Path] = [restic, "--repo", ward.directory / "main", "--no-lock", "--no-cache", "--json"]
    environment = os.environ | {"RESTIC_PASSWORD": PASSWORD}
    found = json.loads(subprocess.check_output([*command, "snapshots", "--tag", "kind=record"], env=environment))
    return str(found[0]["id"])


def request(name: str, source: Document, **spec: object) -> Document:
    """Return a request for a restore."""
    return document("RestoreRequest", name, {"source": source} | spec)


def to(source: str, target: str) -> Document:
    """Return the target of one volume under another name."""
    return {"volumes": [{"source": source, "target": target}]}


def requests(ward: Ward, record_id: str) -> list[Document]:
    """Return all bad requests."""
    main, here, overwrite = {"repositoryRef": {"name": "main"}}, {"hostRef": {"name": "here"}}, "Overwrite"
    nightly, new = ward.full("nightly"), ward.full("new")
    return [
        request("onto-data", NIGHTLY),
        request("no-snapshot", {**main, "snapshotId": "0123456789ab"}, target=here),
        request("of-a-record", {**main, "snapshotId": record_id}, target=here),
        request("include-nothing", NIGHTLY, include=["etc/passwd"], existingData=overwrite),
        request("include-outside", NIGHTLY, include=["../healthy/file.txt"], existingData=overwrite),
        request("failed-run", {"runRef": {"name": "ignored"}}),
        request("never-begun", {"runRef": {"name": "unmatched"}}),
        request("no-run", {"runRef": {"name": "nobody"}}),
        request("no-policy", {"policyRef": {"name": "nobody"}}),
        request("no-good-run", {"policyRef": {"name": "healthy"}}),
        request("too-early", {**NIGHTLY, "asOf": PAST}),
        request("no-identity", {**main, "host": "cluster/elsewhere/here"}, target=here),
        request("other-volume", NIGHTLY, target=to(ward.full("healthy"), new)),
        request("expired", NIGHTLY, startBefore=PAST, existingData="Mirror"),
        request("wrong-host", NIGHTLY, target={"hostRef": {"name": "other"}, **to(nightly, new)}),
        request("onto-archives", NIGHTLY, target=to(nightly, ward.full("archives")), existingData="Mirror"),
        request("no-host", NIGHTLY, target={"hostRef": {"name": "nobody"}}),
        request("no-repository", {"repositoryRef": {"name": "nobody"}, "host": "a/b/c"}, target=here),
    ]


ENDED = [
    row("data is there already", "onto-data", "TargetNotEmpty", ["-nightly holds data", "`file.txt`", "Overwrite"]),
    row("no snapshot has this id", "no-snapshot", "SnapshotNotFound", ["0123456789ab", "names no snapshot", "restic"]),
    row("the snapshot is a record", "of-a-record", "SnapshotNotFound", ["is no volume", "/volumes"]),
    row("an include matches nothing", "include-nothing", "IncludeMatchesNothing", ["`etc/passwd`", "volume's root"]),
    row(
        "an include leaves the volume", "include-outside", "InvalidSpec", ["`../healthy/file.txt`", "leaves the volume"]
    ),
    row("the run has failed", "failed-run", "NoGoodRun", ["no good run of ignored", "restic snapshots"]),
    row(
        "the run never began",
        "never-begun",
        "NoGoodRun",
        ["BackupRun unmatched", "matches spec.selector", "another run"],
    ),
    row("there is no such run", "no-run", "RunNotFound", ["BackupRun nobody", "restorePoints", "policyRef with asOf"]),
    row("there is no such policy", "no-policy", "PolicyNotFound", ["BackupPolicy nobody", "repositoryRef"]),
    row("the policy never ran", "no-good-run", "NoGoodRun", ["no good run of healthy", "restic snapshots"]),
    row("there was no run so early", "too-early", "NoGoodRun", ["at or before 2026-01-01", "restic snapshots"]),
    row("no such host was archived", "no-identity", "NoGoodRun", ["cluster/elsewhere/here", "restic snapshots"]),
    row("the run holds other volumes", "other-volume", "VolumeNotInSource", ["-healthy", "it holds", "-nightly"]),
    row("the repository is elsewhere", "wrong-host", "WrongHost", ["ArchiveRepository main", "other", "own host"]),
    row(
        "the target holds archives", "onto-archives", "InvalidSpec", ["-archives, which holds a repository", "another"]
    ),
]
WAITING = [
    row("a host that is missing", "no-host", "HostNotFound", ["ComposeHost nobody", "create it"]),
    row(
        "a repository that is missing", "no-repository", "RepositoryNotFound", ["ArchiveRepository nobody", "create it"]
    ),
]


@pytest.mark.parametrize(("name", "reason", "words"), ENDED)
def test_a_restore_says_why_it_did_nothing(gallery: Ward, name: str, reason: str, words: list[str]) -> None:
    assert_failed(gallery.ended("restorerequest", name), reason, *words)


def test_a_request_that_is_applied_after_its_time_is_skipped(gallery: Ward) -> None:
    words = ("spec.startBefore 2026-01-01", "nothing was touched", "another request")
    assert_failed(gallery.ended("restorerequest", "expired"), "Expired", *words, phase="Skipped")


@pytest.mark.parametrize(("name", "reason", "words"), WAITING)
def test_a_restore_waits_and_says_for_what(gallery: Ward, name: str, reason: str, words: list[str]) -> None:
    found = gallery.scene.wait_condition("restorerequest", name, "Ready", status="Unknown", reason=reason)
    assert_says(found, reason, *words)


@pytest.fixture(scope="module")
def held(gallery: Ward, prepared: Ground) -> Iterator[Ward]:
    """A container that uses a volume, and three requests for it: one gives up, two wait."""
    name = gallery.full("busy")
    docker = gallery.scene.engine.docker
    docker("run", "--detach", "--name", name, "--volume", f"{name}:/data", prepared.small_image, "sleep", "3600")
    try:
        busy = {"policyRef": {"name": "busy"}}
        gallery.scene.apply(request("impatient", busy, existingData="Mirror", quiesce="None", deadlineSeconds=25))
        gallery.scene.wait_condition("rr", "impatient", "Ready", status="Unknown", reason="VolumeInUse")
        gallery.scene.apply(request("first", busy, existingData="Mirror", quiesce="None"))
        yield gallery
    finally:
        docker("rm", "--force", name, check=False)


def test_a_restore_waits_for_services_up_to_its_deadline(held: Ward) -> None:
    status = held.ended("restorerequest", "impatient")
    assert_failed(status, "DeadlineExceeded", "spec.deadlineSeconds", "VolumeInUse", held.full("busy"))


def test_two_requests_for_one_volume_go_one_after_the_other(held: Ward) -> None:
    scene = held.scene
    held.ended("restorerequest", "impatient")
    found = scene.wait_condition("rr", "first", "Ready", status="Unknown", reason="VolumeInUse")
    assert_says(found, "VolumeInUse", held.full("busy"), "stop them", "then starts")
    scene.apply(request("second", {"policyRef": {"name": "busy"}}, existingData="Mirror", quiesce="None"))
    found = scene.wait_condition("rr", "second", "Ready", status="Unknown", reason="RestoreActive")
    assert_says(found, "RestoreActive", "/first comes first", held.full("busy"))
    (held.data("busy") / "later.txt").write_text("written meanwhile")
    scene.engine.docker("rm", "--force", held.full("busy"))
    first, second = held.ended("rr", "first"), held.ended("rr", "second")
    assert (first["phase"], second["phase"]) == ("Succeeded", "Succeeded")
    assert first["completionTime"] <= second["startTime"]
    assert [path.name for path in held.data("busy").iterdir()] == ["file.txt"]


def test_an_empty_volume_is_restored_as_such(gallery: Ward) -> None:
    gallery.volume("hollow", "")
    gallery.scene.apply(gallery.policy("hollow"), gallery.run("hollow"))
    assert gallery.ended("backuprun", "hollow")["phase"] == "Succeeded"
    gallery.wait_until_no_agent()  # one that has reported still holds the volume for a moment
    gallery.scene.engine.docker("volume", "rm", gallery.full("hollow"))
    gallery.scene.apply(request("hollow", {"runRef": {"name": "hollow"}}))
    status = gallery.ended("restorerequest", "hollow")
    assert status["phase"] == "Succeeded", status
    assert list(gallery.data("hollow").iterdir()) == []


def test_nothing_was_touched(gallery: Ward) -> None:
    assert (gallery.data("nightly") / "file.txt").read_text() == "some data"
    assert (gallery.data("healthy") / "file.txt").read_text() == "all is well"
    assert gallery.full("new") not in gallery.scene.engine.docker("volume", "ls", "--quiet").splitlines()
    assert condition(gallery.scene.wait_ready("archiverepository", "on-volume"), "Ready")["status"] == "True"


def test_what_was_missing_heals(gallery: Ward) -> None:
    gallery.scene.apply(gallery.host("nobody"), gallery.repository("nobody"))
    assert_failed(gallery.ended("rr", "no-host"), "WrongHost", "ArchiveRepository main")
    assert_failed(gallery.ended("rr", "no-repository"), "NoGoodRun", "a/b/c")


def test_the_neighbour_still_runs(gallery: Ward) -> None:
    gallery.assert_neighbour_runs("after bad restores")
