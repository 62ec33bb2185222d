"""The whole of a stage, as a run uses it: nights, space, and the end. Run by pytest."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose_backup.agent.stage.looks import GRANULARITY_NS
from compose_backup.agent.stage.space import SpaceGuard, free_bytes, require_files
from compose_backup.agent.stage.staging import Stage
from compose_backup.agent.stage.unusable import StageUnusable
from realparts.steps import wait_until
from stage.comparing import differences
from stage.room import PLENTY, Room


class Disk:
    """Free space as the test says."""

    def __init__(self) -> None:
        self.free = PLENTY

    def look(self) -> int:
        return self.free


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def guard(disk: Disk) -> Iterator[SpaceGuard]:
    with SpaceGuard(disk.look, 1000) as opened:
        yield opened


def rest(directory: Path) -> None:
    """Wait until everything is as old as a look wants it."""

    def is_old() -> bool:
        return all(time.time_ns() - path.lstat().st_ctime_ns > GRANULARITY_NS for path in directory.rglob("*"))

    wait_until("files are old enough", is_old, seconds=20, remedy="look at the clock")


def night(stage: Stage, lines: list[str] | None) -> tuple[tuple[bytes, ...] | None, list[str]]:
    """Do what a run does; return what is to be read again, and the new table."""
    stage.first_pass()
    stage.second_pass()
    distrusted = stage.distrusted(lines)
    stage.write_table()
    table = stage.table.read_text().splitlines()
    stage.drop()
    return distrusted, table


def test_a_run(room: Room, guard: SpaceGuard) -> None:
    stage = room.stage(guard)
    (room.volume / "directory").mkdir()
    (room.volume / "directory/file").write_bytes(b"content")
    stage.first_pass()
    (room.volume / "directory/file").write_bytes(b"changed")
    guard.window_opens()
    stage.second_pass()
    guard.window_is_over()
    stage.write_table()
    assert differences(room.seen, room.root / "volumes/data") == []
    assert stage.tree == room.root / "volumes/data" and stage.table == room.root / "manifest/data.looks"
    assert stage.entries == 2
    assert (stage.longest_stall_seconds > 0) == (room.means == "Clone")
    stage.drop()
    assert os.listdir(room.root) == []
    stage.drop()


def test_only_what_restic_would_miss_is_read_again(room: Room, guard: SpaceGuard) -> None:
    """Changed or replaced, with size and time as before; clones have other inodes and times of change in any case."""
    for name in ("same", "changed", "replaced", "larger", "gone"):
        (room.volume / name).write_bytes(b"content")
        os.utime(room.volume / name, ns=(5, 5))
    rest(room.volume)
    first, table = night(room.stage(guard), None)
    assert first is None
    (room.volume / "changed").write_bytes(b"CONTENT")
    (room.volume / "new").write_bytes(b"another")
    (room.volume / "new").rename(room.volume / "replaced")
    for name in ("changed", "replaced"):
        os.utime(room.volume / name, ns=(5, 5))
    (room.volume / "larger").write_bytes(b"contents")
    (room.volume / "gone").rename(room.volume / "moved")
    second, table = night(room.stage(guard), table)
    assert second and set(second) == {b"changed", b"replaced"}
    # What was just changed is read again once more: it may have been changed in that moment again.
    rest(room.volume)
    third, table = night(room.stage(guard), table)
    assert third and b"same" not in third
    assert night(room.stage(guard), table)[0] == ()
    assert night(room.stage(guard), table[:-1])[0] is None


def test_low_space_ends_the_first_pass(room: Room, guard: SpaceGuard, disk: Disk) -> None:
    for number in range(10):
        (room.volume / str(number)).mkdir()
        (room.volume / f"{number}/file").write_bytes(b"content")

    def use_it_up() -> None:
        if stage.tree.exists() and len(os.listdir(stage.tree)) == 5:
            disk.free = 999
            guard.look()

    stage = room.stage(guard, use_it_up)
    with pytest.raises(StageUnusable, match="free space beside the volume fell to 999 bytes; 1,000 must stay free"):
        stage.first_pass()
    assert 0 < len(list(stage.tree.rglob("file"))) < 10
    stage.drop()
    assert os.listdir(room.root) == []


def test_low_space_does_not_end_the_second_pass(room: Room, guard: SpaceGuard, disk: Disk) -> None:
    """Services wait for it. Afterwards the stage is to be dropped."""
    (room.volume / "file").write_bytes(b"content")
    stage = room.stage(guard)
    stage.first_pass()
    guard.window_opens()
    disk.free = 0
    guard.look()
    (room.volume / "file").write_bytes(b"changed")
    stage.second_pass()
    assert (stage.tree / "file").read_bytes() == b"changed"
    assert not guard.must_drop
    guard.window_is_over()
    assert guard.must_drop


def test_a_copy_that_does_not_fit_is_not_begun(ext4_room: Room, guard: SpaceGuard, disk: Disk) -> None:
    (ext4_room.volume / "file").write_bytes(bytes(100_000))
    os.sync()
    disk.free = 100_000
    stage = ext4_room.stage(guard)
    with pytest.raises(StageUnusable, match="a copy needs"):
        stage.first_pass()
    assert not stage.tree.exists()


def test_files_that_do_not_fit_are_not_begun(coarse_room: Room, guard: SpaceGuard) -> None:
    """ext4 has a fixed number of inodes, and the application needs some, too."""
    for number in range(os.statvfs(coarse_room.volume).f_favail * 6 // 10):
        (coarse_room.volume / str(number)).touch()
    stage = coarse_room.stage(guard)
    with pytest.raises(StageUnusable, match=r"a stage needs .* files, and the file system beside the volume takes"):
        stage.first_pass()
    assert not stage.tree.exists()


def test_btrfs_takes_any_number_of_files(btrfs_room: Room) -> None:
    require_files(btrfs_room.root, 1 << 40)


def test_a_clone_that_pins_much_is_let_go(xfs_room: Room) -> None:
    """Real space: what is overwritten beside a clone is pinned by it, and free again when it is dropped."""
    file = xfs_room.volume / "file"
    file.write_bytes(os.urandom(64 << 20))
    os.sync()
    with SpaceGuard(lambda: free_bytes(xfs_room.root), 0) as guard:
        stage = xfs_room.stage(guard)
        stage.first_pass()
        with file.open("r+b") as opened:
            opened.write(os.urandom(64 << 20))
            os.fsync(opened.fileno())
        guard.look()
        assert guard.pinned_bytes > 60 << 20
        stage.drop()

        def is_free_again() -> bool:
            guard.look()
            return guard.pinned_bytes < 8 << 20

        wait_until("what was pinned is free", is_free_again, seconds=20, remedy="look at the stage")


def test_another_volumes_stage_is_left_alone(room: Room, guard: SpaceGuard) -> None:
    (room.root / "volumes/other").mkdir(parents=True)
    stage = room.stage(guard)
    stage.first_pass()
    stage.drop()
    assert (room.root / "volumes/other").is_dir() and not stage.tree.exists()
