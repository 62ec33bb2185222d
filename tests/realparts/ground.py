"""Everything expensive, prepared side by side: the control plane's programs take minutes, an engine and images as well.

Called by sandbox.py, and by __main__.py for `make test`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from realparts import binaries, cache, existing_cluster, images
from realparts.debian import unpack_from_suite
from realparts.engine import Engine, main_engine
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


def prepare(state: Path) -> Ground:
    """Return the ground for tests, and have the control plane's programs in the cache."""
    find = binaries.find_kubectl if existing_cluster.is_wanted() else binaries.find
    return side_by_side(find, lambda: engine_with_images(state))[1]


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
        for finished in as_completed([done, also_done]):
            if error := finished.exception():
                say(f"{error}\n  (what is done beside it is still brought to its end)")
    return done.result(), also_done.result()
