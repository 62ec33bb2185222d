"""Policies that cannot be scheduled, and runs that cannot start or archive nothing: what they say, and what heals.

Run by pytest.
"""

from __future__ import annotations

import hashlib

import pytest

from e2e.bad_input.ward import ONCE_A_YEAR, Ward, assert_failed, assert_says, row
from e2e.scene import ANNOTATIONS


@pytest.fixture(scope="module")
def gallery(ward: Ward) -> Ward:
    """All bad policies and the runs of them, applied at once."""
    for key in ("dotted.name", "two-lines", "ignored", "pattern", "long-name"):
        ward.volume(key)
    ward.volume("empty", "")
    ward.volume("archives", "")
    ward.scene.apply(
        ward.host("other"),
        ward.repository("on-other", hostRef={"name": "other"}),
        ward.repository("on-volume", storage={"volume": {"name": ward.full("archives")}}),
        *policies(ward),
    )
    # Runs a moment later, as a person would: some of the policies need not be ready for it.
    ward.scene.apply(*(ward.run(name) for name in RUNS), ward.run("nobody"), ward.run("both-at-once"))
    ward.scene.apply(ward.policy("both-at-once", selector={"volumes": [ward.full("two-lines")]}))
    return ward


RUNS = ("unmatched", "empty-allowed", "wrong-host", "hostless", "repositoryless", "no-zone")
RUNS_THAT_SUCCEED = ("dotted.name", "empty", "everything")
RUNS_THAT_FAIL = ("ignored", "pattern")


def policies(ward: Ward) -> list[dict[str, object]]:
    """Return all policies, good and bad."""
    everything = {"volumes": [f"{ward.scene.namespace}-*"]}
    nothing = {"volumes": [ward.full("mistyped")]}
    return [
        ward.policy("words", schedule="on the first of january"),
        ward.policy("minute-61", schedule="61 * * * *"),
        ward.policy("february-30", schedule="0 0 30 2 *"),
        ward.policy("no-zone", timeZone="Mars/Olympus", selector={"volumes": [ward.full("two-lines")]}),
        ward.policy("zone-path", timeZone="../../etc/passwd"),
        ward.policy("all-wrong", schedule="a b c d e", timeZone="CEST", objectives={"maxAge": "9999999d"}),
        ward.policy("hostless", hostRef={"name": "nobody"}),
        ward.policy("repositoryless", repositoryRef={"name": "later"}, selector={"volumes": [ward.full("two-lines")]}),
        ward.policy("wrong-host", repositoryRef={"name": "on-other"}),
        ward.policy("unmatched", selector=nothing),
        ward.policy("empty-allowed", selector={**nothing, "allowEmpty": True}),
        ward.policy("dotted.name", repositoryRef={"name": "on-volume"}),
        ward.policy("empty"),
        ward.policy("everything", selector=everything, repositoryRef={"name": "on-volume"}),
        ward.policy("ignored", excludeFiles=["*"]),
        ward.policy("pattern", excludeFiles=["[unclosed"]),
    ]


SAID = [
    row("words instead of a cron", "words", "InvalidSpec", ["'on the first of january'", "five fields", "0 2 * * *"]),
    row("a minute that no hour has", "minute-61", "InvalidSpec", ["'61 * * * *'", "cron", "example"]),
    row("a day that never comes", "february-30", "InvalidSpec", ["'0 0 30 2 *'", "cron", "example"]),
    row("a time zone that is none", "no-zone", "InvalidSpec", ["'Mars/Olympus'", "IANA", "Europe/Paris"]),
    row("a path instead of a zone", "zone-path", "InvalidSpec", ["timeZone", "IANA"]),
    row("everything wrong at once", "all-wrong", "InvalidSpec", ["'a b c d e'", "'CEST'", "'9999999d'"]),
    row("a host that does not exist", "hostless", "HostNotFound", ["ComposeHost nobody does not exist", "create it"]),
    row(
        "a repository that is missing", "repositoryless", "RepositoryNotFound", ["ArchiveRepository later", "create it"]
    ),
    row("a repository on another host", "wrong-host", "WrongHost", ["on-other", "other", "here", "of its own"]),
]
ENDED = [
    row(
        "nothing matches",
        "unmatched",
        "Failed",
        "NothingMatches",
        ["ComposeHost here", "docker volume ls", "allowEmpty"],
    ),
    row("nothing matches, which is fine", "empty-allowed", "Skipped", "NothingMatches", ["allowEmpty allows"]),
    row("the repository is elsewhere", "wrong-host", "Failed", "WrongHost", ["on-other", "use a repository of"]),
    row("there is no such policy", "nobody", "Failed", "PolicyNotFound", ["BackupPolicy nobody", "does not exist"]),
    row("excludeFiles leaves nothing", "ignored", "Failed", "NothingArchived", ["-ignored holds data", "excludeFiles"]),
    row("excludeFiles is no pattern", "pattern", "Failed", "InvalidSpec", ["[unclosed", "spec.excludeFiles"]),
]


@pytest.mark.parametrize(("name", "reason", "words"), SAID)
def test_a_policy_says_why_it_is_not_ready(gallery: Ward, name: str, reason: str, words: list[str]) -> None:
    found = gallery.scene.wait_condition("backuppolicy", name, "Ready", status="False", reason=reason)
    assert_says(found, reason, *words)


