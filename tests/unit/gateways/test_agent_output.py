"""Logs and inspect answers of agents, also damaged ones. Run by pytest."""

from __future__ import annotations

import datetime as dt
from typing import Any

from compose_backup.api.job import Event
from compose_backup.gateways.agent_output import agent_look, events, separated

AT = dt.datetime(2026, 10, 13, 2, 0, tzinfo=dt.UTC)


def line(sequence: int) -> str:
    """Return an event as the agent writes it."""
    return Event(sequence=sequence, time=AT, type="progress").model_dump_json(by_alias=True, exclude_none=True)


def frame(stream: int, content: str) -> bytes:
    """Return one frame of the multiplexed logs."""
    return bytes([stream, 0, 0, 0]) + len(content).to_bytes(4, "big") + content.encode()


def inspected(**state: Any) -> dict[str, Any]:
    """Return an inspect answer."""
    full = {"Status": "running", "ExitCode": 0, "OOMKilled": False, "StartedAt": "2026-10-13T02:00:00.123456789Z"}
    return {"Id": "abc", "Config": {"Image": "agent", "Labels": None}, "State": {**full, **state}}


class TestEvents:
    def test_come_in_order_and_once(self) -> None:
        found = events("\n".join([line(2), line(1), line(2)]))
        assert [event.sequence for event in found] == [1, 2]

    def test_cut_lines_and_other_words_are_left_out(self) -> None:
        cut, words = line(1)[10:], 'Warning: {"a": 1}'
        assert [event.sequence for event in events("\n".join([cut, words, line(2), line(3)[:-4]]))] == [2]

    def test_lines_that_lost_their_end_are_told_apart(self) -> None:
        # The local log driver of Engine 20.10 forgets the line end after a line of more than 16 KiB.
        assert [event.sequence for event in events(f"{line(1)}{line(2)}\n{line(3)}")] == [1, 2, 3]

    def test_line_of_no_event_is_left_out(self) -> None:
        assert events('{"sequence":"many"}\n{"sequence":1}\n') == ()


class TestFrames:
    def test_streams_are_kept_apart(self) -> None:
        logs = frame(1, "out ") + frame(2, "error") + frame(1, "put")
        assert separated(logs) == (b"out put", b"error")

    def test_cut_end_is_no_error(self) -> None:
        assert separated(frame(1, "out") + frame(2, "error")[:-2]) == (b"out", b"err")
        assert separated(frame(1, "out") + b"\x01\x00") == (b"out", b"")


class TestLook:
    def test_running_agent_has_no_exit_code(self) -> None:
        look = agent_look(inspected(), frame(1, line(1) + "\n") + frame(2, "words\n"))
        assert (look.alive, look.exit_code, look.error_output, len(look.events)) == (True, None, "words\n", 1)
        assert look.started_at == AT.replace(microsecond=123456)

    def test_agent_out_of_memory_is_told(self) -> None:
        look = agent_look(inspected(Status="exited", ExitCode=137, OOMKilled=True), b"")
        assert (look.alive, look.exit_code, look.out_of_memory) == (False, 137, True)

    def test_agent_that_never_ran_has_no_start(self) -> None:
        look = agent_look(inspected(Status="created", StartedAt="0001-01-01T00:00:00Z"), b"")
        assert (look.started_at, look.exit_code) == (None, None)

    def test_error_output_is_bounded(self) -> None:
        look = agent_look(inspected(), frame(2, "x" * 100_000 + "last"))
        assert len(look.error_output) == 8192 and look.error_output.endswith("last")
