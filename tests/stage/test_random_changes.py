"""Random sequences of changes, before, during and between the passes: stage and volume are the same in the end.

Run by pytest.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compose_backup.agent.stage.looks import GRANULARITY_NS
from realparts.steps import wait_until
from stage.room import Interfering, Room

FILES = ("a", "b", "d/a", "d/b", "e/a")
NAMES = (*FILES, "d", "e", "e/f")
TICKS_NS = 25_000_000
"""Longer than two ticks of the slowest kernel clock (100 Hz), within which changes may bear the same time."""

Change = Callable[[Path], object]
paths = st.sampled_from(NAMES)
contents = st.sampled_from([b"", b"one", b"two"])


def clock() -> int:
    """Return a clock by which an entry is young for a few ticks only, so that most of what is staged is trusted."""
    return time.time_ns() + GRANULARITY_NS - TICKS_NS


def put(path: Path, content: bytes) -> None:
    """Write without waiting for somebody who reads, as at a pipe."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def write(name: str, content: bytes) -> Change:
    return lambda volume: put(volume / name, content)


def write_and_keep_time(name: str, content: bytes) -> Change:
    def change(volume: Path) -> None:
        before = (volume / name).stat()
        put(volume / name, content)
        os.utime(volume / name, ns=(before.st_atime_ns, before.st_mtime_ns))

    return change


def remove(name: str) -> Change:
    def change(volume: Path) -> None:
        path = volume / name
        shutil.rmtree(path) if stat.S_ISDIR(path.lstat().st_mode) else path.unlink()

    return change


def become(name: str, make: Callable[[Path], object]) -> Change:
    """Put something else in the place of what is there."""

    def change(volume: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            remove(name)(volume)
        make(volume / name)

    return change


def two_paths(act: Callable[[Path, Path], object]) -> st.SearchStrategy[Change]:
    def of(names: tuple[str, str]) -> Change:
        return lambda volume: act(volume / names[0], volume / names[1])

    return st.tuples(paths, paths).map(of)


def one_path(act: Callable[[Path], object]) -> st.SearchStrategy[Change]:
    return paths.map(lambda name: lambda volume: act(volume / name))


def _become_one(one: Path, other: Path) -> None:
    """Make a second name of a file in the place of what is there."""
    if not os.path.lexists(other) or not os.path.samestat(one.lstat(), other.lstat()):
        become(other.name, lambda path: os.link(one, path, follow_symlinks=False))(other.parent)


changes = st.one_of(
    st.builds(write, st.sampled_from(FILES), contents),
    st.builds(write_and_keep_time, st.sampled_from(FILES), contents),
    paths.map(remove),
    st.builds(become, paths, st.sampled_from([Path.mkdir, Path.touch, os.mkfifo, lambda path: path.symlink_to("a")])),
    two_paths(lambda one, other: one.rename(other)),
    two_paths(_become_one),
    one_path(lambda path: path.chmod(0o2750)),
    one_path(lambda path: os.chown(path, 10, 11, follow_symlinks=False)),
    one_path(lambda path: os.setxattr(path, "user.note", b"x")),
    one_path(lambda path: os.removexattr(path, "user.note")),
    one_path(lambda path: os.utime(path, ns=(5, 5), follow_symlinks=False)),
)
many = st.lists(changes, max_size=8)
numbers = itertools.count()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=many, during=many, between=many, again=many)
def test_the_stage_is_the_volume(
    room: Room, before: list[Change], during: list[Change], between: list[Change], again: list[Change]
) -> None:
    fresh = _fresh(room)
    _begin(fresh.volume)
    _apply(before, fresh.volume)
    _wait_some_ticks()
    left = iter(during)

    def meanwhile() -> None:
        _apply(itertools.islice(left, 2), fresh.volume)

    means = Interfering(fresh.filling(), after_settling=meanwhile, after_filling=meanwhile)
    passes = fresh.passes(means, check=meanwhile, clock=clock)
    passes.run(is_final=False)
    left = iter(())
    for more in (between, again):
        _apply(more, fresh.volume)
        passes.run(is_final=True)
        assert fresh.differences() == []


def _fresh(room: Room) -> Room:
    """Return a room of its own within the room, since all examples of a test share that."""
    number = str(next(numbers))
    for directory in (room.volume, room.root):
        (directory / number).mkdir()
    return Room(room.volume / number, room.seen / number, room.root / number, room.means)


def _begin(volume: Path) -> None:
    """Put something in the place of each name."""
    for name in ("d", "e", "e/f"):
        (volume / name).mkdir()
    for name in FILES[:-1]:
        put(volume / name, b"one")
    os.link(volume / "a", volume / FILES[-1])


def _apply(some: itertools.islice[Change] | list[Change], volume: Path) -> None:
    """Do what can be done: many a random change fails, as on a path that is not there."""
    for change in some:
        try:
            change(volume)
        except (OSError, shutil.SameFileError):
            continue


def _wait_some_ticks() -> None:
    end = time.monotonic_ns() + 2 * TICKS_NS
    wait_until("some ticks have passed", lambda: time.monotonic_ns() > end, seconds=20, remedy="look at the clock")
