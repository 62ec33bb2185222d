"""Threads, slots and time limits of calls that block. Run by pytest."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from compose_backup.errors import Unreachable
from compose_backup.gateways.engine_calls import EngineCalls, EngineThreads, IdleTimer

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def threads() -> AsyncIterator[EngineThreads]:
    """Two threads of each kind."""
    threads = EngineThreads(2)
    yield threads
    threads.close()


def calls_to_one(threads: EngineThreads) -> EngineCalls:
    """Return the calls to one engine."""
    idle = IdleTimer(lambda: None, 3600, threads.slow)
    return EngineCalls(threads, Unreachable("Unreachable", "host srv1 does not answer"), idle)


@pytest.fixture
def calls(threads: EngineThreads) -> EngineCalls:
    """The calls to one engine."""
    return calls_to_one(threads)


async def test_result_and_error_of_a_call_come_back(calls: EngineCalls) -> None:
    assert await calls.quick(lambda: 7, 10) == 7
    with pytest.raises(ZeroDivisionError):
        await calls.slow(lambda: 1 // 0, 10)


async def test_caller_is_freed_while_the_thread_still_hangs(calls: EngineCalls) -> None:
    release = threading.Event()
    with pytest.raises(Unreachable, match="srv1"):
        await calls.quick(release.wait, 0.05)
    release.set()
    assert await calls.quick(lambda: 7, 10) == 7


async def test_hosts_that_do_not_answer_lose_their_claim_to_threads(threads: EngineThreads, calls: EngineCalls) -> None:
    release, begun = threading.Event(), threading.Semaphore(0)

    def hang() -> bool:
        begun.release()
        return release.wait(20)

    dead = [calls_to_one(threads) for _ in range(2)]
    for one in dead:
        with pytest.raises(Unreachable):
            await one.quick(lambda: threading.Event().wait(0.1), 0.02)
    tries = [asyncio.create_task(one.quick(hang, 20)) for one in dead]
    for _ in dead:
        assert await asyncio.to_thread(begun.acquire, timeout=10)
    # Both threads for hosts that answer are free, though two hosts are being tried.
    assert await calls.quick(lambda: 7, 10) == 7
    assert not any(task.done() for task in tries)
    release.set()
    assert await asyncio.gather(*tries) == [True, True]


async def test_third_call_waits_for_a_free_slot(calls: EngineCalls) -> None:
    release, begun = threading.Event(), threading.Semaphore(0)

    def hang() -> bool:
        begun.release()
        return release.wait(10)

    waiting = [asyncio.create_task(calls.quick(hang, 10)) for _ in range(3)]
    for _ in range(2):
        assert await asyncio.to_thread(begun.acquire, timeout=10)
    assert not begun.acquire(blocking=False)
    release.set()
    assert await asyncio.gather(*waiting) == [True, True, True]


async def test_cancelled_call_that_was_not_begun_is_never_made(threads: EngineThreads, calls: EngineCalls) -> None:
    release, made = threading.Event(), threading.Event()
    blockers = [threads.quick.submit(lambda: release.wait(10)) for _ in range(2)]
    task = asyncio.create_task(calls.quick(made.set, 10))
    while not task.cancelling():
        await asyncio.sleep(0)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()
    assert all(blocker.result(10) for blocker in blockers)
    assert await calls.quick(lambda: 7, 10) == 7
    assert not made.is_set()


async def test_something_idle_is_closed_once_and_new_calls_wait_for_that(threads: EngineThreads) -> None:
    closing, release, order = threading.Event(), threading.Event(), []

    def close() -> None:
        closing.set()
        release.wait(10)
        order.append("closed")

    calls = EngineCalls(threads, Unreachable("Unreachable", "srv1"), IdleTimer(close, 0, threads.slow))
    await calls.quick(lambda: order.append("first"), 10)
    assert await asyncio.to_thread(closing.wait, 10)
    second = asyncio.create_task(calls.quick(lambda: order.append("second"), 10))
    await asyncio.sleep(0)
    release.set()
    await second
    assert order[:3] == ["first", "closed", "second"]
