"""One volume's stage: the way into this room, for backup.py.

guard = SpaceGuard(lambda: free_bytes(root), floor_bytes(churn, total_bytes(root)))
stage = Stage(volume, root, name, means, guard, check)
stage.first_pass()                      # services run
guard.window_opens(); …stop…
stage.second_pass()                     # services are down
…start…; guard.window_is_over()
stage.write_table(); …archive stage.tree and stage.table…
stage.drop()
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable
from pathlib import Path

from compose_backup.agent.stage import table
from compose_backup.agent.stage.contents import measured
from compose_backup.agent.stage.filling import Check, Means, filling
from compose_backup.agent.stage.looks import MAX_ENTRIES
from compose_backup.agent.stage.passes import Passes
from compose_backup.agent.stage.space import SpaceGuard, require_files
from compose_backup.agent.stage.unusable import unusable_if_it_fails

_TREES, _TABLES = "volumes", "manifest"


class Stage:
    """A copy of one volume in a directory of ours on the same file system.

    Whatever goes wrong with it raises StageUnusable: drop it then, and read the volume. Low space does so, too, unless
    the guard knows that the window is open. What `check` raises comes out as it is.
    """

    def __init__(self, volume: Path, root: Path, name: str, means: Means, guard: SpaceGuard, check: Check) -> None:
        """`volume` is read only, `root` ours, `name` what restic knows the volume by. Nothing is touched yet."""
        self.tree = root / _TREES / name
        """What is archived in place of the volume, with the same last part of its path."""
        self.table = root / _TABLES / f"{name}.looks"
        """What the next run needs, to be archived with it."""
        self._volume, self._root, self._means = volume, root, means
        self._guard, self._check = guard, check
        self._filling = filling(means, self._may_go_on)
        self._passes = Passes(volume, self.tree, self._filling, self._may_go_on)

    @property
    def longest_stall_seconds(self) -> float:
        """The longest that cloning a single file took: so long somebody who wrote to it may have waited."""
        return self._filling.longest_stall_seconds

    @property
    def entries(self) -> int:
        """How many entries the stage holds, the root left out."""
        return self._passes.entries

    def first_pass(self) -> None:
        """Stage the volume while its services run. What changes meanwhile is left to the second pass."""
        with unusable_if_it_fails():
            contents = measured(self._volume, MAX_ENTRIES, self._may_go_on)
            require_files(self._root, contents.entries)
            if self._means is Means.COPY:
                self._guard.require(contents.bytes)
            self.tree.parent.mkdir(exist_ok=True)
            self.table.parent.mkdir(exist_ok=True)
        self._passes.run(is_final=False)

    def second_pass(self) -> None:
        """Bring what has changed since the first pass. Afterwards the stage is the volume, if nobody writes to that."""
        self._passes.run(is_final=True)

    def write_table(self) -> None:
        """Write what the next run needs, after the second pass."""
        with unusable_if_it_fails(), self.table.open("w", encoding="ascii") as file:
            file.writelines(f"{line}\n" for line in table.lines(self._passes.looks))

    def distrusted(self, lines: Iterable[str] | None) -> tuple[bytes, ...] | None:
        """Return the paths that restic must be made to read, given the table of the snapshot that is its parent.

        None without a table or with a damaged one: then it must be made to read everything. See table.py.
        """
        return table.distrusted(lines, self._passes.looks)

    def drop(self) -> None:
        """Delete everything, whatever state it is in. Nothing happens when there is nothing."""
        with unusable_if_it_fails():
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(self.tree)
            self.table.unlink(missing_ok=True)
            for directory in (self.tree.parent, self.table.parent):
                with contextlib.suppress(OSError):  # another volume's stage is in it, or it is not there
                    directory.rmdir()

    def _may_go_on(self) -> None:
        self._guard.check()
        self._check()
