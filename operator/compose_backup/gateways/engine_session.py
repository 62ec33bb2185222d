"""What asking an engine looks like to those who need no SDK: answers, time limits, and the protocol of a session.

Implemented by gateways/docker_host.py; used by gateways/agent_start.py, engine_containers.py and engine_volumes.py.
"""

from __future__ import annotations

import json
import socket
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Limits:
    """How long we wait for an engine, in seconds."""

    answer: float = 10.0
    """Longest silence of an engine that is asked for what it knows."""
    work: float = 60.0
    """Longest silence of one that mounts, creates, starts, removes, or passes on what it pulls."""
    pull: float = 600.0
    """Longest pull as a whole."""

    @property
    def quick(self) -> float:
        """How long a caller waits who asks: a tunnel is opened, then two requests are answered."""
        return 3 * self.answer

    @property
    def slow(self) -> float:
        """How long a caller waits for work without a pull: create, start, and remove what did not start."""
        return 3 * self.work + self.quick


@dataclass(frozen=True)
class Answer:
    """Status and body of one answer."""

    status: int
    content: bytes

    def json(self) -> Any:
        """Return the document in the body."""
        return json.loads(self.content)

    @property
    def message(self) -> str:
        """What the engine says about an error; the plain body where something else answered."""
        try:
            return str(self.json()["message"])
        except (ValueError, KeyError, TypeError):
            return self.content.decode(errors="replace")


class Session(Protocol):
    """Blocking requests to one engine. All methods raise Unreachable or Stalled."""

    @property
    def host(self) -> str:
        """The name of the ComposeHost, for messages."""

    @property
    def limits(self) -> Limits:
        """How long to wait for this engine."""

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        accept: tuple[int, ...] = (),
        works: bool = False,
    ) -> Answer:
        """Ask for a path below the API version. A status of 400 or more is raised, unless it is in `accept`.

        `works` says that the engine has more to do than to tell what it knows.
        """

    def lines(self, method: str, path: str, *, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Ask, and yield one JSON document a line as they come."""

    def stdin_of(self, container_id: str) -> AbstractContextManager[socket.socket]:
        """Attach to a container's stdin; closed on leaving."""


def quoted(part: str) -> str:
    """Return a name as one part of a path."""
    return urllib.parse.quote(part, safe="")
