"""Changes that times tell badly or not at all: each is in the stage after the second pass. Run by pytest.

The clock of most tests runs ahead: everything seems to have been at rest for long, so that a file is not staged again
merely because it is young, and only the rule that is tested can help.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from realparts.steps import wait_until
from stage.room import Interfering, Room, ahead, once

OLD, NEW = b"old content!", b"new content!"
GET_EXTENTS = 0xC020660B  # FS_IOC_FIEMAP (linux/fiemap.h)
NOT_ON_DISK_YET = 0x4  # FIEMAP_EXTENT_DELALLOC


@contextmanager
def mapped(path: Path) -> Iterator[mmap.mmap]:
    """Yield the memory of a file, as a database has it."""
    path.write_bytes(bytes(1 << 16))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        yield memory


def put(memory: mmap.mmap, content: bytes) -> None:
    """Write to the beginning."""
    memory[: len(content)] = content


def held(room: Room, name: str = "file") -> bytes:
    """Return the beginning of what is staged."""
    return (room.tree / name).read_bytes()[: len(NEW)]


def test_a_write_to_a_mapped_page_that_was_dirty_already(room: Room) -> None:
    """The page becomes dirty after the file system was flushed, so only the file's own turn can help."""
    with mapped(room.volume / "file") as memory:
        passes = room.passes(check=once(lambda: put(memory, OLD)))
        passes.run(is_final=False)
        assert held(room) == OLD
        put(memory, NEW)
        passes.run(is_final=True)
    assert held(room) == NEW


def test_a_mapped_page_that_becomes_dirty_while_its_file_is_flushed(ext4_room: Room) -> None:
    """A flush may take long: the file is young as seen from before it, and old as seen from after it."""
    late = [0]
    with mapped(ext4_room.volume / "file") as memory:

        def write_and_wait() -> None:
            put(memory, OLD)
            late[0] = ahead() - time.time_ns()

        means = Interfering(ext4_room.filling(), after_settling=once(write_and_wait))
        passes = ext4_room.passes(means, clock=lambda: time.time_ns() + late[0])
        passes.run(is_final=False)
        put(memory, NEW)
        passes.run(is_final=True)
    assert held(ext4_room) == NEW


def test_a_write_between_content_and_look(room: Room) -> None:
    """The look comes first, so that the write shows in the next pass."""
    (room.volume / "file").write_bytes(OLD)
    means = Interfering(room.filling(), after_filling=once(lambda: (room.volume / "file").write_bytes(NEW)))
    passes = room.passes(means)
    passes.run(is_final=False)
    assert held(room) == OLD
    passes.run(is_final=True)
    assert held(room) == NEW


def test_two_writes_in_one_tick(coarse_room: Room) -> None:
    """A file system that keeps whole seconds: size and times are the same after the second write."""
    file = coarse_room.volume / "file"
    passes = coarse_room.passes(clock=time.time_ns)

    def second_write_bore_the_same_time() -> bool:
        file.write_bytes(OLD)
        passes.run(is_final=False)
        first = file.stat()
        file.write_bytes(NEW)
        second = file.stat()
        return (first.st_ctime_ns, first.st_ino) == (second.st_ctime_ns, second.st_ino)

    wait_until("two writes in a second", second_write_bore_the_same_time, seconds=20, remedy="use a faster machine")
    passes.run(is_final=True)
    assert held(coarse_room) == NEW


def test_a_young_file_is_staged_again_and_an_old_one_is_not(room: Room) -> None:
    for clock, expected in ((time.time_ns, 2), (ahead, 1)):
        name = f"file {expected}"
        (room.volume / name).write_bytes(OLD)
        means = Interfering(room.filling())
        passes = room.passes(means, clock=clock)
        passes.run(is_final=False)
        passes.run(is_final=True)
        assert means.filled == expected
        (room.volume / name).unlink()
        passes.run(is_final=True)
        room.tree.rmdir()


def test_either_pass_flushes_the_file_system_before_it_looks(ext4_room: Room) -> None:
    """Seen in a file beside the volume, which nobody copies: its blocks are not on the disk before."""
    beside = ext4_room.volume.parent / "beside"
    seen: list[bool] = []
    passes = ext4_room.passes(check=lambda: seen.append(_waits_to_be_written(beside)))
    for is_final in (False, True):
        _write_until_it_waits(beside)
        passes.run(is_final=is_final)
    assert seen == [False, False]


def _write_until_it_waits(path: Path) -> None:
    """Somebody else may flush just now. A file that is written over is flushed by itself (auto_da_alloc, ext4(5))."""

    def written() -> bool:
        path.unlink(missing_ok=True)
        path.write_bytes(os.urandom(1 << 16))
        return _waits_to_be_written(path)

    wait_until("a file waits to be written", written, seconds=20, remedy="let nobody call sync all the time")


def _waits_to_be_written(path: Path) -> bool:
    """Whether the first extent of a file has no place on the disk yet."""
    request = struct.pack("QQIIII", 0, 1 << 20, 0, 0, 1, 0) + bytes(56)
    with path.open("rb") as file:
        answer = fcntl.ioctl(file.fileno(), GET_EXTENTS, request)
    (flags,) = struct.unpack_from("I", answer, 32 + 40)
    return bool(flags & NOT_ON_DISK_YET)
