"""What a stage holds is what the volume holds, to the last attribute. Run by pytest."""

from __future__ import annotations

import os
import stat
import subprocess

from realparts.file_systems import subvolume
from stage import nasty
from stage.room import Interfering, Room


def test_everything_is_there_after_either_pass(room: Room) -> None:
    nasty.make(room.volume)
    passes = room.passes()
    passes.run(is_final=False)
    assert room.differences() == []
    passes.run(is_final=True)
    assert room.differences() == []
    assert passes.entries == len(_names_in(room)) > 60


def test_holes_stay_holes(room: Room) -> None:
    nasty.make(room.volume)
    room.passes().run(is_final=True)
    for name, most in (("sparse", 1 << 20), ("hole at the front", 1 << 16)):
        assert (room.tree / name).stat().st_size > most > (room.tree / name).stat().st_blocks * 512


def test_nothing_is_done_again_that_is_true(room: Room) -> None:
    nasty.make(room.volume)
    means = Interfering(room.filling())
    passes = room.passes(means)
    passes.run(is_final=False)
    filled = means.filled
    passes.run(is_final=True)
    assert means.filled == filled > 15


def test_everything_is_there_when_all_of_it_was_changed_in_between(room: Room) -> None:
    """Made anew beneath directories that have default access lists and set-group-ID bits by now."""
    nasty.make(room.volume)
    passes = room.passes()
    passes.run(is_final=False)
    for directory, _, names in os.walk(room.volume):
        os.chown(directory, 7, 8)
        for name in names:
            os.chown(f"{directory}/{name}", 8, 9, follow_symlinks=False)
    passes.run(is_final=True)
    assert room.differences() == []


def test_times_of_access_are_kept(room: Room) -> None:
    (room.volume / "file").touch()
    os.utime(room.volume / "file", ns=(1_234_567_891_234_567_891, 5))
    room.passes().run(is_final=True)
    assert (room.tree / "file").stat().st_atime_ns == 1_234_567_891_234_567_891


def test_a_file_that_btrfs_writes_in_place_is_cloned(btrfs_room: Room) -> None:
    """Such files are what databases on btrfs are advised to have."""
    (btrfs_room.volume / "database").mkdir()
    subprocess.run(["chattr", "+C", btrfs_room.volume / "database"], check=True)
    (btrfs_room.volume / "database/file").write_bytes(os.urandom(100_000))
    btrfs_room.passes().run(is_final=True)
    assert btrfs_room.differences() == []


def test_a_subvolume_is_a_directory_like_any_other(btrfs_room: Room) -> None:
    subvolume(btrfs_room.volume / "inner")
    (btrfs_room.volume / "inner/file").write_bytes(os.urandom(100_000))
    btrfs_room.passes().run(is_final=True)
    assert btrfs_room.differences() == []


def test_a_clone_takes_no_space(xfs_room: Room) -> None:
    (xfs_room.volume / "file").write_bytes(os.urandom(32 << 20))
    os.sync()
    before = os.statvfs(xfs_room.volume)
    xfs_room.passes().run(is_final=True)
    after = os.statvfs(xfs_room.volume)
    assert (before.f_bavail - after.f_bavail) * before.f_frsize < 2 << 20


def _names_in(room: Room) -> list[str]:
    found: list[str] = []
    for _, directories, files, _ in os.fwalk(room.volume):
        found += [*directories, *files]
    return found


def test_the_nasty_tree_is_nasty(xfs_room: Room) -> None:
    """Else the tests above prove nothing."""
    nasty.make(xfs_room.volume)
    kinds = {stat.S_IFMT(os.lstat(xfs_room.volume / name).st_mode) for name in os.listdir(xfs_room.volume)}
    assert len(kinds) == 7
