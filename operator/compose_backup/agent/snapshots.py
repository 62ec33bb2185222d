"""Snapshots of a volume: where it is read from, and what it is compared with. Called by archive.py and warm.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from compose_backup.agent.context import Context
from compose_backup.agent.engines.restic import (
    SOME_FILES_UNREADABLE,
    Finished,
    backup_arguments,
    excludes,
    excluding,
    identity_arguments,
    writing_arguments,
)
from compose_backup.agent.engines.restic_output import Message
from compose_backup.api.job import BackupJob

TABLE = "looks"
"""Suffix of the table that is archived beside a volume when it was read from its stage (agent/stage/table.py)."""


@dataclass(frozen=True)
class Source:
    """Where a volume is read from: a directory with `volumes/<volume>` and `manifest/`."""

    root: Path
    parent: str | None = None
    """Snapshot that it is compared with; without one everything is read."""
    staged: bool = False
    """Whether it is a stage. Its files are new in each run: compared are size and time, the rest is ahead's work."""
    is_sized: bool = False
    """Whether how much it holds is known well enough for progress, or nobody asks: else restic counts it meanwhile."""

    def tree(self, volume: str) -> Path:
        """Return the root of the volume."""
        return self.root / "volumes" / volume

    def beside(self, name: str) -> Path:
        """Return where a file lies that is archived beside the volume."""
        return self.root / "manifest" / name

    def files_beside(self, volume: str) -> tuple[Path, ...]:
        """Return the files that are archived with the volume and do not count as its own."""
        names = (f"{volume}.json", f"{volume}.{TABLE}")[: 2 if self.staged else 1]
        return tuple(self.beside(name) for name in names)


@dataclass(frozen=True)
class Wanted:
    """A snapshot to be taken. `left_out` are further patterns, besides those of the policy."""

    volume: str
    kind: str
    source: Source
    beside: bool = True
    """Whether the files beside the volume belong to it, which a snapshot to compare with needs not."""
    left_out: tuple[str, ...] = ()


def tags_of(job: BackupJob, kind: str) -> Mapping[str, str]:
    """Return what marks a snapshot as ours: a name can come again, a UID cannot."""
    return {
        "kind": kind,
        "policy": job.policy,
        "run": job.run,
        "uid": job.run_uid,
        "attempt": str(job.attempt),
        "installation": job.installation,
    }


def take_snapshot(
    what: str, wanted: Wanted, job: BackupJob, context: Context, on_status: Callable[[Message], None]
) -> tuple[Finished, Mapping[str, object]]:
    """Archive what a source holds of a volume, and return how restic ended and its summary."""
    source, places = wanted.source, context.places
    beside = source.files_beside(wanted.volume) if wanted.beside else ()
    places.read_from(source.root)
    arguments = backup_arguments(
        identity_arguments(job.host, job.slot, tags_of(job, wanted.kind)),
        writing_arguments(context.access),
        source.parent,
        (*excludes(job.exclude_files, places.archived(wanted.volume)), *excluding(wanted.left_out)),
        (places.archived(wanted.volume), *(f"{places.manifests}/{one.name}" for one in beside)),
        trusts_times=source.staged,
        counts=not source.is_sized,
    )
    summary: dict[str, object] = {}

    def take(message: Message) -> None:
        if message.get("message_type") == "status":
            on_status(message)
        elif message.get("message_type") == "summary":
            summary.update(message)

    allowed = frozenset({0, SOME_FILES_UNREADABLE})
    return context.restic.run(what, arguments, allowed=allowed, on_message=take), summary
