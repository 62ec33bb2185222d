"""When there is no stage: each reason is said, names the path where there is one, and leaves the volume alone.

Run by pytest.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from compose_backup.agent.stage.contents import measured, why_no_clones
from compose_backup.agent.stage.filling import Means, filling
from compose_backup.agent.stage.passes import MAX_DEPTH
from compose_backup.agent.stage.unusable import StageUnusable
from realparts.file_systems import FileSystems, bound
from stage.room import Room, nothing, opened_room

NOT_SUPPORTED = errno.errorcode[errno.EOPNOTSUPP]


class Cancelled(Exception):
    """The job is to end."""


def fill(volume: Path) -> None:
    """Put a file with content behind an empty one and a link."""
    (volume / "empty").touch()
    (volume / "link").symlink_to("/etc/passwd")
    (volume / "directory").mkdir()
    (volume / "directory/file").write_bytes(b"content")


@pytest.mark.parametrize(("kind", "number"), [("xfs", None), ("btrfs", None), ("ext4", errno.EOPNOTSUPP)])
def test_whether_clones_work_is_tried(file_systems: FileSystems, tmp_path: Path, kind: str, number: int | None) -> None:
    """From one mount to another, as the agent has them."""
    with opened_room(file_systems.mounted(kind), Means.CLONE, tmp_path) as room:
        fill(room.volume)
        refusal = why_no_clones(room.seen, room.root, nothing)
        assert (refusal and refusal.number) == number
        assert refusal is None or refusal.reason == f"the volume's file system cannot clone files ({NOT_SUPPORTED})"
        assert os.listdir(room.root) == []


def test_clones_do_not_leave_their_file_system(xfs_room: Room, file_systems: FileSystems) -> None:
    fill(xfs_room.volume)
    refusal = why_no_clones(xfs_room.seen, file_systems.mounted("btrfs"), nothing)
    assert refusal and refusal.number == errno.EXDEV
    assert refusal.reason.startswith("stage and volume lie on different file systems")


@pytest.mark.parametrize(("kind", "number"), [("xfs", None), ("ext4", errno.EOPNOTSUPP)])
def test_a_volume_without_content_tells_as_well(
    file_systems: FileSystems, tmp_path: Path, kind: str, number: int | None
) -> None:
    """A service may write its first byte when it is stopped: that is too late to find that clones do not work."""
    with opened_room(file_systems.mounted(kind), Means.CLONE, tmp_path) as room:
        (room.volume / "empty").touch()
        refusal = why_no_clones(room.seen, room.root, nothing)
        assert (refusal and refusal.number) == number and os.listdir(room.root) == []


def test_a_file_that_cannot_be_cloned_is_named(ext4_room: Room) -> None:
    (ext4_room.volume / "directory").mkdir()
    (ext4_room.volume / "directory" / "file").write_text("content")
    with pytest.raises(StageUnusable) as refused:
        ext4_room.passes(filling(Means.CLONE, nothing)).run(is_final=False)
    assert refused.value.reason == f"directory/file could not be staged: Operation not supported ({NOT_SUPPORTED})"


def test_a_full_disk_is_a_reason(coarse_room: Room) -> None:
    """The name is shown as it can be printed."""
    (coarse_room.volume / os.fsdecode(b"large \xff")).write_bytes(bytes(40 << 20))
    with pytest.raises(StageUnusable) as refused:
        coarse_room.passes().run(is_final=False)
    assert refused.value.reason == "large \\xff could not be staged: No space left on device (ENOSPC)"


def test_a_stage_that_is_not_empty_is_not_taken(room: Room) -> None:
    room.tree.mkdir()
    with pytest.raises(StageUnusable, match="EEXIST"):
        room.passes().run(is_final=False)


def test_too_many_entries_are_refused(room: Room) -> None:
    fill(room.volume)
    assert measured(room.seen, 4, nothing).entries == 4
    with pytest.raises(StageUnusable, match="more than 3 entries"):
        measured(room.seen, 3, nothing)


def test_too_deep_directories_are_refused(room: Room) -> None:
    place = room.volume
    for _ in range(MAX_DEPTH):
        place /= "d"
    place.mkdir(parents=True)
    passes = room.passes()
    passes.run(is_final=False)
    assert measured(room.seen, 1000, nothing).entries == MAX_DEPTH
    (place / "d").mkdir()
    with pytest.raises(StageUnusable, match=f"more than {MAX_DEPTH} deep"):
        passes.run(is_final=True)
    with pytest.raises(StageUnusable, match=f"more than {MAX_DEPTH} deep"):
        measured(room.seen, 1000, nothing)


@pytest.mark.parametrize("what", ["directory", "directory/file"])
def test_another_file_system_within_the_volume_is_refused(room: Room, file_systems: FileSystems, what: str) -> None:
    """Nothing there would be flushed with the volume."""
    fill(room.volume)
    other = file_systems.mounted("ext4-coarse")
    (other / "file").touch()
    source = other if (room.volume / what).is_dir() else other / "file"
    with bound(source, room.seen / what), pytest.raises(StageUnusable, match=f"^{what} is the mount of another"):
        room.passes().run(is_final=False)


@pytest.mark.parametrize("calls", [1, 2, 3])
@pytest.mark.parametrize("is_final", [False, True])
def test_what_the_check_raises_comes_out_as_it_is(room: Room, calls: int, is_final: bool) -> None:
    """Called for each directory, and again and again for many entries."""
    fill(room.volume)
    for number in range(300):
        (room.volume / f"directory/{number}").touch()
    left = [calls]

    def check() -> None:
        left[0] -= 1
        if not left[0]:
            raise Cancelled

    with pytest.raises(Cancelled):
        room.passes(check=check).run(is_final=is_final)


def test_a_long_copy_is_checked_in_its_midst(ext4_room: Room) -> None:
    (ext4_room.volume / "large").write_bytes(bytes(20 << 20))

    def cancel() -> None:
        if (ext4_room.tree / "large").exists() and (ext4_room.tree / "large").stat().st_size:
            raise Cancelled

    with pytest.raises(Cancelled):
        ext4_room.passes(filling(Means.COPY, cancel)).run(is_final=False)


def test_what_a_copy_needs(room: Room) -> None:
    """A file with two names takes its space once, and a hole takes none."""
    (room.volume / "file").write_bytes(os.urandom(1 << 20))
    os.link(room.volume / "file", room.volume / "again")
    with (room.volume / "hole").open("wb") as file:
        file.truncate(1 << 30)
    os.sync()
    assert 1 << 20 <= measured(room.seen, 10, nothing).bytes < 1.2 * (1 << 20)


def test_a_volume_that_cannot_be_read_has_no_stage(xfs_room: Room) -> None:
    with pytest.raises(StageUnusable, match="ENOENT"):
        why_no_clones(xfs_room.seen / "gone", xfs_room.root, nothing)
