"""Fingerprints of directory trees: everything that a restore must bring back, so that two trees can be compared.

Called by the demo and the end-to-end tests.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """One file, directory, link or device."""

    type_and_mode: str
    owner: tuple[int, int]
    modified_ns: int
    content: str
    """SHA-256 of a file, target of a symbolic link, numbers of a device."""
    attributes: tuple[tuple[str, bytes], ...]
    """Extended attributes, access control lists among them; `trusted.*` is the file system's own."""
    same_file_as: str
    """The first path of the same file: hard links stay hard links."""


Fingerprint = Mapping[str, Entry]


def fingerprint(root: Path) -> Fingerprint:
    """Return an entry for the root (`.`) and everything below it."""
    first_paths: dict[tuple[int, int], str] = {}
    entries = {}
    for path in _walk(root):
        name = str(path.relative_to(root))
        found = path.lstat()
        is_linked = not path.is_dir() and found.st_nlink > 1
        same = first_paths.setdefault((found.st_dev, found.st_ino), name) if is_linked else name
        entries[name] = _entry(path, found, same)
    return entries


def differences(before: Fingerprint, after: Fingerprint) -> list[str]:
    """Return one line for each path that is not the same in both."""
    return [
        f"{path}: {before.get(path, 'not there')} became {after.get(path, 'nothing')}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


def _walk(root: Path) -> Iterator[Path]:
    yield root
    for directory, subdirectories, files in os.walk(root):
        # Sorted, so that the first path of a hard link is the same in both trees.
        subdirectories.sort()
        for name in sorted((*subdirectories, *files)):
            path = Path(directory, name)
            if not path.is_socket():  # a socket without its server is nothing to bring back
                yield path


def _entry(path: Path, found: os.stat_result, same_file_as: str) -> Entry:
    names = [name for name in os.listxattr(path, follow_symlinks=False) if not name.startswith("trusted.")]
    attributes = tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in sorted(names))
    owner = (found.st_uid, found.st_gid)
    return Entry(
        stat.filemode(found.st_mode), owner, found.st_mtime_ns, _content(path, found), attributes, same_file_as
    )


def _content(path: Path, found: os.stat_result) -> str:
    if stat.S_ISLNK(found.st_mode):
        return str(path.readlink())
    if stat.S_ISREG(found.st_mode):
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return str(found.st_rdev)
