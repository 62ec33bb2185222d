"""Steps: what they show while they run, and what is left of them when they fail.

Run by pytest.
"""

from __future__ import annotations

import threading

import pytest

from realparts import steps


def test_only_the_innermost_step_says_that_it_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "HEARTBEAT_SECONDS", 0.01)
    heard = threading.Event()
    say = steps.say

    def listen(message: str) -> None:
        say(message)
        if message.startswith("inner … "):
            heard.set()

    monkeypatch.setattr(steps, "say", listen)
    with steps.step("outer"), steps.step("inner"):
        assert heard.wait(10)
    lines = capsys.readouterr().err.splitlines()
    assert not [line for line in lines if line.startswith("[ground] outer … ")]
    assert [line.split(":")[0] for line in lines[-2:]] == ["[ground] inner", "[ground] outer"]


def test_a_failed_command_is_told_with_its_last_words() -> None:
    with pytest.raises(steps.StepFailed, match=r"(?s)try failed: sh ended with 3:\nno luck\n.*What to do: try again"):
        steps.run("try", ["sh", "-c", "echo no luck >&2; exit 3"], remedy="try again")


def test_a_missing_program_is_named() -> None:
    with pytest.raises(steps.StepFailed, match="no-such-program is not installed"):
        steps.run("try", ["no-such-program"], remedy="install it")
