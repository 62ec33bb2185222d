"""A bounded pool of threads that do not keep the process alive.

A ThreadPoolExecutor is joined when the interpreter ends: one host that hangs would delay the operator's end by minutes.
Called by gateways/engine_calls.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")
_Work = tuple[Future[Any], Callable[[], Any]]


class DaemonThreads:
    """At most `size` threads, begun when all others are busy."""

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._threads = 0
        self._idle = 0
        self._lock = threading.Lock()

    def submit(self, call: Callable[[], Result]) -> Future[Result]:
        """Have a call made by the next free thread. Cancelling the future takes it back if no thread has begun it."""
        future: Future[Result] = Future()
        with self._lock:
            if self._idle > 0:
                self._idle -= 1
            elif self._threads < self._size:
                self._threads += 1
                name = f"{self._name}-{self._threads}"
                threading.Thread(target=self._run, name=name, daemon=True).start()
            self._queue.put((future, call))
        return future

    def close(self) -> None:
        """Let the threads end after what they are doing; what was not begun is never made."""
        while not self._queue.empty():
            if work := self._queue.get():
                work[0].cancel()
        for _ in range(self._threads):
            self._queue.put(None)

    def _run(self) -> None:
        while work := self._queue.get():
            _make(*work)
            del work  # a thread that waits must not keep a result alive
            with self._lock:
                if self._queue.empty():
                    self._idle += 1


def _make(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
