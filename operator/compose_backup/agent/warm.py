"""Warm snapshots: made ahead, for nothing but that the snapshot of a run is compared with them. They are no backup.

What is compared with a snapshot is read only where it differs from it. So whatever a warm one must not be believed is
left out of it. Called by ahead.py.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from compose_backup.agent.context import Context
from compose_backup.agent.engines.restic import NO_LOCK, RETRY_LOCK, excluding
from compose_backup.agent.snapshots import TABLE, Source, Wanted, take_snapshot
from compose_backup.agent.stage.looks import GRANULARITY_NS
from compose_backup.agent.syncing import sync_file_system
from compose_backup.api import reasons
from compose_backup.api.job import BackupJob
from compose_backup.errors import AgentFailed
from compose_backup.planning import humanize, records
from compose_backup.planning.records import Snapshot

MAX_PATTERNS = 500
"""restic compares each of its files with each pattern: with more, whole directories are left out instead."""
WORTHWHILE_BYTES = 32 << 20
WORTHWHILE_FILES = 2000
"""restic needs most of a second to open a repository, and reads so much, or so many files, in a quarter of it."""
_UNCHANGED = "no snapshots were modified"
_REWRITTEN = re.compile(r"^saved new snapshot ([0-9a-f]+)$", re.MULTILINE)

Distrust = Callable[[Iterable[str] | None], Collection[bytes] | None]


class WarmSnapshots:
    """Makes those of one job, and removes them in the end."""

    def __init__(self, job: BackupJob, context: Context) -> None:
        self._job = job
        self._context = context
        self._made: list[str] = []

    def live_pass(self, volume: str, parent: Snapshot | None) -> str:
        """Archive a volume whose services run, and return the snapshot without what was written meanwhile.

        A write through mmap to a page that is dirty already changes no time (mmap(2)): a file that was written to since
        the flush may change again without a trace. So it is left out, and read when services are down.
        """
        root = self._context.places.volume(volume)
        since = time.time_ns() - GRANULARITY_NS
        sync_file_system(root)
        source = Source(Path(self._context.places.live), parent.id if parent else None, is_sized=True)
        made = self._take(Wanted(volume, records.WARM, source, beside=False))
        return self._without(made, volume, [path for path, _ in changed_since(root, since)])

    def not_worth_it(self, volume: str, parent: Snapshot | None) -> str | None:
        """Return why a live pass would not pay, None where it may.

        What was read from a stage is new to restic when it is read from the volume: then all is to be read.
        """
        knows_nothing = parent is None or self._table_path(volume) in parent.paths
        moment = 0 if parent is None or knows_nothing else round((parent.finished or parent.time).timestamp() * 1e9)
        return too_little(self._context.places.volume(volume), moment)

    def compared(self, source: Source, volume: str, parent: Snapshot | None, distrust: Distrust) -> Source:
        """Return the stage of a volume with the snapshot that it may be compared with; without one all is read.

        `distrust` returns the files that size and time alone do not tell from those of the parent, given its table.
        """
        paths = distrust(self._table(volume, parent))
        if parent is None or paths is None:
            return source
        source = replace(source, parent=parent.id)
        if not paths:
            return source
        left_out = patterns(paths, self._context.places.archived(volume))
        return replace(source, parent=self._take(Wanted(volume, records.WARM, source, beside=False, left_out=left_out)))

    def forget(self, found: Iterable[Snapshot]) -> None:
        """Remove them, and what earlier runs of the policy have left. What fails now is done by the next run."""
        job = self._job
        left = [one.id for one in found if records.is_of(one, records.WARM, job.policy, job.host)]
        if not (left or self._made):
            return
        try:
            self._context.restic.run("remove warm snapshots", ("forget", "--retry-lock=1m", *left, *self._made))
        except AgentFailed as error:
            self._context.diagnostics.say(error.message)

    def _take(self, wanted: Wanted) -> str:
        what = f"archive volume {wanted.volume} ahead"
        _, summary = take_snapshot(what, wanted, self._job, self._context, lambda _: None)
        if not summary.get("snapshot_id"):
            raise AgentFailed(reasons.ARCHIVE_FAILED, f"{what}: restic ended without a snapshot", retryable=True)
        self._made.append(str(summary["snapshot_id"]))
        return self._made[-1]

    def _without(self, snapshot_id: str, volume: str, paths: Collection[bytes]) -> str:
        """Return a snapshot that does not hold these paths."""
        if not paths:
            return snapshot_id
        left_out = excluding(patterns(paths, self._context.places.archived(volume)))
        what = f"leave out what was written to volume {volume} meanwhile"
        said = self._context.restic.run(what, ("rewrite", RETRY_LOCK, *left_out, snapshot_id)).text
        found = _REWRITTEN.search(said)
        if found is None and _UNCHANGED in said:
            return snapshot_id  # the policy leaves them out already
        if found is None:  # never go on with a snapshot that must not be believed
            message = f"{what}: restic said what is not understood: {said[-200:]}"
            raise AgentFailed(reasons.ARCHIVE_FAILED, message, retryable=True)
        self._made.append(found.group(1))
        return self._made[-1]

    def _table(self, volume: str, parent: Snapshot | None) -> tuple[str, ...] | None:
        """Return the lines that were archived beside the stage of the last run, None where it had none."""
        path = self._table_path(volume)
        if parent is None or path not in parent.paths:
            return None
        return self._context.restic.run(f"read {path} of {parent.id[:8]}", ("dump", NO_LOCK, parent.id, path)).lines

    def _table_path(self, volume: str) -> str:
        return f"{self._context.places.manifests}/{volume}.{TABLE}"


def too_little(root: Path, moment: int) -> str | None:
    """Return why a live pass is not worth it: restic takes as long to start as to read what has changed since."""
    files = total = 0
    for _, size in changed_since(root, moment):
        files, total = files + 1, total + size
        if files >= WORTHWHILE_FILES or total >= WORTHWHILE_BYTES:
            return None
    return f"little is to be read: {humanize.size(total)} in {files} files"


def changed_since(root: Path, moment: int) -> Iterator[tuple[bytes, int]]:
    """Yield path and size of the files below a directory that have changed since a moment (ns since 1970)."""
    for directory, _, names in os.walk(os.fsencode(root)):
        for name in names:
            path = os.path.join(directory, name)
            try:
                found = os.lstat(path)
            except FileNotFoundError:
                continue
            except OSError:  # it is left out of what is believed
                yield os.path.relpath(path, os.fsencode(root)), 0
                continue
            if stat.S_ISREG(found.st_mode) and found.st_ctime_ns >= moment:
                yield os.path.relpath(path, os.fsencode(root)), found.st_size


def patterns(paths: Collection[bytes], root: str) -> tuple[str, ...]:
    """Return patterns of restic that match at least these paths below `root`: what is left out too many is read."""
    wanted = set(paths)
    while len(wanted) > MAX_PATTERNS and any(b"/" in path for path in wanted):
        wanted = {os.path.dirname(path) or path for path in wanted}
    if len(wanted) > MAX_PATTERNS:
        return (f"{root}/*",)
    return tuple(sorted(f"{root}/{_pattern(path)}" for path in wanted))


def _pattern(path: bytes) -> str:
    """Return a path as a pattern in plain letters: one that matches too much is harmless, one that misses it is not."""
    return re.sub(r"[^A-Za-z0-9_./-]", "?", os.fsdecode(path))
