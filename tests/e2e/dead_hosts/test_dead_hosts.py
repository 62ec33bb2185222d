"""Hosts that accept and never answer, and volumes that cannot be mounted: everybody else is served as before.

Run by pytest.
"""

from __future__ import annotations

import datetime as dt
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from e2e.scene import Document, condition
from e2e.stage import Stage, composehost, failure, policy, repository, secret
from fakes.recorded_engine import HANGS, recorded_engine
from realparts.ways_in import SshWay

DEAD = 12
TWICE_AND_SOME = dt.timedelta(seconds=8)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port of this machine that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield int(server.getsockname()[1])


def lasted(run: Document) -> dt.timedelta:
    """Return how long a run took, from its creation to its end."""
    begin, end = run["metadata"]["creationTimestamp"], run["status"]["completionTime"]
    return dt.datetime.fromisoformat(end) - dt.datetime.fromisoformat(begin)


def dead_hosts(stage: Stage, stack: ExitStack, way: SshWay, port: int) -> list[str]:
    """Apply hosts of each way in that hang, with a policy each, and return their names."""
    key = way.private_key.read_text()
    documents = [secret("ssh", **{"ssh-privatekey": key, "known_hosts": way.known_hosts})]
    endpoints = {f"ssh-{number}": f"ssh://root@127.0.0.1:{port}" for number in range(DEAD // 2)}
    for number in range(DEAD // 2):
        path = stage.scene.directory / f"{number}.sock"
        engine = stack.enter_context(recorded_engine(path, {"GET /version": HANGS, "GET /info": HANGS}))
        endpoints[f"hangs-{number}"] = engine.endpoint
    for name, endpoint in endpoints.items():
        documents.append(composehost(name, {"endpoint": endpoint, "credentialsSecretRef": {"name": "ssh"}}))
        documents.append(repository(stage.repository, name=name, host=name))
        documents.append(policy(["*"], name=name, host=name, repositoryRef={"name": name}))
    stage.scene.apply(*documents)
    return list(endpoints)


def test_dead_hosts_delay_nobody(stage: Stage, ssh_way: SshWay, silent_port: int) -> None:
    volume = stage.volume("data")
    stage.declare(policy([volume]))
    alone = lasted(stage.archive("nightly", "alone"))
    with ExitStack() as stack:
        names = dead_hosts(stage, stack, ssh_way, silent_port)
        beside = [lasted(stage.archive("nightly", f"beside-the-dead-{number}")) for number in range(3)]
        assert max(beside) <= 2 * alone + TWICE_AND_SOME
        for name in names:
            found = stage.scene.wait_condition("composehost", name, "Ready", status="False", reason="Unreachable")
            assert "does not answer in time" in condition(found, "Ready")["message"]
            stage.scene.kubectl("delete", "composehost", name, "--wait=false")


def test_a_share_that_cannot_be_mounted_is_a_clear_error(stage: Stage, silent_port: int) -> None:
    share = stage.volume("share", type="nfs", o=f"addr=127.0.0.1,port={silent_port},soft,timeo=10", device=":/export")
    volume = stage.volume("data")
    stage.declare(policy([share], name="share"), policy([volume]))
    broken = stage.scene.request_run("share", "in-vain")
    stage.archive("nightly", "meanwhile")
    ended = stage.scene.wait_finished("backuprun", broken["metadata"]["name"], seconds=180)
    assert failure(ended) == ("Failed", "VolumeMountFailed")
    message = ended["status"]["failure"]["message"]
    assert "srv1" in message and "NFS server" in message
    stage.archive("nightly", "afterwards")
    stage.scene.wait_for("the removal of the agents", lambda: stage.agents() == [])
