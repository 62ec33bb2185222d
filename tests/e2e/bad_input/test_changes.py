"""Objects edited or deleted while a run works, and what it stands on taken away between match, start and retry.

An agent is held by `docker pause`, so that there is time for the change. Run by pytest.
"""

from __future__ import annotations

import os

import pytest

from e2e.bad_input.ward import PASSWORD, Ward, assert_failed, assert_says, row, secret
from e2e.scene import Document

SOON = {"limit": 1, "backoffSeconds": 8}


@pytest.fixture(scope="module")
def gallery(ward: Ward) -> Ward:
    """Hosts, repositories and policies, one of each for every case."""
    for name in (*HELD, *UNHELD):
        ward.volume(name)
    ward.made_before(*HELD, *UNHELD)
    ward.scene.apply(
        *(secret(name) for name in (*HELD, *UNHELD)),
        *(ward.host(name) for name in HELD),
        *(ward.repository(name, **own(name)) for name in HELD),
        *(ward.policy(name, hostRef={"name": name}, repositoryRef={"name": name}) for name in HELD),
        *(ward.repository(name, restic=own(name)["restic"]) for name in UNHELD),
        *(ward.policy(name, repositoryRef={"name": name}, retry=SOON) for name in UNHELD),
    )
    for name in (*HELD, *UNHELD):
        ward.scene.wait_ready("archiverepository", name, seconds=120)
    return ward


HELD = ("policy-edited", "host-edited", "host-deleted", "repository-deleted", "secret-deleted", "policy-deleted")
UNHELD = ("removed", "vanished", "unreadable", "filled")


def own(name: str) -> Document:
    """Return what makes a repository depend on the host and the Secret of its name."""
    return {"hostRef": {"name": name}, "restic": {"passwordSecretRef": {"name": name}}}


def hold(ward: Ward, name: str) -> str:
    """Start a run of a policy and hold its agent in the middle of its work; return the container's name."""
    ward.scene.apply(ward.run(name))
    container = f"compose-backup-run-{ward.scene.get('backuprun', name)['metadata']['uid']}"
    docker = ward.scene.engine.docker

    def held() -> bool:
        docker("pause", container, check=False)
        return docker("inspect", "--format", "{{.State.Status}}", container, check=False) == "paused"

    ward.scene.wait_for(f"{container} to be held", held)
    ward.scene.wait_condition("backuprun", name, "Ready", status="Unknown", reason="Running")
    return container


@pytest.fixture(scope="module")
def changed(gallery: Ward) -> Ward:
    """All runs held, every change made, and the agents let go."""
    containers = {name: hold(gallery, name) for name in HELD}
    scene = gallery.scene
    scene.apply(
        gallery.policy(
            "policy-edited",
            hostRef={"name": "nobody"},
            repositoryRef={"name": "nobody"},
            selector={"volumes": ["nothing"]},
        ),
        gallery.host("host-edited", permit={"hostPaths": []}, agent={"image": "nowhere.invalid/agent:1"}),
    )
    scene.kubectl("delete", "composehost", "host-deleted")
    scene.kubectl("delete", "archiverepository", "repository-deleted")
    scene.kubectl("delete", "secret", "secret-deleted")
    scene.kubectl("delete", "backuppolicy", "policy-deleted", "--cascade=orphan")
    scene.wait_condition("composehost", "host-edited", "Ready")
    scene.wait_finished("backuprun", "host-deleted")
    for container in containers.values():
        scene.engine.docker("unpause", container, check=False)
    return gallery


GOES_ON = [
    row("its policy is edited", "policy-edited"),
    row("its host is edited", "host-edited"),
    row("its repository is deleted", "repository-deleted"),
    row("its Secret is deleted", "secret-deleted"),
]


@pytest.mark.parametrize("name", GOES_ON)
def test_a_run_goes_on_with_what_it_was_started_with_when(changed: Ward, name: str) -> None:
    status = changed.ended("backuprun", name)
    assert status["phase"] == "Succeeded", changed.scene.told()
    assert [volume["name"] for volume in status["volumes"]] == [changed.full(name)]


def test_a_run_ends_with_its_host(changed: Ward) -> None:
    assert_failed(changed.ended("backuprun", "host-deleted"), "HostNotFound", "ComposeHost", "host-deleted", "deleted")


def test_a_run_ends_with_its_policy(changed: Ward) -> None:
    status = changed.ended("backuprun", "policy-deleted")
    assert_failed(status, "Cancelled", "BackupPolicy policy-deleted was deleted", phase="Cancelled")


