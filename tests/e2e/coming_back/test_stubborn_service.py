"""A service that cannot start again, since its port was taken: the others run, it is named, and comes back in the end.

Run by pytest.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from chaos.docker_api import Document
from e2e.agents import Agent
from e2e.scene import condition
from e2e.stage import Stage, policy
from realparts.processes import free_port


@dataclass(frozen=True)
class Taken:
    """A run that has stopped two containers, one of which cannot get its port back."""

    run: Document
    agent: Agent
    web: str
    database: str
    volume: str


@pytest.fixture
def taken(stage: Stage) -> Iterator[tuple[Taken, socket.socket]]:
    """A run in its window, and who sits on the port."""
    volume = stage.volume("data", megabytes=8)
    port = free_port()
    web = stage.run_container(
        "web", "--volume", f"{volume}:/data", "--publish", f"127.0.0.1:{port}:80", "--stop-timeout", "1"
    )
    database = stage.run_container("database", "--volume", f"{volume}:/data", "--stop-timeout", "1")
    stage.declare(policy([volume]))
    run = stage.scene.request_run("nightly", "port-taken")
    stage.scene.wait_for("the services to go down", lambda: not {web, database} & running(stage), seconds=90)
    agent = stage.agent("run", run)
    agent.pause()
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        agent.unpause()
        yield Taken(run, agent, web, database, volume), squatter


def running(stage: Stage) -> set[str]:
    """Return the names of the containers that run."""
    return set(stage.scene.engine.docker("ps", "--filter", "status=running", "--format", "{{.Names}}").split())


def test_it_is_named_and_tried_until_its_port_is_free(stage: Stage, taken: tuple[Taken, socket.socket]) -> None:
    found, squatter = taken
    scene, name = stage.scene, found.run["metadata"]["name"]
    scene.wait_for("the other one", lambda: found.database in running(stage), seconds=60)
    told = scene.wait_for("the phase Resuming", lambda: _resuming(stage, name), seconds=60)
    assert found.web in condition(told, "Ready")["message"]
    squatter.close()
    scene.wait_for("its return", lambda: found.web in running(stage), seconds=90)
    finished = scene.wait_finished("backuprun", name)
    assert finished["status"]["phase"] == "Succeeded", scene.told()  # the data is whole, and all is up


def test_when_agent_and_run_are_gone_the_host_goes_on_trying(stage: Stage, taken: tuple[Taken, socket.socket]) -> None:
    found, squatter = taken
    scene, name = stage.scene, found.run["metadata"]["name"]
    scene.wait_for("the other one", lambda: found.database in running(stage), seconds=60)
    found.agent.remove()
    told = scene.wait_for("the operator to say what is down", lambda: _resuming(stage, name), seconds=60)
    assert found.web in condition(told, "Ready")["message"]
    scene.kubectl("delete", "backuprun", name, "--timeout=10s")
    told = scene.wait_condition("composehost", "srv1", "ServicesResumed", status="False", reason="ServiceNotResumed")
    (owed,) = told["status"]["unresumed"]
    assert owed["container"] == found.web and "address already in use" in owed["error"]
    assert found.web in condition(told, "ServicesResumed")["message"]
    squatter.close()
    scene.wait_for("its return", lambda: found.web in running(stage), seconds=120)
    scene.wait_condition("composehost", "srv1", "ServicesResumed")
    stage.archive("nightly", "the-next")


def _resuming(stage: Stage, name: str) -> Document | None:
    run = stage.scene.get("backuprun", name)
    return run if run["status"].get("phase") == "Resuming" else None
