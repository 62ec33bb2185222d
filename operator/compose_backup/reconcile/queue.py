"""The work queue: one pass at a time per object, each object once however often it was named, later looks on a heap.

The heap is also the scheduler: a policy's next slot is its next look. Fed by manager.py, worked off by its workers.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from compose_backup.api.kinds import Kind

FIRST_BACKOFF_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 30.0


@dataclass(frozen=True, order=True)
class Key:
    """One object by kind and name: what is known of it is looked up when its turn comes."""

    kind: str
    namespace: str
    name: str


def key_of(kind: Kind, body: Mapping[str, Any]) -> Key:
    """Return the key of an object."""
    return Key(kind.name, body["metadata"]["namespace"], body["metadata"]["name"])


@dataclass
class WorkQueue:
    """Keys that are due, keys at work, and keys that are looked at later. Times are those of the event loop's clock."""

    _due: asyncio.Queue[Key] = field(default_factory=asyncio.Queue)
    _waiting: set[Key] = field(default_factory=set)
    _working: set[Key] = field(default_factory=set)
    _again: set[Key] = field(default_factory=set)
    _later: list[tuple[float, int, Key]] = field(default_factory=list)
    _planned: dict[Key, float] = field(default_factory=dict)
    _failures: dict[Key, int] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _ended: dict[Key, asyncio.Event] = field(default_factory=dict)
    _order: itertools.count[int] = field(default_factory=itertools.count)

    def add(self, key: Key) -> None:
        """Make a key due now. At work already, it gets another pass afterwards."""
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._due.put_nowait(key)

    def add_later(self, key: Key, seconds: float) -> None:
        """Make a key due after a time; only its earliest planned look counts."""
        at = asyncio.get_running_loop().time() + max(0.0, seconds)
        if at < self._planned.get(key, float("inf")):
            self._planned[key] = at
            self._drop_stale()
            heapq.heappush(self._later, (at, next(self._order), key))
            self._changed.set()

    async def idle(self, key: Key) -> None:
        """Wait until the pass over a key that is at work now has ended; at once where there is none."""
        if key in self._working:
            await self._ended.setdefault(key, asyncio.Event()).wait()

    async def take(self) -> Key:
        """Wait for a key that is due and take it to work; done() gives it back."""
        key = await self._due.get()
        self._waiting.discard(key)
        self._working.add(key)
        self._planned.pop(key, None)
        return key

    def done(self, key: Key) -> None:
        """End the pass over a key that went well."""
        self._failures.pop(key, None)
        self._release(key)

    def failed(self, key: Key) -> float:
        """End the pass over a key that failed, plan the next one with back-off, and return its seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(FIRST_BACKOFF_SECONDS * 2.0 ** min(failures, 10), LONGEST_BACKOFF_SECONDS)
        self._release(key)
        self.add_later(key, delay)
        return delay

    async def run_timer(self) -> None:
        """Make planned keys due when their time comes; runs until cancelled."""
        while True:
            self._changed.clear()
            pause = self._move_due()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), pause)

    def _release(self, key: Key) -> None:
        self._working.discard(key)
        if ended := self._ended.pop(key, None):
            ended.set()
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def _drop_stale(self) -> None:
        """Make the heap anew when most of it is stale: each pass over a key leaves an entry, due in an hour perhaps."""
        if len(self._later) > 2 * len(self._planned) + 64:
            self._later = [entry for entry in self._later if self._planned.get(entry[2]) == entry[0]]
            heapq.heapify(self._later)

    def _move_due(self) -> float | None:
        """Move what is due and return the seconds until the next planned look, None without one."""
        now = asyncio.get_running_loop().time()
        while self._later:
            at, _, key = self._later[0]
            if at > now:
                return at - now
            heapq.heappop(self._later)
            if (
                self._planned.get(key) == at
            ):  # otherwise the entry is stale: the key had its turn, or is planned earlier
                del self._planned[key]
                self.add(key)
        return None
