"""An engine that died and comes back: what it ends late, or takes for never started, is started again.

Run by pytest.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from compose_backup.api import reasons
from compose_backup.errors import AgentFailed
from fakes.agent_engine import Call, Killed
from unit.agent.quiesce_scene import Scene, plan

SECOND_START = 5
"""The act that starts what needs the database: the agent's own restart policy, three stops and one start come before.
"""


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A shop whose agent has died, with its engine, when the first service was seen running."""
    scene = Scene(tmp_path)
    scene.die_at(SECOND_START, done=False)
    with pytest.raises(Killed), scene.quiescence(plan()):
        pass
    assert scene.engine.acts("start") == ["start shop-db-1"]
    scene.engine.revive()
    return scene


def end(scene: Scene, name: str) -> None:
    """End a container, as the engine does that has found it after its return: it keeps its StartedAt."""
    scene.engine.containers[name] = replace(scene.engine.containers[name], state="exited")


def test_what_it_takes_for_never_started_is_started_again(scene: Scene) -> None:
    end(scene, "id-db")
    assert scene.recovered() is not None
    assert set(scene.engine.states().values()) == {"running"}


def test_what_it_ends_while_others_wait_for_it_is_started_again(scene: Scene) -> None:
    def join(call: Call) -> None:
        if call == Call("start", "id-app") and not scene.engine.acts("start")[1:]:
            end(scene, "id-db")
        if call == Call("start", "id-app") and scene.engine.containers["id-db"].state != "running":
            raise AgentFailed(
                reasons.SERVICE_NOT_RESUMED, "cannot join network of a non running container", retryable=True
            )

    scene.engine.before = join
    report = scene.recovered()
    assert report is not None and report.failure is not None and report.failure.reason == reasons.INTERRUPTED
    assert set(scene.engine.states().values()) == {"running"}


def test_what_it_ends_when_all_seems_to_be_up_is_started_again(scene: Scene) -> None:
    def late(call: Call) -> None:
        if call == Call("start", "id-web"):
            end(scene, "id-db")

    scene.engine.after = late
    scene.recovered()
    assert set(scene.engine.states().values()) == {"running"}
