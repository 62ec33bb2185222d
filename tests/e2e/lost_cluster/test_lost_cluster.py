"""Objects of the cluster are lost and applied again: archives are recognised, and a lost archive is never made anew.

Run by pytest.
"""

from __future__ import annotations

import shutil

from e2e.scene import condition
from e2e.stage import Stage, policy, repository, restorerequest


def test_everything_comes_back_from_the_repository(own_stage: Stage) -> None:
    scene, volume = own_stage.scene, own_stage.volume("data")
    own_stage.declare(policy([volume]))
    own_stage.archive("nightly", "first")
    (own_stage.data(volume) / "note.txt").write_text("the newest words")
    newest = own_stage.archive("nightly", "second")
    identity = scene.get("archiverepository", "main")["status"]["repositoryId"]
    scene.cluster.kubectl("delete", "namespace", scene.namespace, "--timeout=60s")
    scene.cluster.kubectl("create", "namespace", scene.namespace)
    scene.engine.docker("volume", "rm", volume)

    scene.apply(*own_stage.place)
    found = scene.wait_ready("archiverepository", "main", seconds=90)
    assert found["status"]["repositoryId"] == identity
    assert condition(found, "Ready")["reason"] == "Opened"

    source = {"repositoryRef": {"name": "main"}, "host": f"cluster/{scene.namespace}/srv1"}
    scene.apply(restorerequest(source=source, target={"hostRef": {"name": "srv1"}}))
    restored = scene.wait_finished("restorerequest", "bring-it-back")
    assert restored["status"]["phase"] == "Succeeded", scene.told()
    assert restored["status"]["resolved"]["run"] == newest["metadata"]["name"]
    assert (own_stage.data(volume) / "note.txt").read_text() == "the newest words"

    scene.apply(policy([volume]))
    points = scene.wait_for(
        "the restore points", lambda: scene.get("backuppolicy", "nightly").get("status", {}).get("restorePoints")
    )
    assert points[0]["run"] == newest["metadata"]["name"]
    assert len(points) == 2
    assert points[0]["record"] == newest["status"]["record"]


def test_a_vanished_repository_is_never_made_anew(own_stage: Stage) -> None:
    scene = own_stage.scene
    own_stage.declare()
    identity = scene.get("archiverepository", "main")["status"]["repositoryId"]
    elsewhere = scene.directory / "elsewhere"
    own_stage.repository.rename(elsewhere)

    apply_anew(own_stage)
    scene.wait_condition("archiverepository", "main", "Ready", status="False", reason="RepositoryVanished")
    assert not own_stage.repository.exists()

    own_stage.repository.mkdir()  # as an unmounted disk looks
    apply_anew(own_stage)
    scene.wait_condition("archiverepository", "main", "Ready", status="False", reason="RepositoryVanished")
    assert list(own_stage.repository.iterdir()) == []

    own_stage.repository.rmdir()
    elsewhere.rename(own_stage.repository)
    apply_anew(own_stage)
    assert scene.wait_ready("archiverepository", "main")["status"]["repositoryId"] == identity

    # A person who wants a new one says so by removing the marker.
    shutil.rmtree(own_stage.repository)
    scene.kubectl("delete", "archiverepository", "main")
    (marker,) = scene.markers()
    scene.engine.docker("volume", "rm", marker)
    scene.apply(repository(own_stage.repository))
    made = scene.wait_ready("archiverepository", "main")
    assert condition(made, "Ready")["reason"] == "Created"
    assert made["status"]["repositoryId"] != identity


def apply_anew(stage: Stage) -> None:
    """Apply a repository of which the cluster knows nothing any more."""
    stage.scene.kubectl("delete", "archiverepository", "main")
    stage.scene.apply(repository(stage.repository))