@pytest.fixture(scope="module")
def requested(gallery: Ward) -> Ward:
    """Runs asked for by annotation, twice with one value."""
    for name in (*RUNS_THAT_SUCCEED, *RUNS_THAT_FAIL):
        for value in ("now", "now"):
            gallery.scene.kubectl("annotate", "--overwrite", "bpol", name, f"{ANNOTATIONS}/run-requested={value}")
    return gallery


def run_of(ward: Ward, policy: str) -> str:
    """Return the name of the one run of a policy."""

    def found() -> list[str]:
        runs = ward.scene.all_of("backupruns")
        return [run["metadata"]["name"] for run in runs if run["spec"]["policyRef"]["name"] == policy]

    (name,) = ward.scene.wait_for(f"a run of {policy}", found)
    return name


@pytest.mark.parametrize(("policy", "phase", "reason", "words"), ENDED)
def test_a_run_says_why_it_is_not_green(
    requested: Ward, policy: str, phase: str, reason: str, words: list[str]
) -> None:
    status = requested.ended("backuprun", run_of(requested, policy))
    assert_failed(status, reason, *words, phase=phase)


def test_a_policy_tells_of_its_failed_run(requested: Ward) -> None:
    found = requested.scene.wait_condition("bpol", "unmatched", "LastRunSucceeded", status="False", reason="Failed")
    assert_says(found, "Failed", "BackupRun unmatched", "matches spec.selector", type_="LastRunSucceeded")
    # It is accepted, since its volumes may come later, but nobody has to wait for the night to see that none is there.
    assert_says(found, "Scheduled", "no volume", "spec.selector")


def test_a_run_and_its_policy_may_be_applied_in_any_order(requested: Ward) -> None:
    assert requested.ended("backuprun", "both-at-once")["phase"] == "Succeeded"


def test_a_run_by_hand_needs_no_schedule(requested: Ward) -> None:
    assert requested.ended("backuprun", "no-zone")["phase"] == "Succeeded"


@pytest.mark.parametrize("policy", RUNS_THAT_SUCCEED)
def test_odd_volumes_are_archived_once(requested: Ward, policy: str) -> None:
    status = requested.ended("backuprun", run_of(requested, policy))
    assert status["phase"] == "Succeeded", status
    # Not even a policy of everything archives a repository into itself.
    assert requested.full("archives") not in {volume["name"] for volume in status["volumes"]}


def test_an_empty_volume_is_told_as_such(requested: Ward) -> None:
    (volume,) = requested.ended("backuprun", run_of(requested, "empty"))["volumes"]
    assert "no file" in volume["warnings"][0]


WAITING = [
    row("a host that is missing", "hostless", "HostNotFound", ["ComposeHost nobody", "create it"]),
    row("a repository that is missing", "repositoryless", "RepositoryNotFound", ["ArchiveRepository later"]),
]


@pytest.mark.parametrize(("name", "reason", "words"), WAITING)
def test_a_run_waits_and_says_for_what(requested: Ward, name: str, reason: str, words: list[str]) -> None:
    found = requested.scene.wait_condition("backuprun", name, "Ready", status="Unknown", reason=reason)
    assert found["status"]["phase"] == "Pending"
    assert_says(found, reason, *words)


def test_what_was_wrong_heals(requested: Ward) -> None:
    scene = requested.scene
    for name, reason in (("words", "InvalidSpec"), ("no-zone", "InvalidSpec"), ("hostless", "HostNotFound")):
        scene.wait_condition("bpol", name, "Ready", status="False", reason=reason)
    volumes = {"volumes": [requested.full("two-lines")]}
    scene.apply(
        requested.host("nobody", maxConcurrentRuns=16),
        requested.repository("later"),
        requested.policy("words", schedule=ONCE_A_YEAR),
        requested.policy("no-zone", timeZone="Europe/Paris", selector=volumes),
        requested.policy("wrong-host", repositoryRef={"name": "main"}),
    )
    for name in ("words", "no-zone", "wrong-host", "hostless", "repositoryless"):
        if name != "hostless":  # its repository still lies on another host
            scene.wait_ready("backuppolicy", name)
    scene.wait_condition("backuppolicy", "hostless", "Ready", status="False", reason="WrongHost")
    assert requested.ended("backuprun", "repositoryless")["phase"] == "Succeeded"
    assert_failed(requested.ended("backuprun", "hostless"), "WrongHost")


def test_a_schedule_that_was_mended_makes_up_for_nothing(requested: Ward) -> None:
    assert [run for run in requested.scene.all_of("backupruns") if run["spec"]["policyRef"]["name"] == "words"] == []


def test_a_run_of_another_with_the_wanted_name_is_in_the_way_and_named(requested: Ward) -> None:
    scene = requested.scene
    uid = scene.get("backuppolicy", "healthy")["metadata"]["uid"]
    name = f"healthy-r{hashlib.sha256(f'{uid}/in the way'.encode()).hexdigest()[:10]}"
    scene.apply(requested.run("words", name))
    scene.kubectl("annotate", "bpol", "healthy", f"{ANNOTATIONS}/run-requested=in the way")
    found = scene.wait_condition("backuppolicy", "healthy", "Ready", status="False", reason="NameTaken")
    assert_says(found, "NameTaken", f"BackupRun {name}", "delete it")
    scene.kubectl("delete", "backuprun", name)
    scene.wait_ready("backuppolicy", "healthy")
    assert requested.ended("backuprun", name)["phase"] == "Succeeded"


def test_the_neighbour_still_runs(requested: Ward) -> None:
    requested.assert_neighbour_runs("after bad policies")
