"""Files that changed a little since they were copied: only what differs is written, and nothing else changes with it.

Run by pytest.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stage.room import Interfering, Room, ahead

KIB, MIB = 1 << 10, 1 << 20
Change = Callable[[Path], object]


def write_at(position: int, content: bytes) -> Change:
    def change(path: Path) -> None:
        with path.open("r+b") as file:
            os.pwrite(file.fileno(), content, position)

    return change


def punch(position: int, length: int) -> Change:
    def change(path: Path) -> None:
        words = ["fallocate", "--punch-hole", "--offset", str(position), "--length", str(length), str(path)]
        subprocess.run(words, check=True)

    return change


def truncate(size: int) -> Change:
    return lambda path: os.truncate(path, size)


CHANGES: dict[str, Change] = {
    "a page in the middle": write_at(300 * KIB, os.urandom(16 * KIB)),
    "the first byte": write_at(0, b"!"),
    "the last byte": write_at(3 * MIB - 1, b"!"),
    "across two chunks": write_at(128 * KIB - 3, b"across"),
    "into a hole": write_at(MIB + 512 * KIB, b"filled"),
    "data becomes a hole": punch(256 * KIB, 256 * KIB),
    "longer, by a hole": truncate(5 * MIB + 7),
    "longer, by data": write_at(3 * MIB, os.urandom(200 * KIB)),
    "shorter": truncate(200 * KIB + 5),
    "shorter, within the hole": truncate(MIB + 5),
    "empty": truncate(0),
    "nothing but the mode": lambda path: path.chmod(0o4711),
}


def make(path: Path) -> Path:
    """Write a file of 3 MiB whose second one is a hole."""
    path.write_bytes(os.urandom(MIB))
    truncate(2 * MIB)(path)
    write_at(2 * MIB, os.urandom(MIB))(path)
    return path


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_differs_is_written(room: Room, change: Change) -> None:
    path = make(room.volume / "file")
    passes = room.passes()
    passes.run(is_final=False)
    staged = (room.tree / "file").stat().st_ino
    change(path)
    passes.run(is_final=True)
    assert room.differences() == []
    assert ((room.tree / "file").stat().st_ino == staged) is room.filling().mends


KINDS: dict[str, Change] = {
    "another file": make,
    "a directory": Path.mkdir,
    "a pipe": os.mkfifo,
    "a link": lambda path: path.symlink_to("elsewhere"),
    "nothing": lambda _: None,
}


@pytest.mark.parametrize("become", KINDS.values(), ids=KINDS)
def test_what_became_something_else_is_made_anew(ext4_room: Room, become: Change) -> None:
    path = make(ext4_room.volume / "file")
    passes = ext4_room.passes()
    passes.run(is_final=False)
    with (ext4_room.tree / "file").open("rb") as staged:
        content = staged.read()
        path.rename(ext4_room.volume / "elsewhere")
        become(path)
        passes.run(is_final=True)
        assert ext4_room.differences() == []
        staged.seek(0)
        assert staged.read() == content


@pytest.mark.parametrize("become", KINDS.values(), ids=KINDS)
def test_what_becomes_something_else_just_before_it_is_mended(ext4_room: Room, become: Change) -> None:
    """Between the listing and the look, where the clock is read."""
    path = make(ext4_room.volume / "file")
    calls: list[None] = []

    def clock() -> int:
        calls.append(None)
        if len(calls) == 4:  # a pass reads it for the root first
            path.unlink()
            become(path)
        return ahead()

    passes = ext4_room.passes(clock=clock)
    passes.run(is_final=False)
    write_at(0, b"changed")(path)
    for is_final in (False, True):
        passes.run(is_final=is_final)
    assert ext4_room.differences() == []


def test_a_file_that_loses_its_other_name(ext4_room: Room) -> None:
    """What is staged still has both names when the first one is met."""
    path = make(ext4_room.volume / "a")
    os.link(path, ext4_room.volume / "b")
    passes = ext4_room.passes()
    passes.run(is_final=False)
    (ext4_room.volume / "b").unlink()
    (ext4_room.volume / "b").write_bytes((ext4_room.tree / "a").read_bytes())
    write_at(0, b"changed")(path)
    passes.run(is_final=True)
    assert ext4_room.differences() == []


def test_a_file_that_gets_another_name(ext4_room: Room) -> None:
    path = make(ext4_room.volume / "b")
    passes = ext4_room.passes()
    passes.run(is_final=False)
    write_at(0, b"changed")(path)
    os.link(path, ext4_room.volume / "a")
    passes.run(is_final=True)
    assert ext4_room.differences() == []


@pytest.mark.parametrize(("age", "flushes"), [(0, 1), (120, 0)])
def test_only_a_file_that_changed_lately_is_flushed_alone(ext4_room: Room, age: int, flushes: int) -> None:
    make(ext4_room.volume / "file")
    means = Interfering(ext4_room.filling())
    ext4_room.passes(means, clock=lambda: time.time_ns() + age * 10**9).run(is_final=False)
    assert means.settled == flushes


def test_no_file_is_flushed_alone_once_nobody_writes(ext4_room: Room) -> None:
    make(ext4_room.volume / "file")
    means = Interfering(ext4_room.filling())
    ext4_room.passes(means, clock=ahead).run(is_final=True)
    assert (means.filled, means.settled) == (1, 0)
