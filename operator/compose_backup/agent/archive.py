"""Archive one volume: manifest, snapshot, and a hard look at what came of it. Called by agent/backup.py."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from compose_backup.agent.context import Context
from compose_backup.agent.engines.restic import NO_LOCK, SOME_FILES_UNREADABLE, Finished
from compose_backup.agent.engines.restic_output import Message
from compose_backup.agent.snapshots import Source, Wanted, take_snapshot
from compose_backup.agent.syncing import sync_file_system
from compose_backup.agent.texts import shorten
from compose_backup.api import reasons
from compose_backup.api.backup_run import VolumeResult
from compose_backup.api.job import BackupJob
from compose_backup.api.record import VolumeManifest
from compose_backup.errors import AgentFailed
from compose_backup.planning import records

EMPTY = "nothing was there to archive: the volume holds no file"


@dataclass(frozen=True)
class Archived:
    """What became of one volume. `reason` is set when it is not green."""

    result: VolumeResult
    manifest: VolumeManifest | None = None
    reason: str | None = None
    retryable: bool = False


def failed(volume: str, error: AgentFailed, manifest: VolumeManifest | None = None) -> Archived:
    """Return the outcome of a volume of which there is nothing."""
    result = VolumeResult(name=volume, phase="Failed", error=shorten(error.message))
    return Archived(result, manifest, error.reason, error.retryable)


def archive(
    volume: str,
    manifest: VolumeManifest,
    job: BackupJob,
    source: Source,
    context: Context,
    on_status: Callable[[Message], None],
) -> Archived:
    """Archive one volume and judge the result. Raise AgentFailed when there is no snapshot of it."""
    document = manifest.model_dump_json(by_alias=True, exclude_none=True, indent=1).encode()
    source.beside(f"{volume}.json").write_bytes(document)
    sync_file_system(source.tree(volume))
    started = time.monotonic()
    finished, summary = take_snapshot(
        f"archive volume {volume}", Wanted(volume, records.RUN, source), job, context, on_status
    )
    seconds = round(time.monotonic() - started, 3)
    counted = _counted(volume, summary, source.files_beside(volume), seconds)
    return _judged(counted, manifest, finished, job, source, context)


def _counted(volume: str, summary: Mapping[str, object], beside: Sequence[Path], seconds: float) -> VolumeResult:
    """Return the figures of a snapshot without the files beside the volume. Raise AgentFailed without a snapshot."""

    def number(field: str) -> int:
        value = summary.get(field, 0)
        return value if isinstance(value, int) else 0

    if not summary.get("snapshot_id"):
        message = f"archive volume {volume}: restic ended without a snapshot; read the agent's log in status.logTail"
        raise AgentFailed(reasons.ARCHIVE_FAILED, message, retryable=True)
    return VolumeResult(
        name=volume,
        phase="Succeeded",
        snapshot_id=str(summary["snapshot_id"]),
        bytes_processed=max(0, number("total_bytes_processed") - sum(one.stat().st_size for one in beside)),
        bytes_added=number("data_added_packed") or number("data_added"),
        files=max(0, number("total_files_processed") - len(beside)),
        duration_seconds=seconds,
    )


def _judged(
    counted: VolumeResult,
    manifest: VolumeManifest,
    finished: Finished,
    job: BackupJob,
    source: Source,
    context: Context,
) -> Archived:
    """Return the volume's outcome: complete, with gaps, or worthless although restic made a snapshot."""
    incomplete = finished.code == SOME_FILES_UNREADABLE or finished.errors.file_error_count > 0
    if incomplete or finished.errors.sources_left_out or counted.files == 0:
        contents = _contents(counted, context)
        swallowed = not incomplete and not contents.anything
        if not contents.root and swallowed and job.exclude_files:
            raise _nothing_archived(counted.name, job)  # a pattern that names the root
        if not contents.root or finished.errors.sources_left_out:
            raise _without_root(counted.name, finished)
        if not contents.anything and _holds_data(source.tree(counted.name)):
            raise _nothing_archived(counted.name, job)
        if swallowed:
            counted = counted.model_copy(update={"warnings": (EMPTY,)})
    return _with_gaps(counted, manifest, finished) if incomplete else Archived(counted, manifest)


def _with_gaps(counted: VolumeResult, manifest: VolumeManifest, finished: Finished) -> Archived:
    number = finished.errors.file_error_count
    warnings = tuple(shorten(error) for error in finished.errors.file_errors)
    error = (
        f"{number or 'some'} files could not be read and are missing from the snapshot; "
        "see the warnings, and look at the host's disk and the rights of these files"
    )
    result = counted.model_copy(update={"phase": "PartiallyFailed", "warnings": warnings, "error": error})
    return Archived(result, manifest, reasons.UNREADABLE_FILES)


def _without_root(volume: str, finished: Finished) -> AgentFailed:
    message = (
        f"volume {volume} could not be read at all, the snapshot does not hold it: {finished.errors.words}; "
        "check that it still exists and that its disk answers"
    )
    return AgentFailed(reasons.UNREADABLE_FILES, message, retryable=True)


def _nothing_archived(volume: str, job: BackupJob) -> AgentFailed:
    why = (
        f"spec.excludeFiles ({', '.join(job.exclude_files)}) leaves nothing of it"
        if job.exclude_files
        else "nothing was read"
    )
    message = f"volume {volume} holds data, but the snapshot holds none: {why}; narrow the patterns"
    return AgentFailed(reasons.NOTHING_ARCHIVED, message, retryable=False)


@dataclass(frozen=True)
class _Contents:
    """What a snapshot holds of a volume: its root, and anything that is not a directory."""

    root: bool
    anything: bool


def _contents(counted: VolumeResult, context: Context) -> _Contents:
    """Look into a snapshot that is suspicious; half a second that a normal one does not cost."""
    root = context.places.archived(counted.name)
    if counted.files > 0:
        arguments: tuple[str, ...] = ("ls", NO_LOCK, str(counted.snapshot_id), root)
    else:
        arguments = ("ls", NO_LOCK, "--recursive", str(counted.snapshot_id), root)
    seen = {"root": False, "anything": counted.files > 0}

    def take(message: Message) -> None:
        if message.get("message_type") == "node" or message.get("struct_type") == "node":
            seen["root"] = seen["root"] or message.get("path") == root
            seen["anything"] = seen["anything"] or message.get("type") != "dir"

    context.restic.run(f"look into snapshot {counted.snapshot_id}", arguments, on_message=take)
    return _Contents(**seen)


def _holds_data(directory: Path) -> bool:
    """Say whether anything but directories and sockets (which restic leaves out) lies below a directory."""
    for folder, _, names in os.walk(directory):
        if any(not stat.S_ISSOCK(_mode(Path(folder, name))) for name in names):
            return True
    return False


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except FileNotFoundError:
        return stat.S_IFSOCK  # it went away meanwhile: nothing that could have been archived
