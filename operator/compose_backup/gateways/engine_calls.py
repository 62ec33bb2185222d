"""Blocking calls to engines in threads of our own, so that the event loop never waits and no host delays another.

Three pools: for quick calls, for slow ones (pull, create, start), and for hosts that lately did not answer. So a host
that hangs can neither take the threads of the others nor those that look while it starts.
Called by gateways/docker_host.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from compose_backup.errors import Unreachable
from compose_backup.gateways.daemon_threads import DaemonThreads

Result = TypeVar("Result")

CALLS_PER_HOST = 2
SUSPECT_THREADS = 8


class EngineThreads:
    """The threads of all engines."""

    def __init__(self, size: int) -> None:
        self.quick = DaemonThreads(size, "engine-quick")
        self.slow = DaemonThreads(size, "engine-slow")
        self.suspect = DaemonThreads(SUSPECT_THREADS, "engine-suspect")

    def close(self) -> None:
        """Give up what has not begun. A call under way ends by its time limit, or with the process."""
        for pool in (self.quick, self.slow, self.suspect):
            pool.close()


class EngineCalls:
    """The calls to one engine: at most two quick ones and two slow ones at a time, each with a time limit."""

    def __init__(self, threads: EngineThreads, no_answer: Unreachable, idle: IdleTimer) -> None:
        self._threads = threads
        self._no_answer = no_answer
        self._idle = idle
        self._suspect = False
        self._quick_slots = asyncio.Semaphore(CALLS_PER_HOST)
        self._slow_slots = asyncio.Semaphore(CALLS_PER_HOST)

    async def quick(self, call: Callable[[], Result], seconds: float) -> Result:
        """Run a call that an engine answers at once. Raises Unreachable after `seconds`."""
        pool = self._threads.suspect if self._suspect else self._threads.quick
        return await self._judged(call, seconds, self._quick_slots, pool)

    async def slow(self, call: Callable[[], Result], seconds: float) -> Result:
        """Run a call that may take minutes, as a pull does; quick ones go on beside it."""
        return await self._judged(call, seconds, self._slow_slots, self._threads.slow)

    async def _judged(
        self, call: Callable[[], Result], seconds: float, slots: asyncio.Semaphore, pool: DaemonThreads
    ) -> Result:
        """Run a call and remember whether the host answered."""
        try:
            async with asyncio.timeout(seconds):
                result = await self._run(call, slots, pool)
        except TimeoutError:
            self._suspect = True
            raise type(self._no_answer)(self._no_answer.reason, self._no_answer.message) from None
        except Unreachable:
            self._suspect = True
            raise
        self._suspect = False
        return result

    async def _run(self, call: Callable[[], Result], slots: asyncio.Semaphore, pool: DaemonThreads) -> Result:
        """Run a call in a thread. Its slot is free when the thread is, which may be long after the caller gave up."""
        await self._idle.closed()
        await slots.acquire()
        loop = asyncio.get_running_loop()

        def release() -> None:
            slots.release()
            self._idle.end()

        self._idle.begin()
        work = pool.submit(call)
        # Cancelling the waiting task takes back a call that no thread has begun; one under way goes on by itself.
        waiting = asyncio.wrap_future(work)
        work.add_done_callback(lambda _: None if loop.is_closed() else loop.call_soon_threadsafe(release))
        return await waiting


class IdleTimer:
    """Closes something when no call has used it for a while, and keeps new calls waiting until that is done."""

    def __init__(self, close: Callable[[], None], seconds: float, pool: DaemonThreads) -> None:
        self._close = close
        self._seconds = seconds
        self._pool = pool
        self._calls = 0
        self._timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.Future[None] | None = None

    def begin(self) -> None:
        """Count a call that begins."""
        self._calls += 1
        self._forget()

    def end(self) -> None:
        """Count a call that has ended; after the last one the time begins to run."""
        self._calls -= 1
        if self._calls == 0:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._begin_closing)

    def retire(self, close: Callable[[], None]) -> None:
        """Close for good as soon as no call is under way."""
        self._close, self._seconds = close, 0
        if self._timer:
            self._forget()
            self._begin_closing()

    def stop(self) -> None:
        """Close nothing any more."""
        self._forget()

    async def closed(self) -> None:
        """Wait while it is being closed; a caller that gives up does not end the closing."""
        if self._closing and not self._closing.done():
            await asyncio.wait([self._closing])

    def _forget(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = None

    def _begin_closing(self) -> None:
        self._timer = None
        self._closing = asyncio.wrap_future(self._pool.submit(self._close))
