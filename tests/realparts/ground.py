"""Everything expensive, prepared side by side: the control plane's programs take minutes, an engine and images as well.

Called by sandbox.py, and by __main__.py for `make test`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from realparts import binaries, existing_cluster, images
from realparts.engine import Engine, main_engine
from realparts.images import Images
from realparts.steps import say

REPOSITORY = Path(__file__).parents[2]
First = TypeVar("First")
Second = TypeVar("Second")


@dataclass(frozen=True)
class Ground:
    """An engine that has all images."""

    engine: Engine
    images: Images
    small_image: str


def prepare(state: Path) -> Ground:
    """Return the ground for tests, and have the control plane's programs in the cache."""
    find = binaries.find_kubectl if existing_cluster.is_wanted() else binaries.find
    return side_by_side(find, lambda: engine_with_images(state))[1]


def engine_with_images(state: Path) -> Ground:
    """Return the engine of this state directory with the project's images and the small one."""
    engine = main_engine(state / "engine")
    return Ground(engine, images.build_images(engine, REPOSITORY), images.small_image(engine))


def side_by_side(first: Callable[[], First], second: Callable[[], Second]) -> tuple[First, Second]:
    """Do both at once. A failure is said at once and raised when the other has finished: it need not be done again."""
    with ThreadPoolExecutor(2) as threads:
        done, also_done = threads.submit(first), threads.submit(second)
        for finished in as_completed([done, also_done]):
            if error := finished.exception():
                say(f"{error}\n  (what is done beside it is still brought to its end)")
    return done.result(), also_done.result()
