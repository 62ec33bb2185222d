"""Two trees, entry by entry, by code that shares nothing with what made one of them. Used by room.py.

More than realparts/trees.py sees: sockets, names that are not UTF-8, and paths beyond PATH_MAX.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """What must be the same."""

    type_and_mode: str
    owner: tuple[int, int]
    modified_ns: int
    device: int
    content: str
    attributes: tuple[tuple[str, bytes], ...]
    same_file_as: str


def differences(one: Path, other: Path) -> list[str]:
    """Return one line for each path that differs."""
    before, after = _tree(one), _tree(other)
    return [
        f"{path!r}: {before.get(path, 'not there')} became {after.get(path, 'nothing')}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


def _tree(root: Path) -> dict[str, Entry]:
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    firsts: dict[tuple[int, int], str] = {}
    try:
        found = {"": _entry(descriptor, ".", "", firsts)}
        found.update(_below(descriptor, "", firsts))
    finally:
        os.close(descriptor)
    return found


def _below(directory: int, path: str, firsts: dict[tuple[int, int], str]) -> Iterator[tuple[str, Entry]]:
    for name in sorted(os.listdir(directory)):
        yield f"{path}/{name}", _entry(directory, name, f"{path}/{name}", firsts)
        if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            try:
                yield from _below(inner, f"{path}/{name}", firsts)
            finally:
                os.close(inner)


def _entry(directory: int, name: str, path: str, firsts: dict[tuple[int, int], str]) -> Entry:
    found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    place = f"/proc/self/fd/{directory}/{name}"
    names = [one for one in os.listxattr(place, follow_symlinks=False) if not one.startswith("trusted.")]
    is_linked = found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode)
    return Entry(
        type_and_mode=stat.filemode(found.st_mode),
        owner=(found.st_uid, found.st_gid),
        modified_ns=found.st_mtime_ns,
        device=found.st_rdev,
        content=_content(directory, name, found),
        attributes=tuple((one, os.getxattr(place, one, follow_symlinks=False)) for one in sorted(names)),
        same_file_as=firsts.setdefault((found.st_dev, found.st_ino), path) if is_linked else path,
    )


def _content(directory: int, name: str, found: os.stat_result) -> str:
    if stat.S_ISLNK(found.st_mode):
        return os.readlink(name, dir_fd=directory)
    if not stat.S_ISREG(found.st_mode):
        return ""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=directory)
    with os.fdopen(descriptor, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
