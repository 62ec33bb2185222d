"""File systems of several kinds, in images of their own, mounted by a loop device for as long as a session lasts.

Called by tests/stage, tests/chaos and the benchmarks.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from realparts.debian import install
from realparts.steps import run

REMEDY = "run the command by hand as root; loop devices and the file system's module must be there"
MEBIBYTE = 1024 * 1024

# As small as mkfs takes them, but for those that hold much. The inodes of `ext4-coarse` have no room for fractions of a
# second (-I, mkfs.ext4(8)).
MAKE = {
    "xfs": (["mkfs.xfs", "-q", "-m", "reflink=1"], 320 * MEBIBYTE, "xfsprogs"),
    "xfs-for-an-engine": (["mkfs.xfs", "-q", "-m", "reflink=1"], 4096 * MEBIBYTE, "xfsprogs"),
    "btrfs": (["mkfs.btrfs", "-q"], 256 * MEBIBYTE, "btrfs-progs"),
    "ext4": (["mkfs.ext4", "-q"], 256 * MEBIBYTE, "e2fsprogs"),
    "ext4-coarse": (["mkfs.ext4", "-q", "-I", "128"], 64 * MEBIBYTE, "e2fsprogs"),
    "xfs-for-figures": (["mkfs.xfs", "-q", "-m", "reflink=1"], 20480 * MEBIBYTE, "xfsprogs"),
    "ext4-for-figures": (["mkfs.ext4", "-q", "-E", "lazy_itable_init=0"], 20480 * MEBIBYTE, "e2fsprogs"),
}


class FileSystems:
    """Those that were asked for, each made at the first time. They are gone when the stack is closed."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory, self._stack = directory, stack
        self._mounted: dict[str, Path] = {}

    def mounted(self, kind: str) -> Path:
        """Return where the file system of a kind is mounted. Everybody shares it: ask for a directory of your own."""
        if kind not in self._mounted:
            self._mounted[kind] = self._stack.enter_context(_mounted(kind, self._directory / kind))
        return self._mounted[kind]


@contextmanager
def open_file_systems(directory: Path) -> Iterator[FileSystems]:
    """Yield file systems whose images lie in a directory; unmount and detach them all at the end."""
    with ExitStack() as stack:
        yield FileSystems(directory, stack)


@contextmanager
def bound(source: Path, target: Path, *, read_only: bool = False) -> Iterator[Path]:
    """Mount a directory or a file a second time, as a container sees a volume."""
    if source.is_dir():
        target.mkdir(exist_ok=True)
    _run("mount", "--bind", source, target)
    try:
        if read_only:
            _run("mount", "-o", "remount,bind,ro", target)
        yield target
    finally:
        _run("umount", target)


@contextmanager
def _mounted(kind: str, directory: Path) -> Iterator[Path]:
    command, size, package = MAKE[kind]
    install(package)
    directory.mkdir()
    image, place = directory / "image", directory / "mounted"
    image.touch()
    os.truncate(image, size)
    place.mkdir()
    _run(*command, image)
    _run("mount", "-o", "loop", image, place)  # the device detaches itself when it is unmounted (mount(8))
    try:
        yield place
    finally:
        _run("umount", place)
        image.unlink()


def _run(*command: str | Path) -> None:
    run(" ".join(map(str, command)), command, remedy=REMEDY)


def subvolume(path: Path) -> None:
    """Make a subvolume of btrfs."""
    subprocess.run(["btrfs", "-q", "subvolume", "create", path], check=True)
