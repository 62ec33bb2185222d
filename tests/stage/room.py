"""A volume, as services and as the agent see it, and a directory for its stage. Used by the tests of this folder."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from compose_backup.agent.stage.filling import Check, Filling, Means, filling
from compose_backup.agent.stage.looks import GRANULARITY_NS
from compose_backup.agent.stage.passes import Passes
from compose_backup.agent.stage.space import SpaceGuard
from compose_backup.agent.stage.staging import Stage
from realparts.file_systems import bound
from stage.comparing import differences

PLENTY = 1 << 40


def nothing() -> None:
    """Let the pass go on."""


def ahead() -> int:
    """Return a clock that is so far ahead that every entry seems to be at rest, so that no other rule is hidden."""
    return time.time_ns() + 5 * GRANULARITY_NS


@dataclass(frozen=True)
class Room:
    """`volume` is where services write, `seen` the agent's read-only mount of it, `root` the stage's own mount."""

    volume: Path
    seen: Path
    root: Path
    means: Means

    @property
    def tree(self) -> Path:
        """Where `passes` stages."""
        return self.root / "tree"

    def filling(self) -> Filling:
        """Return the means."""
        return filling(self.means, nothing)

    def passes(
        self, filling: Filling | None = None, check: Check = nothing, clock: Callable[[], int] = ahead
    ) -> Passes:
        """Return passes over the volume."""
        return Passes(self.seen, self.tree, filling or self.filling(), check, clock)

    def stage(self, guard: SpaceGuard, check: Check = nothing) -> Stage:
        """Return the whole."""
        return Stage(self.seen, self.root, "data", self.means, guard, check)

    def differences(self) -> list[str]:
        """Return one line for each entry that is not in the stage as in the volume."""
        return differences(self.seen, self.tree)


@contextmanager
def opened_room(file_system: Path, means: Means, mounts: Path) -> Iterator[Room]:
    """Yield a room of its own on a file system, and leave that as free as it was."""
    with tempfile.TemporaryDirectory(dir=file_system) as place, _opened(Path(place), means, mounts) as opened:
        yield opened


@contextmanager
def _opened(place: Path, means: Means, mounts: Path) -> Iterator[Room]:
    volume, root = place / "volume", place / "stage"
    volume.mkdir()
    root.mkdir()
    with bound(volume, mounts / "volume", read_only=True) as seen, bound(root, mounts / "stage") as writable:
        yield Room(volume, seen, writable, means)


class Interfering:
    """Means that let something happen in the midst of them."""

    def __init__(self, means: Filling, after_settling: Check = nothing, after_filling: Check = nothing) -> None:
        self._means, self._after_settling, self._after_filling = means, after_settling, after_filling
        self.filled = self.settled = 0
        self.mends = means.mends

    @property
    def longest_stall_seconds(self) -> float:
        """That of the means."""
        return self._means.longest_stall_seconds

    def settle(self, source: int) -> None:
        """Settle, and then interfere."""
        self._means.settle(source)
        self.settled += 1
        self._after_settling()

    def fill(self, source: int, target: int) -> None:
        """Fill, and then interfere."""
        self._means.fill(source, target)
        self.filled += 1
        self._after_filling()


def once(act: Callable[[], object]) -> Check:
    """Return what acts when it is called for the first time, and does nothing later."""
    left = [act]

    def called() -> None:
        if left:
            left.pop()()

    return called
