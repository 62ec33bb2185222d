"""What services do between the passes and during the first: the stage follows, and nothing leads out of the volume.

Run by pytest.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from compose_backup.agent.stage.unusable import StageUnusable
from stage.room import Interfering, Room, ahead, once


def write(path: Path, content: str) -> Path:
    """Write a file, with the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_what_is_gone_is_deleted(room: Room) -> None:
    for name in ("file", "directory/file", "directory/inner/file", "stays/file"):
        write(room.volume / name, name)
    passes = room.passes()
    passes.run(is_final=False)
    (room.volume / "file").unlink()
    (room.volume / "stays/file").unlink()
    shutil.rmtree(room.volume / "directory")
    passes.run(is_final=True)
    assert room.differences() == []
    assert sorted(os.listdir(room.tree)) == ["stays"] and passes.entries == 1


def test_a_file_becomes_a_directory_and_back(room: Room) -> None:
    write(room.volume / "first", "x")
    write(room.volume / "second/inside", "x")
    passes = room.passes()
    for _ in range(2):
        passes.run(is_final=False)
        (room.volume / "first").rename(room.volume / "third")
        (room.volume / "second").rename(room.volume / "first")
        (room.volume / "third").rename(room.volume / "second")
        passes.run(is_final=True)
        assert room.differences() == []


def test_another_kind_under_the_same_name(room: Room) -> None:
    path = room.volume / "entry"
    makers: tuple[Callable[[], object], ...] = (
        path.touch,
        lambda: path.symlink_to("x"),
        lambda: os.mkfifo(path),
        path.mkdir,
        path.touch,
    )
    passes = room.passes()
    for make in makers:
        make()
        passes.run(is_final=True)
        assert room.differences() == []
        path.rmdir() if path.is_dir() else path.unlink()


def test_a_name_that_was_given_another_file_of_the_same_size_and_time(room: Room) -> None:
    for name, content in (("data", "one"), ("other", "two")):
        os.utime(write(room.volume / name, content), ns=(5, 5))
    passes = room.passes()
    passes.run(is_final=False)
    os.link(room.volume / "other", room.volume / "new")
    (room.volume / "new").rename(room.volume / "data")
    passes.run(is_final=True)
    assert (room.tree / "data").read_text() == "two"
    assert room.differences() == []


def test_what_is_made_anew_leaves_other_names_alone(room: Room) -> None:
    """Two names of one file become two files: none of them may be written through the other."""
    write(room.volume / "first", "shared")
    os.link(room.volume / "first", room.volume / "second")
    passes = room.passes()
    passes.run(is_final=False)
    (room.volume / "first").unlink()
    write(room.volume / "first", "apart!")
    passes.run(is_final=True)
    assert room.differences() == []


def test_two_files_become_two_names_of_one(room: Room) -> None:
    for name in ("first", "second", "third"):
        write(room.volume / name, "same")
    passes = room.passes()
    passes.run(is_final=False)
    for name in ("first", "third"):
        (room.volume / name).unlink()
        os.link(room.volume / "second", room.volume / name)
    passes.run(is_final=True)
    assert room.differences() == []


def test_a_second_name_that_is_met_after_a_change(room: Room) -> None:
    """It is linked to what was staged before the change, and must not be taken for what it is after it."""
    write(room.volume / "first", "old")
    os.link(room.volume / "first", room.volume / "second")
    means = Interfering(room.filling(), after_filling=once(lambda: write(room.volume / "first", "new")))
    passes = room.passes(means)
    passes.run(is_final=False)
    assert (room.tree / "first").samefile(room.tree / "second")
    passes.run(is_final=True)
    assert (room.tree / "second").read_text() == "new"
    assert room.differences() == []


