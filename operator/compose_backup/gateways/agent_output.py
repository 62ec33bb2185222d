"""What an agent container shows of itself: its logs and its inspect answer, turned into an AgentLook; pure.

Called by gateways/docker_host.py.
"""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from compose_backup.api.job import Event
from compose_backup.planning.engine_json import NEVER_STARTED
from compose_backup.planning.facts import AgentLook

FRAME_HEADER = struct.Struct(">BxxxL")
STDOUT, STDERR = 1, 2
MAX_ERROR_CHARACTERS = 8192
EVENT_BEGIN = '{"sequence"'
ENDED = ("exited", "dead")


def agent_look(inspected: Mapping[str, Any], logs: bytes) -> AgentLook:
    """Return the look that an inspect answer and the multiplexed logs give together."""
    state, config = inspected["State"], inspected["Config"]
    stdout, stderr = separated(logs)
    return AgentLook(
        container_id=inspected["Id"],
        image=config["Image"],
        state=state["Status"],
        exit_code=state["ExitCode"] if state["Status"] in ENDED else None,
        out_of_memory=bool(state.get("OOMKilled")),
        started_at=_started_at(state.get("StartedAt")),
        labels=dict(config.get("Labels") or {}),
        events=events(stdout.decode(errors="replace")),
        error_output=stderr.decode(errors="replace")[-MAX_ERROR_CHARACTERS:],
    )


def separated(logs: bytes) -> tuple[bytes, bytes]:
    """Return stdout and stderr. Each frame has a header of eight bytes: stream and length (API, ContainerAttach)."""
    streams = {STDOUT: bytearray(), STDERR: bytearray()}
    offset = 0
    while offset + FRAME_HEADER.size <= len(logs):
        stream, length = FRAME_HEADER.unpack_from(logs, offset)
        offset += FRAME_HEADER.size
        streams.setdefault(stream, bytearray()).extend(logs[offset : offset + length])
        offset += length
    return bytes(streams[STDOUT]), bytes(streams[STDERR])


def events(stdout: str) -> tuple[Event, ...]:
    """Return the events by sequence number, each once; what is cut off, or no event, is left out."""
    # The `local` log driver splits lines at 16 KiB and loses the line end of the last part (seen on Engine 20.10), so
    # the next event follows directly. Inside a JSON string quotes are escaped: this can only be where one begins.
    lines = stdout.replace(EVENT_BEGIN, "\n" + EVENT_BEGIN).split("\n")
    found = {event.sequence: event for line in lines if (event := _event(line))}
    return tuple(found[sequence] for sequence in sorted(found))


def _event(line: str) -> Event | None:
    if not line.startswith(EVENT_BEGIN):
        return None
    try:
        return Event.model_validate_json(line)
    except ValidationError:
        return None


def _started_at(value: str | None) -> dt.datetime | None:
    """Return the time of the last start; None for a container that never ran, which Docker writes as the year 1."""
    return None if value in (None, "", NEVER_STARTED) else dt.datetime.fromisoformat(value or "")
