"""Asking an engine that may just be restarting, in a window that must not be left open.

Called by the other modules of this folder, and by restore.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from compose_backup.agent.context import Patience
from compose_backup.agent.looking import EngineUnreachable

Answer = TypeVar("Answer")
Item = TypeVar("Item")


class EngineGone(Exception):
    """The engine does not answer at our socket any more: the agent ends, and Docker starts it with a fresh mount.

    An engine that is restarted under its containers makes its socket anew; what we have mounted is the old one, at
    which every call is refused for ever (measured with live-restore). The journal stays open.
    """


def reaching(call: Callable[[], Answer], patience: Patience) -> Answer:
    """Return what the engine answers. Raise EngineGone when nobody has answered for a while."""
    try:
        return patiently(call, patience)
    except EngineUnreachable as error:
        raise EngineGone(error.message) from error


def patiently(call: Callable[[], Answer], patience: Patience) -> Answer:
    """Return what the engine answers. Raise EngineUnreachable when nobody has answered for a while."""
    limit = time.monotonic() + patience.refused
    while True:
        try:
            return call()
        except EngineUnreachable:
            if time.monotonic() >= limit:
                raise
            time.sleep(patience.poll)


def side_by_side(act: Callable[[Item], None], items: Iterable[Item]) -> None:
    """Do the same to all at once; an error of one is raised when all others are done."""
    everything = list(items)
    if not everything:
        return
    with ThreadPoolExecutor(max_workers=min(16, len(everything))) as pool:
        done = [pool.submit(act, item) for item in everything]
    for one in done:
        one.result()