def test_a_second_name_that_is_met_first_the_next_time(room: Room) -> None:
    """The same, and then the directory of the first name is moved, which changes nothing that is seen of the file."""
    for name in ("a", "b"):
        (room.volume / name).mkdir()
    first, second = os.listdir(room.volume)  # as the pass will meet them
    path = write(room.volume / first / "file", "old")
    os.link(path, room.volume / second / "file")
    passes = room.passes(Interfering(room.filling(), after_filling=once(lambda: write(path, "new"))))
    passes.run(is_final=False)
    for number in range(100):
        moved = f"{'moved' * 10}-{number}"
        (room.volume / first).rename(room.volume / moved)
        first = moved
        if os.listdir(room.volume) == [second, first]:
            break
    assert os.listdir(room.volume) == [second, first]
    passes.run(is_final=True)
    assert room.differences() == []


def test_a_name_that_is_added_behind_the_walk(room: Room) -> None:
    """The first name was staged alone; afterwards it must be one file with the second."""
    write(room.volume / "a/first", "content")
    write(room.volume / "b/other", "content")

    def add() -> None:
        for name, source in (("a/second", "b/other"), ("b/second", "a/first")):
            os.link(room.volume / source, room.volume / name)

    passes = room.passes(Interfering(room.filling(), after_filling=once(add)))
    passes.run(is_final=False)
    passes.run(is_final=True)
    assert room.differences() == []


def test_a_directory_of_the_same_name_with_other_rights(room: Room) -> None:
    write(room.volume / "directory/file", "x")
    passes = room.passes()
    passes.run(is_final=False)
    os.setxattr(room.volume / "directory", "user.note", b"x")
    (room.volume / "directory").chmod(0o2711)
    passes.run(is_final=True)
    assert room.differences() == []
    os.removexattr(room.volume / "directory", "user.note")
    passes.run(is_final=True)
    assert room.differences() == []


def test_a_link_that_is_put_in_place_of_a_directory_leads_nowhere(room: Room, tmp_path: Path) -> None:
    """At the moment when the directory has been listed and is about to be entered."""
    secret = write(tmp_path / "outside/secret", "x").parent
    for name in ("a", "b"):
        write(room.volume / name / "file", name)

    swapped: list[Path] = []

    def swap_the_other() -> None:
        if not swapped and (seen := os.listdir(room.tree)):
            other = room.volume / ("b" if seen == ["a"] else "a")
            shutil.rmtree(other)
            other.symlink_to(secret)
            swapped.append(other)

    passes = room.passes(check=swap_the_other)
    passes.run(is_final=False)
    assert not list(room.tree.rglob("secret")) and len(os.listdir(room.tree)) == 1
    passes.run(is_final=True)
    assert room.differences() == []
    assert (room.tree / swapped[0].name).is_symlink()


@pytest.mark.parametrize("becomes", ["pipe", "link", "nothing"])
def test_a_file_that_becomes_something_else_holds_up_nobody(room: Room, becomes: str) -> None:
    """Between the listing and the look, where the clock is read. It is there after the second pass."""
    path = write(room.volume / "file", "x")
    calls: list[None] = []

    def clock() -> int:
        calls.append(None)
        if len(calls) == 2:  # the first is for the root
            path.unlink()
            {"pipe": lambda: os.mkfifo(path), "link": lambda: path.symlink_to("/etc/passwd"), "nothing": lambda: None}[
                becomes
            ]()
        return ahead()

    passes = room.passes(clock=clock)
    passes.run(is_final=False)
    assert os.listdir(room.tree) == []
    passes.run(is_final=True)
    assert room.differences() == []
    assert len(os.listdir(room.tree)) == (becomes != "nothing")


def test_in_the_second_pass_nothing_may_become_something_else(room: Room) -> None:
    path = write(room.volume / "file", "x")
    calls: list[None] = []

    def clock() -> int:
        calls.append(None)
        if len(calls) == 2:
            path.unlink()
            os.mkfifo(path)
        return ahead()

    with pytest.raises(StageUnusable, match=r"file became something else .* somebody still writes"):
        room.passes(clock=clock).run(is_final=True)
    assert stat.S_ISFIFO(path.stat().st_mode)
