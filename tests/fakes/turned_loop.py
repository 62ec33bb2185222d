"""An event loop whose time stands still until a test turns it: hours pass in no time, and nothing sleeps.

Used by the tests of reconcile/.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


class TurnedLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own, in seconds."""

    now = 1000.0

    def time(self) -> float:
        """Return the time of the loop."""
        return self.now

    async def turn(self, seconds: float) -> None:
        """Let time pass, and everything that has become due happen."""
        self.now += seconds
        for _ in range(10):
            await asyncio.sleep(0)


def turned_loop() -> TurnedLoop:
    """Return the loop that the caller runs on."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, TurnedLoop)
    return loop


def run_on_turned_loop(scenario: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run a scenario to its end."""
    loop = TurnedLoop()
    try:
        return loop.run_until_complete(scenario)
    finally:
        loop.run_until_complete(_cancel_the_rest())
        loop.close()


async def _cancel_the_rest() -> None:
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
