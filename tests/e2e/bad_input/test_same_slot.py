"""Two policies with one slot on a host that bears one run at a time: both run, one after the other.

Run by pytest.
"""

from __future__ import annotations

from e2e.bad_input.ward import Ward, assert_failed
from e2e.scene import Document

EVERY_MINUTE = "* * * * *"
NAMES = ("twin", "twin-202601010000")
"""The second is called like a run of the first."""


def test_both_run_one_after_the_other(ward: Ward) -> None:
    scene = ward.scene
    for name in NAMES:
        ward.volume(name)
    scene.apply(ward.host("here", maxConcurrentRuns=1), *(ward.policy(name, schedule=EVERY_MINUTE) for name in NAMES))
    scene.wait_for("a slot of both", lambda: all(runs(ward, name) for name in NAMES), seconds=90)
    scene.apply(*(ward.policy(name, schedule=EVERY_MINUTE, suspend=True) for name in NAMES))
    first, second = (runs(ward, name)[0] for name in NAMES)
    assert first["spec"]["scheduledFor"] == second["spec"]["scheduledFor"]
    ended = [ward.ended("backuprun", run["metadata"]["name"]) for run in (first, second)]
    assert [status["phase"] for status in ended] == ["Succeeded", "Succeeded"], scene.told()
    earlier, later = sorted(ended, key=lambda status: str(status["startTime"]))
    assert earlier["completionTime"] <= later["startTime"]


def test_a_pause_between_attempts_holds_nobody_up(ward: Ward) -> None:
    ward.volume("unlucky")
    scene, place = ward.scene, ward.directory / "unlucky"
    patience = {"limit": 1, "backoffSeconds": 600}
    scene.apply(
        ward.host("here", maxConcurrentRuns=1),
        ward.repository("unlucky"),
        ward.policy("unlucky", repositoryRef={"name": "unlucky"}, retry=patience),
    )
    scene.wait_ready("archiverepository", "unlucky")
    place.rename(ward.directory / "aside")
    scene.apply(ward.run("unlucky"))
    scene.wait_for("its second attempt", lambda: scene.get("brun", "unlucky").get("status", {}).get("retryAt"))
    ward.assert_neighbour_runs("during the pause of another")
    scene.kubectl("annotate", "backuprun", "unlucky", "backup.dockerwarts.io/cancel-requested=yes")
    assert_failed(ward.ended("backuprun", "unlucky"), "Cancelled", "annotation", phase="Cancelled")


def runs(ward: Ward, policy: str) -> list[Document]:
    """Return the runs of a policy, the oldest first."""
    return [run for run in ward.scene.all_of("backupruns") if run["spec"]["policyRef"]["name"] == policy]
