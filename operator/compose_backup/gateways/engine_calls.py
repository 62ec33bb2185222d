"""Blocking calls to engines in threads of our own, so that the event loop never waits and no host delays another.

Three pools: for quick calls, for slow ones (pull, create, start), and for hosts that lately did not answer. So a host that
hangs can neither take the threads of the others nor those that look while it starts. Called by gateways/docker_host.py.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from compose_backup.errors import Unreachable

Result = TypeVar("Result")

CALLS_PER_HOST = 2
SUSPECT_THREADS = 8


class EngineThreads:
    """The threads of all engines."""

    def __init__(self, size: int) -> None:
        self.quick = ThreadPoolExecutor(size, "engine-quick")
        self.slow = ThreadPoolExecutor(size, "engine-slow")
        self.suspect = ThreadPoolExecutor(SUSPECT_THREADS, "engine-suspect")

    def close(self) -> None:
        """Give up what has not begun. A call under way ends by the time limit of its socket."""
        for pool in (self.quick, self.slow, self.suspect):
            pool.shutdown(wait=False, cancel_futures=True)


class EngineCalls:
    """The calls to one engine: at most two quick ones and two slow ones at a time, each with a time limit."""

    def __init__(self, threads: EngineThreads, no_answer: Callable[[], Unreachable]) -> None:
        self._threads = threads
        self._no_answer = no_answer
        self._suspect = False
        self._quick_slots = asyncio.Semaphore(CALLS_PER_HOST)
        self._slow_slots = asyncio.Semaphore(CALLS_PER_HOST)

    async def quick(self, call: Callable[[], Result], seconds: float) -> Result:
        """Run a call that an engine answers at once."""
        pool = self._threads.suspect if self._suspect else self._threads.quick
        return await self._run(call, seconds, self._quick_slots, pool)

    async def slow(self, call: Callable[[], Result], seconds: float) -> Result:
        """Run a call that may take minutes, as a pull does; quick ones go on beside it."""
        return await self._run(call, seconds, self._slow_slots, self._threads.slow)

    async def _run(
        self, call: Callable[[], Result], seconds: float, slots: asyncio.Semaphore, pool: ThreadPoolExecutor
    ) -> Result:
        try:
            async with asyncio.timeout(seconds):
                await slots.acquire()
                result = await asyncio.wrap_future(_submitted(pool, call, slots))
        except TimeoutError:
            self._suspect = True
            raise self._no_answer() from None
        except Unreachable:
            self._suspect = True
            raise
        self._suspect = False
        return result


def _submitted(pool: ThreadPoolExecutor, call: Callable[[], Result], slots: asyncio.Semaphore) -> Future[Result]:
    """Hand the call to a thread. Its slot is free when the thread is, which may be long after the caller has given up."""
    loop = asyncio.get_running_loop()

    def release(_: Future[Result]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(slots.release)

    work = pool.submit(call)
    work.add_done_callback(release)
    return work
