"""Two long steps side by side: both results, and a failure that does not throw the other's work away.

Run by pytest.
"""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from realparts import ground
from realparts.steps import StepFailed


def test_both_are_done_at_once() -> None:
    meeting = threading.Barrier(2, timeout=10)
    assert {*ground.side_by_side(meeting.wait, meeting.wait)} == {0, 1}


def test_a_failure_is_said_at_once_and_the_other_is_finished(capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    failed = threading.Event()

    def fail() -> None:
        failed.set()
        raise StepFailed("build", "no disk", "free some")

    def work() -> None:
        failed.wait(10)
        said.append("finished")

    with pytest.raises(StepFailed, match="build failed: no disk"):
        ground.side_by_side(fail, work)
    assert said == ["finished"]
    assert "still brought to its end" in capsys.readouterr().err


def test_the_state_directory_may_be_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SANDBOX", raising=False)
    assert ground.state_directory() == ground.REPOSITORY / ".sandbox"
    monkeypatch.setenv("SANDBOX", "/elsewhere")
    assert ground.state_directory() == Path("/elsewhere")
