"""The work queue on an event loop whose clock the test turns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from compose_backup.reconcile.queue import LONGEST_BACKOFF_SECONDS, Key, WorkQueue
from fakes.turned_loop import run_on_turned_loop, turned_loop

A, B = Key("BackupRun", "prod", "a"), Key("BackupRun", "prod", "b")


Turn = Callable[[float], Awaitable[None]]


def on_turned_loop(scenario: Callable[[WorkQueue, Turn], Coroutine[Any, Any, None]]) -> None:
    """Run a scenario with a queue whose timer runs, and a way to let time pass."""

    async def run() -> None:
        queue = WorkQueue()
        timer = asyncio.create_task(queue.run_timer())
        await turned_loop().turn(0)
        await scenario(queue, turned_loop().turn)
        timer.cancel()
        await turned_loop().turn(0)

    run_on_turned_loop(run())


def due(queue: WorkQueue) -> int:
    return queue._due.qsize()


def test_a_key_that_is_named_twice_is_due_once() -> None:
    async def scenario(queue: WorkQueue, turn: Turn) -> None:
        queue.add(A)
        queue.add(A)
        queue.add(B)
        assert [await queue.take(), await queue.take()] == [A, B] and due(queue) == 0

    on_turned_loop(scenario)


def test_a_key_at_work_gets_one_more_pass_afterwards_and_never_two_at_once() -> None:
    async def scenario(queue: WorkQueue, turn: Turn) -> None:
        queue.add(A)
        await queue.take()
        queue.add(A)
        queue.add(A)
        assert due(queue) == 0
        queue.done(A)
        assert due(queue) == 1
        queue.done(await queue.take())
        assert due(queue) == 0

    on_turned_loop(scenario)


@pytest.mark.parametrize("order", [(5.0, 60.0), (60.0, 5.0)])
def test_the_earliest_planned_look_counts(order: tuple[float, float]) -> None:
    async def scenario(queue: WorkQueue, turn: Turn) -> None:
        for seconds in order:
            queue.add_later(A, seconds)
        await turn(4.9)
        assert due(queue) == 0
        await turn(0.1)
        assert due(queue) == 1
        queue.done(await queue.take())
        await turn(100)
        assert due(queue) == 0

    on_turned_loop(scenario)


def test_a_look_that_was_overtaken_by_an_event_is_dropped() -> None:
    async def scenario(queue: WorkQueue, turn: Turn) -> None:
        queue.add_later(A, 5)
        queue.add(A)
        queue.done(await queue.take())
        queue.add_later(A, 60)
        await turn(5)
        assert due(queue) == 0
        await turn(55)
        assert due(queue) == 1

    on_turned_loop(scenario)


def test_failures_back_off_up_to_a_limit_and_success_forgets_them() -> None:
    async def scenario(queue: WorkQueue, turn: Turn) -> None:
        delays = []
        for _ in range(9):
            queue.add(A)
            delays.append(queue.failed(await queue.take()))
        assert delays[:4] == [1, 2, 4, 8] and delays[-1] == LONGEST_BACKOFF_SECONDS
        queue.done(await queue.take() if due(queue) else A)
        queue.add(A)
        assert queue.failed(await queue.take()) == 1

    on_turned_loop(scenario)


def test_the_heap_does_not_grow_with_every_pass() -> None:
    async def scenario(queue: WorkQueue, turn: Turn) -> None:
        for _ in range(300):
            queue.add(A)
            queue.done(await queue.take())
            queue.add_later(A, 3600)
            await turn(0.01)
        assert len(queue._later) < 100
        await turn(3600)
        assert due(queue) == 1

    on_turned_loop(scenario)


def test_idle_waits_for_the_pass_at_work() -> None:
    async def scenario(queue: WorkQueue, turn: Turn) -> None:
        await queue.idle(A)
        queue.add(A)
        await queue.take()
        waiting = asyncio.create_task(queue.idle(A))
        await turn(0)
        assert not waiting.done()
        queue.done(A)
        await waiting

    on_turned_loop(scenario)
