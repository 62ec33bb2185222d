"""What the agent says, and how often."""

from __future__ import annotations

import io
import time

import pytest

from compose_backup.agent.events import Diagnostics, Emitter, heartbeat
from compose_backup.api.backup_run import Progress
from compose_backup.api.job import Event, Report


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Closed(io.BytesIO):
    def write(self, _: object) -> int:
        raise BrokenPipeError


def events(stream: io.BytesIO) -> list[Event]:
    return [Event.model_validate_json(line) for line in stream.getvalue().splitlines()]


def test_progress_is_written_at_most_every_two_seconds_and_the_newest_counts() -> None:
    stream, clock = io.BytesIO(), Clock()
    emitter = Emitter(stream, clock)
    emitter.accepted()
    for done in range(8):
        emitter.progress(Progress(bytes_done=done))
        clock.now += 0.5
    emitter.report(Report())
    found = events(stream)
    assert [event.sequence for event in found] == list(range(1, len(found) + 1))
    assert [event.type for event in found] == ["accepted", "progress", "progress", "report"]
    assert [event.progress.bytes_done for event in found if event.progress] == [0, 4, 7]


@pytest.mark.parametrize(("silence", "lines"), [(3.0, 1), (3.6, 2)], ids=["young", "silent"])
def test_beat(silence: float, lines: int) -> None:
    stream, clock = io.BytesIO(), Clock()
    emitter = Emitter(stream, clock)
    emitter.accepted()
    clock.now += silence
    emitter.beat()
    assert len(events(stream)) == lines


def test_touched_stays_in_every_later_line() -> None:
    stream = io.BytesIO()
    emitter = Emitter(stream)
    emitter.accepted()
    emitter.target_touched()
    emitter.report(Report())
    assert [event.target_touched for event in events(stream)] == [False, True, True]


def test_nothing_comes_after_the_report() -> None:
    stream, clock = io.BytesIO(), Clock()
    emitter = Emitter(stream, clock)
    emitter.report(Report())
    clock.now += 60
    emitter.beat()
    assert [event.type for event in events(stream)] == ["report"]


def test_a_broken_pipe_does_not_end_the_work() -> None:
    emitter = Emitter(Closed())
    emitter.accepted()
    emitter.report(Report())


def test_heartbeat_ends_with_its_block() -> None:
    stream = io.BytesIO()
    started = time.monotonic()
    with heartbeat(Emitter(stream)):
        pass
    assert time.monotonic() - started < 5


def test_diagnostics_hide_secrets() -> None:
    stream = io.StringIO()
    diagnostics = Diagnostics(stream)
    diagnostics.keep_secret("canary")
    diagnostics.say("password canary is wrong")
    assert stream.getvalue() == "password *** is wrong\n"