def test_what_was_deleted_works_again_when_it_is_back(changed: Ward) -> None:
    scene = changed.scene
    for name in ("host-deleted", "repository-deleted"):
        changed.ended("backuprun", name)
    scene.apply(
        secret("secret-deleted"),
        changed.host("host-deleted"),
        changed.host("host-edited"),
        changed.repository("repository-deleted", **own("repository-deleted")),
    )
    for name in ("host-deleted", "host-edited", "repository-deleted", "secret-deleted"):
        scene.wait_ready("archiverepository", name, seconds=90)
        scene.apply(changed.run(name, f"{name}-again"))
    for name in ("host-deleted", "host-edited", "repository-deleted", "secret-deleted"):
        assert changed.ended("backuprun", f"{name}-again")["phase"] == "Succeeded", scene.told()


def test_a_run_does_not_start_while_its_secret_is_missing(gallery: Ward) -> None:
    scene, name = gallery.scene, "unreadable"
    scene.kubectl("delete", "secret", name)
    scene.apply(gallery.run(name))
    found = scene.wait_for(
        "the run to wait for its Secret", lambda: waits_for(gallery, name, f"/{name} does not exist")
    )
    assert found["status"]["phase"] == "Pending"
    scene.apply(secret(name))
    assert gallery.ended("backuprun", name)["phase"] == "Succeeded"


def waits_for(ward: Ward, name: str, words: str) -> Document | None:
    """Return a run that waits and says so in these words."""
    found = ward.scene.get("backuprun", name)
    said = [one for one in found.get("status", {}).get("conditions", ()) if words in one["message"]]
    return found if said else None


def test_a_volume_removed_between_match_and_retry_is_named(gallery: Ward) -> None:
    scene, name = gallery.scene, "removed"
    place = gallery.directory / name
    place.rename(gallery.directory / "aside")
    scene.apply(gallery.run(name))
    waiting = scene.wait_for("a second attempt", lambda: retries(gallery, name))
    assert_says(waiting, "Running", "attempt 1 failed", str(place), "the next one begins at")
    assert waiting["status"]["resolved"]["volumes"] == [gallery.full(name)]
    scene.engine.docker("volume", "rm", gallery.full(name))
    (gallery.directory / "aside").rename(place)
    status = gallery.ended("backuprun", name)
    assert_failed(status, "VolumeNotFound", f"volume {gallery.full(name)} does not exist on host here", "removed")
    # Asking for it did not make it.
    assert gallery.full(name) not in scene.engine.docker("volume", "ls", "--quiet").splitlines()


def retries(ward: Ward, name: str) -> Document | None:
    """Return a run between two attempts."""
    found = ward.scene.get("backuprun", name)
    return found if found.get("status", {}).get("retryAt") else None


def test_a_repository_that_vanishes_before_a_run_is_told_and_heals(gallery: Ward) -> None:
    scene, name = gallery.scene, "vanished"
    place = gallery.directory / name
    place.rename(gallery.directory / "moved")
    scene.apply(gallery.run(name))
    found = scene.wait_condition("arepo", name, "Ready", status="False", reason="RepositoryVanished")
    assert_says(found, "RepositoryVanished", str(place), "mount or restore it", "never created again")
    (gallery.directory / "moved").rename(place)
    assert gallery.ended("backuprun", name)["phase"] == "Succeeded", scene.told()
    scene.wait_ready("archiverepository", name, seconds=90)


def test_a_disk_that_fills_during_a_run_is_told_and_heals(gallery: Ward) -> None:
    scene = gallery.scene
    gallery.mount("small", "size=6m")
    (gallery.data("filled") / "random.bin").write_bytes(os.urandom(12 * 1024 * 1024))
    scene.apply(gallery.repository("small"), gallery.policy("filled", repositoryRef={"name": "small"}))
    scene.wait_ready("archiverepository", "small")
    scene.apply(gallery.run("filled"))
    status = gallery.ended("backuprun", "filled")
    assert_failed(status, "DiskFull", "no space left on device", "free space")
    (gallery.data("filled") / "random.bin").unlink()
    scene.apply(gallery.run("filled", "filled-again"))
    assert gallery.ended("backuprun", "filled-again")["phase"] == "Succeeded", scene.told()
    scene.wait_ready("archiverepository", "small")


def test_no_agent_is_left_behind(changed: Ward) -> None:
    label = f"label=backup.dockerwarts.io/owner-namespace={changed.scene.namespace}"
    docker = changed.scene.engine.docker
    changed.scene.wait_for("no agent", lambda: not docker("ps", "--all", "--quiet", "--filter", label), seconds=90)


def test_no_password_is_told(changed: Ward) -> None:
    assert PASSWORD not in changed.scene.told()


def test_the_neighbour_still_runs(changed: Ward) -> None:
    changed.assert_neighbour_runs("after changes")
