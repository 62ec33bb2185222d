"""Hosts elsewhere: a run and a restore by SSH and by TCP with mutual TLS, and what is refused at the door.

Run by pytest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from e2e.scene import Document, condition
from e2e.stage import Stage, composehost, policy, restorerequest, secret
from realparts.engine import Engine, TlsAccess
from realparts.ways_in import SshWay


def by_ssh(stage: Stage, way: SshWay, known_hosts: str) -> tuple[Document, ...]:
    """Return the host behind an sshd, and the Secret for it."""
    socket = stage.scene.engine.docker_host.removeprefix("unix://")
    return (
        secret("way", **{"ssh-privatekey": way.private_key.read_text(), "known_hosts": known_hosts}),
        reached_at(stage, f"ssh://{way.user}@{way.host}:{way.port}{socket}"),
    )


def by_tls(stage: Stage, access: TlsAccess, *, foreign: bool = False) -> tuple[Document, ...]:
    """Return the host behind mutual TLS, and the Secret for it."""
    place = access.foreign if foreign else access.client
    names = ("ca.crt", "tls.crt", "tls.key")
    return secret("way", **{name: (place / name).read_text() for name in names}), reached_at(stage, access.endpoint)


def reached_at(stage: Stage, endpoint: str) -> Document:
    """Return the host `srv1` at an endpoint."""
    spec = stage.host["spec"]
    return composehost("srv1", spec | {"endpoint": endpoint, "credentialsSecretRef": {"name": "way"}})


@pytest.fixture
def tls_stage(own_stage: Stage, tls_engine: Engine) -> Iterator[Stage]:
    """A own_stage on the engine that is reached by TLS."""
    other = Stage(replace(own_stage.scene, engine=tls_engine), own_stage.image, own_stage.restic)
    yield other
    other.close()


def archived_and_restored(stage: Stage, *way: Document) -> None:
    """Do a run and a restore through a way."""
    volume = stage.volume("data", megabytes=1)
    password, _, place = stage.place
    stage.scene.apply(password, *way, place, policy([volume]))
    stage.scene.wait_ready("archiverepository", "main", seconds=90)
    stage.archive()
    note = stage.data(volume) / "note.txt"
    before = note.read_text()
    note.write_text("damaged")
    stage.request_restore(restorerequest(existingData="Mirror"))
    restored = stage.scene.wait_finished("restorerequest", "bring-it-back")
    assert restored["status"]["phase"] == "Succeeded", stage.scene.told()
    assert note.read_text() == before


def test_a_run_and_a_restore_by_ssh(own_stage: Stage, ssh_way: SshWay) -> None:
    archived_and_restored(own_stage, *by_ssh(own_stage, ssh_way, ssh_way.known_hosts))


def test_a_run_and_a_restore_by_tls(tls_stage: Stage, tls_engine: Engine) -> None:
    assert tls_engine.tls
    archived_and_restored(tls_stage, *by_tls(tls_stage, tls_engine.tls))


def test_another_host_key_is_refused_until_the_secret_is_mended(own_stage: Stage, ssh_way: SshWay) -> None:
    scene = own_stage.scene
    scene.apply(*by_ssh(own_stage, ssh_way, ssh_way.wrong_known_hosts))
    refused = scene.wait_condition("composehost", "srv1", "Ready", status="False", reason="HostKeyUnknown")
    assert "known_hosts" in condition(refused, "Ready")["message"]
    scene.apply(*by_ssh(own_stage, ssh_way, ssh_way.known_hosts))
    scene.wait_ready("composehost", "srv1")


def test_a_foreign_authority_is_refused_until_the_secret_is_mended(tls_stage: Stage, tls_engine: Engine) -> None:
    scene = tls_stage.scene
    assert tls_engine.tls
    scene.apply(*by_tls(tls_stage, tls_engine.tls, foreign=True))
    refused = scene.wait_condition("composehost", "srv1", "Ready", status="False", reason="CertificateRefused")
    assert "ca.crt" in condition(refused, "Ready")["message"]
    scene.apply(*by_tls(tls_stage, tls_engine.tls))
    scene.wait_ready("composehost", "srv1")


def test_a_host_may_be_edited_while_a_run_goes_on_through_it(own_stage: Stage, ssh_way: SshWay) -> None:
    scene, volume = own_stage.scene, own_stage.volume("data", megabytes=8)
    password, _, place = own_stage.place
    way = by_ssh(own_stage, ssh_way, ssh_way.known_hosts)
    scene.apply(password, *way, place, policy([volume]))
    scene.wait_ready("archiverepository", "main", seconds=90)
    slow = way[1]["spec"]
    scene.apply(composehost("srv1", slow | {"agent": slow["agent"] | {"cpus": 0.2}}))
    run = scene.request_run("nightly", "edited")
    own_stage.started("run", run)
    scene.apply(composehost("srv1", slow | {"maxConcurrentRuns": 2, "probeIntervalSeconds": 10}))
    assert own_stage.succeeded(run)["status"]["attempts"] == 1
