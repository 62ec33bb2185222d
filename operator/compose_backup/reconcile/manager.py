"""The operator at work: events into the store and the queue, workers, the timer, full lists, and the sweep.

Nothing is decided before the first full list is in: an object that is not there might only not have been seen.
Built and run by handlers.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from compose_backup.api.backup_run import TERMINAL_PHASES
from compose_backup.api.kinds import KINDS, Kind
from compose_backup.errors import ComposeBackupError
from compose_backup.reconcile import deletion, sweep
from compose_backup.reconcile.dependents import wake_dependents
from compose_backup.reconcile.ports import Body
from compose_backup.reconcile.queue import Key, key_of
from compose_backup.reconcile.worker import work
from compose_backup.reconcile.world import World

log = logging.getLogger(__name__)

# A pass over a host that does not answer holds its worker until the time limit: there must be enough for the others.
WORKERS = 128
RELIST_SECONDS = 600.0
SWEEP_SECONDS = 600.0
SWEEP_AGAIN_SECONDS = 5.0
RETRY_SECONDS = 5.0
STALE_AFTER_SECONDS = 3 * RELIST_SECONDS


class Manager:
    """Runs the passes over everything in the world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._tasks: list[asyncio.Task[None]] = []
        """Those that never end."""
        self._errands: set[asyncio.Task[None]] = set()
        """Those that end by themselves."""
        self._listed = asyncio.Event()
        self._listed_at = 0.0
        self._sweep_wanted = asyncio.Event()

    async def start(self) -> None:
        """Begin to work; the first full list comes before everything else."""
        self._spawn(self._list_for_ever())
        self._spawn(self.world.queue.run_timer())
        self._spawn(self._sweep_for_ever())
        for _ in range(WORKERS):
            self._spawn(self._work_when_listed())

    async def stop(self) -> None:
        """Stop working. Agents go on by themselves, and the next operator finds them."""
        tasks = [*self._tasks, *self._errands]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.world.hosts.close()

    def observe(self, kind: Kind, event: str | None, body: Body) -> None:
        """Take in a watch event: no waiting, no IO."""
        if event == "DELETED":
            self._deleted(key_of(kind, body), body)
        else:
            self._changed(kind, body)

    def complaint(self) -> str | None:
        """Return what is wrong with the operator's health, or None."""
        dead = [task.get_name() for task in self._tasks if task.done()]
        if dead:
            return f"tasks have ended: {', '.join(dead)}"
        age = asyncio.get_running_loop().time() - self._listed_at
        if self._listed.is_set() and age > STALE_AFTER_SECONDS:
            return f"the last full list is {age:.0f} s old"
        return None

    @property
    def ready(self) -> bool:
        """Whether the first full list is in."""
        return self._listed.is_set()

    def _changed(self, kind: Kind, body: Body) -> None:
        key = key_of(kind, body)
        known = self.world.store.body(key)
        if not self.world.store.put(kind, body):
            return
        if known and known["metadata"]["uid"] != body["metadata"]["uid"]:
            self._settle(key, known)  # made anew under its name, and its deletion was not seen
        self.world.queue.add(key)
        if self.ready:  # before that, every object gets its first pass anyway
            wake_dependents(self.world, key)

    def _deleted(self, key: Key, body: Body) -> None:
        known = self.world.store.body(key)
        if known and known["metadata"]["uid"] == body["metadata"]["uid"]:
            wake_dependents(self.world, key, gone=True)
            self.world.store.remove(key)
        else:  # another object has taken its name already
            self.world.store.bury(body["metadata"]["uid"])
        self._settle(key, body)

    def _settle(self, key: Key, body: Body) -> None:
        """See to what a deleted object has left on a host. Even one that has ended may be ending its agent just now."""
        self._run_errand(deletion.settle(self.world, key, body["metadata"]["uid"]))
        if (body.get("status") or {}).get("phase") not in TERMINAL_PHASES:
            self._sweep_wanted.set()

    async def _work_when_listed(self) -> None:
        await self._listed.wait()
        await work(self.world)

    async def _list_for_ever(self) -> None:
        while True:
            try:
                for kind in KINDS:
                    await self._list(kind)
            except ComposeBackupError as error:
                log.warning("the cluster could not be listed: %s; trying again", error.message)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self._listed_at = asyncio.get_running_loop().time()
            if not self._listed.is_set():
                log.info("%d objects are known; work begins", sum(len(self.world.store.keys(kind)) for kind in KINDS))
            self._listed.set()
            await asyncio.sleep(RELIST_SECONDS)

    async def _list(self, kind: Kind) -> None:
        """Take in a full list, and forget what is not in it any more.

        Only what was known before the list was made can be missing from it: what came since is younger than the list.
        """
        before = {key: self.world.store.body(key) for key in self.world.store.keys(kind)}
        bodies = await self.world.cluster.list(kind)
        for body in bodies:
            self._changed(kind, body)
            if (body.get("status") or {}).get("phase") not in TERMINAL_PHASES:
                self.world.queue.add(key_of(kind, body))
        for ghost in before.keys() - {key_of(kind, body) for body in bodies}:
            known, now = before[ghost], self.world.store.body(ghost)
            if known and now and now["metadata"]["uid"] == known["metadata"]["uid"]:
                self._deleted(ghost, now)

    async def _sweep_for_ever(self) -> None:
        await self._listed.wait()
        while True:
            self._sweep_wanted.clear()
            hosts = [host for host in self.world.store.hosts() if host.ready]
            pending = await asyncio.gather(*(sweep.sweep_host(self.world, host) for host in hosts))
            pause = SWEEP_AGAIN_SECONDS if any(pending) else SWEEP_SECONDS
            with suppress(TimeoutError):
                await asyncio.wait_for(self._sweep_wanted.wait(), pause)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(
            asyncio.get_running_loop().create_task(coroutine, name=getattr(coroutine, "__name__", "task"))
        )

    def _run_errand(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._errands.add(task)
        task.add_done_callback(self._errand_ended)

    def _errand_ended(self, task: asyncio.Task[None]) -> None:
        self._errands.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("an errand ended by a fault of the operator; the sweep makes up for it", exc_info=error)
