"""The walk that makes the stage equal to the volume: everything at first, and what has changed when it is done again.

Called by staging.py. One pass is as the other; in the first one nothing is there yet.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from compose_backup.agent.stage import attributes, looks
from compose_backup.agent.stage.entries import OPEN_DIRECTORY, Maker, Pair, open_unless_other
from compose_backup.agent.stage.filling import Check, Filling
from compose_backup.agent.stage.links import Links
from compose_backup.agent.stage.looks import DirectoryLooks
from compose_backup.agent.stage.unusable import StageUnusable, shown, unusable
from compose_backup.agent.syncing import sync_file_system

MAX_DEPTH = 200
"""Directories within directories: two descriptors each are open, of 1024 that a process may have (getrlimit(2))."""
_ENTRIES_BETWEEN_CHECKS = 256
_AT_REST_NS = 60_000_000_000
"""So long before a flush of the file system a file has last changed that needs none of its own: far longer than clocks
and stamps are coarse."""
_END_OF_TIME = 1 << 64  # nobody writes to any file in the final pass
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class _Place:
    """A directory in the middle of a pass: its path with a slash at the end, empty for the root, and what is known."""

    path: str
    pair: Pair
    known: DirectoryLooks
    depth: int


class Passes:
    """Keeps the tree of a stage equal to a volume. Whatever fails raises StageUnusable; then the tree is worthless.

    `tree` is a directory on the same file system, made by the first pass. What `check` raises comes out as it is.
    `clock` returns nanoseconds since 1970.
    """

    def __init__(
        self, volume: Path, tree: Path, filling: Filling, check: Check, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._volume, self._tree = volume, tree
        self._check = check
        self._clock = clock
        self._maker = Maker(filling, clock)
        self._links = Links(-1)
        self._is_final = False
        self.looks = DirectoryLooks()
        self.entries = 0
        """How many entries the stage holds, the root left out."""

    def run(self, *, is_final: bool) -> None:
        """Make the stage hold what the volume holds. `is_final`: nobody writes any more, and nothing may be missing."""
        self._is_final, self.entries = is_final, 0
        moment = self._clock()
        self._maker.at_rest_before = _END_OF_TIME if is_final else moment - _AT_REST_NS
        try:
            # What is written through mmap need not show in times before it is written back (mmap(2)).
            sync_file_system(self._volume)
            self._tree.mkdir(exist_ok=bool(self.looks.own))
            self._run(moment)
        except OSError as error:
            raise unusable("", error) from error

    def _run(self, moment: int) -> None:
        pair = Pair(os.open(self._volume, OPEN_DIRECTORY), os.open(self._tree, OPEN_DIRECTORY))
        self._links = Links(pair.stage)
        try:
            self._directory(_Place("", pair, self.looks, 0), moment)
        finally:
            os.close(pair.volume)
            os.close(pair.stage)

    def _directory(self, place: _Place, moment: int) -> None:
        """Bring a directory up to date, and last its own owner, mode and times, since all before has changed them."""
        try:
            found = os.fstat(place.pair.volume)
            was_touched, subdirectories = self._entries(place, found.st_dev)
            for name in subdirectories:
                was_touched |= self._subdirectory(place, name, found.st_dev)
            for name in place.known.directories.keys() - set(subdirectories):
                was_touched |= _remove_directory(place, name)
            if was_touched or not looks.is_true(place.known.own, found):
                attributes.dress(place.pair.stage, ".", place.pair.stage, found, attributes.read(place.pair.volume))
                place.known.own = looks.packed(found, moment)
        except OSError as error:
            raise unusable(place.path, error) from error
        self.entries += len(place.known.entries) + len(place.known.directories)

    def _entries(self, place: _Place, file_system: int) -> tuple[bool, list[str]]:
        """Bring up to date what is no directory. Return whether anything was touched, and the names of directories."""
        staged, current = place.known.entries, dict[str, bytes]()
        place.known.entries = current
        subdirectories = []
        was_touched = False
        self._check()
        with os.scandir(place.pair.volume) as entries:
            for entry in self._checked(entries):
                name = entry.name
                try:
                    found = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if stat.S_ISDIR(found.st_mode):
                    subdirectories.append(name)
                    continue
                if found.st_dev != file_system:
                    raise _foreign(place.path + name)
                look = staged.pop(name, None)
                if (
                    look is None
                    or not looks.is_true(look, found)
                    or not self._links.hold(place.path + name, look, found)
                ):
                    was_touched = True
                    look = self._anew(place, name, found, look)
                if look is not None:
                    current[name] = look
        for name in self._checked(staged):
            os.unlink(name, dir_fd=place.pair.stage)
        return was_touched or bool(staged), subdirectories

    def _anew(self, place: _Place, name: str, found: os.stat_result, old: bytes | None) -> bytes | None:
        """Make an entry anew, or mend what is staged of the same file where nothing else can change with it."""
        path = place.path + name
        try:
            if old is not None:
                mended = self._maker.mend(place.pair, name, found, old)
                if mended is not None:
                    return mended
                os.unlink(name, dir_fd=place.pair.stage)
            else:
                _remove_directory(place, name)
            look = self._links.make_as_link(place.pair.stage, name, found)
            if look is None:
                look = self._maker.make(place.pair, name, found)
                self._links.made(path, look, found)
        except OSError as error:
            raise unusable(path, error) from error
        if look is None:
            self._may_be_missing(place, name)
        return look

    def _subdirectory(self, place: _Place, name: str, file_system: int) -> bool:
        """Bring a subdirectory up to date; return whether that changed the directory that it lies in."""
        path = place.path + name
        if place.depth == MAX_DEPTH:
            raise too_deep()
        moment = self._clock()
        volume = open_unless_other(name, OPEN_DIRECTORY, place.pair.volume)
        if volume is None:
            self._may_be_missing(place, name)
            return _remove_directory(place, name)
        try:
            if os.fstat(volume).st_dev != file_system and _mount_of(volume) != _mount_of(place.pair.volume):
                raise _foreign(path)
            known = place.known.directories.get(name)
            if known is None:
                os.mkdir(name, 0o700, dir_fd=place.pair.stage)
            stage = os.open(name, OPEN_DIRECTORY, dir_fd=place.pair.stage)
            try:
                inner = place.known.directories.setdefault(name, DirectoryLooks())
                self._directory(_Place(f"{path}/", Pair(volume, stage), inner, place.depth + 1), moment)
            finally:
                os.close(stage)
        finally:
            os.close(volume)
        return known is None

    def _may_be_missing(self, place: _Place, name: str) -> None:
        """Raise StageUnusable when an entry that could not be made is there, although nobody writes any more."""
        if not self._is_final:
            return
        try:
            os.stat(name, dir_fd=place.pair.volume, follow_symlinks=False)
        except FileNotFoundError:
            return
        raise StageUnusable(
            f"{shown(place.path + name)} became something else while it was staged: somebody still writes"
        )

    def _checked(self, items: Iterable[Item]) -> Iterator[Item]:
        for number, item in enumerate(items, 1):
            if number % _ENTRIES_BETWEEN_CHECKS == 0:
                self._check()
            yield item


def too_deep() -> StageUnusable:
    """Return the refusal of a volume whose directories cannot all be open."""
    return StageUnusable(f"the volume holds directories more than {MAX_DEPTH} deep")


def _remove_directory(place: _Place, name: str) -> bool:
    """Remove a directory of the stage with all that is in it; return whether there was one."""
    if place.known.directories.pop(name, None) is None:
        return False
    shutil.rmtree(name, dir_fd=place.pair.stage)
    return True


def _mount_of(directory: int) -> str:
    """Return the number of the mount of an open directory. A subvolume of btrfs has a device number, but no mount."""
    with open(f"/proc/self/fdinfo/{directory}") as lines:  # proc_pid_fdinfo(5)
        return next((line.split()[1] for line in lines if line.startswith("mnt_id:")), "")


def _foreign(path: str) -> StageUnusable:
    return StageUnusable(
        f"{shown(path)} is the mount of another file system, which a stage beside the volume cannot hold"
    )
