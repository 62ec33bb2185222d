"""Everything expensive, prepared side by side: the control plane's programs take minutes, an engine and images as well.

Called by sandbox.py, the fixtures of tests/conftest.py, and __main__.py for `make test` and `make bench`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from realparts import binaries, cache, existing_cluster, images
from realparts.debian import unpack_from_suite
from realparts.engine import Engine, main_daemon, main_engine
from realparts.images import Images
from realparts.steps import say

REPOSITORY = Path(__file__).parents[2]
First = TypeVar("First")
Second = TypeVar("Second")


@dataclass(frozen=True)
class Ground:
    """An engine that has all images, and plain restic to open repositories without the project."""

    engine: Engine
    images: Images
    small_image: str
    restic: Path


def state_directory() -> Path:
    """Return where the sandbox and the engine of the tests keep their state: SANDBOX, or .sandbox in the checkout."""
    return Path(os.environ.get("SANDBOX") or REPOSITORY / ".sandbox").absolute()


@contextmanager
def prepared(state: Path) -> Iterator[Ground]:
    """Have in caches and engine what tests need, so that no test waits for it, and lend the engine.

    Tests run in several processes that share it: none of them may be the one that stops it.
    """
    with ExitStack() as stack:
        find = binaries.find_kubectl if existing_cluster.is_wanted() else binaries.find
        _, ground = side_by_side(find, lambda: stack.enter_context(lent(state)))
        yield ground


@contextmanager
def lent(state: Path) -> Iterator[Ground]:
    """Lend the ground: an engine of ours that was not running before does not run afterwards."""
    daemon = main_daemon(state / "engine")
    was_running = daemon.pid is not None
    try:
        yield engine_with_images(state)
    finally:
        if not was_running:
            daemon.stop()


def engine_with_images(state: Path) -> Ground:
    """Return the engine of this state directory with the project's images and those of test services."""
    engine = main_engine(state / "engine")
    built = images.build_images(engine, REPOSITORY)
    images.busybox_image(engine)
    return Ground(engine, built, images.small_image(engine), plain_restic())


def plain_restic() -> Path:
    """Return the restic that Debian ships, the same that the agent's image holds."""
    return unpack_from_suite("trixie", ["restic"], cache.root() / "debian") / "usr/bin/restic"


def side_by_side(first: Callable[[], First], second: Callable[[], Second]) -> tuple[First, Second]:
    """Do both at once. A failure is said at once and raised when the other has finished: it need not be done again."""
    with ThreadPoolExecutor(2) as threads:
        done, also_done = threads.submit(first), threads.submit(second)
        both: list[Future[Any]] = [done, also_done]
        for finished in as_completed(both):
            if error := finished.exception():
                say(f"{error}\n  (what is done beside it is still brought to its end)")
    return done.result(), also_done.result()
