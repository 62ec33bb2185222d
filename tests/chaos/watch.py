"""The engine's event stream, kept for a whole campaign: what happened on the host and in which order.

Called by place.py; moments.py and invariants.py read it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from chaos.docker_api import DockerApi, Document

NANO = 1_000_000_000
LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Seen:
    """One event of a container or a volume."""

    nanos: int
    kind: str
    action: str
    name: str
    id: str


class Watch:
    """A thread that reads events, also after the engine was away."""

    def __init__(self, api: DockerApi) -> None:
        self._api = api
        self._seen: list[Seen] = []
        self._known: set[Seen] = set()
        self._news = threading.Condition()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Read no more. The thread ends with its engine."""
        self._ended.set()

    def mark(self) -> int:
        """Return the place in the stream that is now."""
        with self._news:
            return len(self._seen)

    def since(self, mark: int) -> list[Seen]:
        """Return the events since a place in the stream."""
        with self._news:
            return self._seen[mark:]

    def wait_for_news(self, mark: int, seconds: float) -> None:
        """Return when something has happened since the place in the stream, or when the time is over."""
        with self._news:
            self._news.wait_for(lambda: len(self._seen) > mark, timeout=seconds)

    def _read(self) -> None:
        last = int((self._api.get("/info") or {}).get("SystemTimeNanos", 0))
        while not self._ended.is_set():
            for document in self._api.events(f"{last // NANO}.{last % NANO:09d}"):
                nanos = int(document.get("timeNano", 0))
                last = max(last, nanos)
                self._take(document, nanos)
            self._ended.wait(LOOK_SECONDS)

    def _take(self, document: Document, nanos: int) -> None:
        """Keep an event once: they come not quite in the order of their times, and some come again after a break."""
        action = str(document.get("Action", ""))
        if action.startswith(("exec_", "health_status")):
            return
        actor = document.get("Actor", {})
        kind, id_ = str(document.get("Type", "")), str(actor.get("ID", ""))
        name = id_ if kind == "volume" else str(actor.get("Attributes", {}).get("name", ""))
        seen = Seen(nanos, kind, action, name, id_)
        with self._news:
            if seen not in self._known:
                self._known.add(seen)
                self._seen.append(seen)
                self._news.notify_all()


def count(events: Iterable[Seen], action: str, names: Iterable[str]) -> int:
    """Return how many of these names have had this happen to them."""
    wanted = set(names)
    return len({event.name for event in events if event.action == action and event.name in wanted})
