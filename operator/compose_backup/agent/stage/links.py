"""Files with several names, in one pass: the stage must have them as one file, too. Used by passes.py."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _First:
    """The first name of a file, the look at what is staged under it, and whether it was made in this pass."""

    path: str
    look: bytes
    is_new: bool


class Links:
    """What the pass has met of files with several names. `root` is the descriptor of the stage's tree."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._firsts: dict[tuple[int, int], _First] = {}

    def hold(self, path: str, look: bytes, found: os.stat_result) -> bool:
        """Say whether a true staged entry is the same file as the first name of it, where that was met before."""
        if found.st_nlink == 1:
            return True
        first = self._firsts.setdefault((found.st_dev, found.st_ino), _First(path, look, False))
        return not first.is_new

    def made(self, path: str, look: bytes | None, found: os.stat_result) -> None:
        """Remember an entry that was made in this pass."""
        if look is not None and found.st_nlink > 1:
            self._firsts[(found.st_dev, found.st_ino)] = _First(path, look, True)

    def make_as_link(self, directory: int, name: str, found: os.stat_result) -> bytes | None:
        """Make an entry as another name of its file and return the look at that; None when this is its first name.

        The look is that of the first name: what was seen since then is not what is staged. Raise OSError.
        """
        first = self._firsts.get((found.st_dev, found.st_ino)) if found.st_nlink > 1 else None
        if first is None:
            return None
        *above, first_name = first.path.split("/")
        source = self._open(above)
        try:
            os.link(first_name, name, src_dir_fd=source, dst_dir_fd=directory, follow_symlinks=False)
        finally:
            os.close(source)
        return first.look

    def _open(self, parts: list[str]) -> int:
        """Open a directory of the stage part by part, since its path may be longer than PATH_MAX."""
        place = os.open(".", os.O_PATH | os.O_DIRECTORY, dir_fd=self._root)
        for part in parts:
            above = place
            try:
                place = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
            finally:
                os.close(above)
        return place
