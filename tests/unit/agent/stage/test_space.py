"""The guard of free space: it has a stage dropped in time, and never while services wait. Run by pytest."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose_backup.agent.stage.space import SpaceGuard, floor_bytes, free_bytes, total_bytes
from compose_backup.agent.stage.unusable import StageUnusable
from realparts.steps import wait_until


class Disk:
    """A disk that is as full as it is told to be."""

    def __init__(self) -> None:
        self.free = 1000
        self.error: OSError | None = None

    def look(self) -> int:
        if self.error:
            raise self.error
        return self.free


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def guard(disk: Disk) -> Iterator[SpaceGuard]:
    with SpaceGuard(disk.look, 300) as opened:
        yield opened


def test_it_looks_by_itself(disk: Disk, guard: SpaceGuard) -> None:
    guard.check()
    disk.free = 299
    wait_until("the guard has looked", lambda: guard.must_drop, seconds=20, remedy="look at its thread")
    with pytest.raises(StageUnusable, match="fell to 299 bytes; 300 must stay free"):
        guard.check()


def test_what_is_low_once_stays_so(disk: Disk, guard: SpaceGuard) -> None:
    """Else a stage would live on that has nearly filled the disk, until it does."""
    for disk.free in (299, 1000):
        guard.look()
    assert guard.must_drop
    assert guard.lowest_free_bytes == 299


def test_in_the_window_it_only_remembers(disk: Disk, guard: SpaceGuard) -> None:
    guard.window_opens()
    disk.free = 1
    guard.look()
    guard.check()
    assert not guard.must_drop
    guard.window_is_over()
    disk.free = 1000
    with pytest.raises(StageUnusable, match="fell to 1 bytes"):
        guard.check()


def test_the_floor_itself_is_free_enough(disk: Disk, guard: SpaceGuard) -> None:
    disk.free = 300
    guard.look()
    guard.check()


def test_a_disk_that_cannot_be_looked_at_has_the_stage_dropped(disk: Disk, guard: SpaceGuard) -> None:
    disk.error = OSError(5, "Input/output error")
    guard.look()
    with pytest.raises(StageUnusable, match="Input/output error"):
        guard.check()


def test_what_is_pinned(disk: Disk, guard: SpaceGuard) -> None:
    for disk.free, pinned in ((900, 100), (500, 500), (1200, 0)):
        guard.look()
        assert guard.pinned_bytes == pinned


@pytest.mark.parametrize(("needed", "fits"), [(700, True), (701, False)])
def test_a_copy_must_fit_above_the_floor(guard: SpaceGuard, needed: int, fits: bool) -> None:
    if fits:
        guard.require(needed)
    else:
        with pytest.raises(StageUnusable, match=r"needs 701 bytes.* is 1,000 bytes; 300 must stay free"):
            guard.require(needed)


def test_it_stops_looking_when_it_is_closed(disk: Disk) -> None:
    def watching() -> int:
        return [thread.name for thread in threading.enumerate()].count("space guard")

    before = watching()
    guard = SpaceGuard(disk.look, 0)
    assert watching() == before + 1
    guard.close()
    assert watching() == before


def test_the_floor() -> None:
    assert floor_bytes(5, 1000) == 105


def test_the_real_disk(tmp_path: Path) -> None:
    """As df shows it to everybody but root."""
    found = os.statvfs(tmp_path)
    assert 0 < free_bytes(tmp_path) <= total_bytes(tmp_path) == found.f_blocks * found.f_frsize
