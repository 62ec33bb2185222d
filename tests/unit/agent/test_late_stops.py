"""An agent that dies while the engine stops a container for it: the stop comes to its end, and is undone by the next.

Run by pytest.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from compose_backup.api import reasons
from fakes.agent_engine import Killed
from unit.agent.quiesce_scene import Scene, plan, planned

FIRST_STOP = 1
"""The act that stops the first service: the agent's own restart policy comes before."""
SECOND_UNPAUSE = 5
LOOKS = 4
"""So often the next agent sees the container running before its stop is done."""


@pytest.mark.parametrize("purpose", ["run", "restore"])
def test_a_stop_that_ends_after_the_agents_death_is_undone(tmp_path: Path, purpose: str) -> None:
    scene = Scene(tmp_path)
    scene.die_at(FIRST_STOP, done=False)
    with pytest.raises(Killed), scene.quiescence(plan(purpose=purpose)):
        pass
    assert scene.engine.acts("stop") == []
    scene.engine.revive()
    scene.engine.stopping["id-web"] = LOOKS
    report = scene.recovered()
    assert report is not None and report.failure is not None and report.failure.reason == reasons.INTERRUPTED
    assert set(scene.engine.states().values()) == {"running"} and not scene.engine.stopping
    assert scene.engine.acts("stop") == [], "a second signal may be taken for a wish to end without saving"
    assert scene.steps[-1] == "closed"


def test_a_stop_that_never_reached_the_engine_is_waited_for_no_longer_than_it_may_take(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.die_at(FIRST_STOP, done=False)
    slow = plan(planned("web", stop_seconds=600), planned("app"), planned("db"), stop_timeout_seconds=0)
    with pytest.raises(Killed), scene.quiescence(slow):
        pass
    began = time.monotonic()
    assert scene.reborn() is not None
    assert scene.patience.after_grace <= time.monotonic() - began < 10
    assert set(scene.engine.states().values()) == {"running"} and scene.engine.acts("stop", "start") == []


def test_what_has_gone_down_and_come_up_again_is_not_waited_for(tmp_path: Path) -> None:
    """A container that was paused has its old StartedAt for ever: the journal alone tells that it is over."""
    scene = Scene(tmp_path)
    paused = plan(*(planned(name, method="Pause") for name in ("web", "app", "db")), method="Pause")
    scene.die_at(SECOND_UNPAUSE, done=False)
    with pytest.raises(Killed), scene.quiescence(paused):
        pass
    assert scene.engine.acts("unpause") == ["unpause shop-db-1"]
    scene.patience = replace(scene.patience, after_grace=60)
    began = time.monotonic()
    assert scene.reborn() is not None
    assert set(scene.engine.states().values()) == {"running"} and time.monotonic() - began < 10
