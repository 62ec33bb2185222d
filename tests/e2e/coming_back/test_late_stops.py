"""An agent that dies while Docker stops a container for it: the stop ends seconds later, and nobody is left down.

Run by pytest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from e2e.agents import Agent
from e2e.scene import Document
from e2e.stage import Stage, policy, restorerequest

SECONDS = 5
SLOW = ("sh", "-c", f"trap 'sleep {SECONDS}; exit' TERM; while :; do sleep 0.2; done")
"""A service that takes its time to end, as a database does that writes back what it has in memory."""


@dataclass(frozen=True)
class Stopping:
    """A service that was just told to stop, and still runs."""

    stage: Stage
    service: str
    agent: Agent
    started_at: str

    def is_back(self) -> bool:
        """Whether it has gone down and runs again."""
        return self.seen("{{.State.Status}}") == "running" and self.seen("{{.State.StartedAt}}") != self.started_at

    def seen(self, what: str) -> str:
        return self.stage.scene.engine.docker("inspect", "--format", what, self.service)


def stopping(stage: Stage, volume: str, purpose: str, ask: Callable[[], Document]) -> Stopping:
    """Ask for a run or restore, and wait until its agent has told the service to stop."""
    service = stage.run_container("slow", "--volume", f"{volume}:/data", "--stop-timeout", "60", command=SLOW)
    started_at = stage.scene.engine.docker("inspect", "--format", "{{.State.StartedAt}}", service)
    agent = stage.agent(purpose, ask())
    stage.scene.wait_for("the stop", lambda: any(event.get("quiesce") for event in agent.events()), seconds=90)
    found = Stopping(stage, service, agent, started_at)
    assert found.seen("{{.State.Status}}") == "running"
    return found


@pytest.fixture
def run(stage: Stage) -> Stopping:
    """A run that has just begun to stop its service."""
    volume = stage.volume("data", megabytes=1)
    stage.declare(policy([volume]))
    return stopping(stage, volume, "run", lambda: stage.scene.request_run("nightly", "interrupted"))


def test_the_agent_that_is_started_again_waits_for_it(run: Stopping) -> None:
    scene = run.stage.scene
    scene.operator.kill()
    run.agent.kill_process()
    scene.wait_for("the service", run.is_back, seconds=60)
    scene.operator.start()
    run.stage.archive("nightly", "the-next")


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda agent: agent.engine.docker("kill", agent.name), id="docker-kill"),
        pytest.param(Agent.remove, id="docker-rm"),
    ],
)
def test_the_operator_waits_for_it_where_the_agent_cannot(run: Stopping, end: Callable[[Agent], None]) -> None:
    end(run.agent)
    run.stage.scene.wait_for("the service", run.is_back, seconds=90)
    run.stage.archive("nightly", "the-next")


def test_a_restore_that_has_not_written_leaves_nothing_down(stage: Stage) -> None:
    volume = stage.volume("data", megabytes=1)
    stage.declare(policy([volume]))
    stage.archive()
    wanted = restorerequest(existingData="Mirror")
    restore = stopping(stage, volume, "restore", lambda: stage.request_restore(wanted))
    restore.agent.remove()
    stage.scene.wait_for("the service", restore.is_back, seconds=90)
    assert stage.scene.wait_finished("restorerequest", "bring-it-back")["status"]["failure"]["reason"] == "AgentLost"
