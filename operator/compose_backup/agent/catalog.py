"""CatalogJob: find records of runs, or one snapshot, for a restore and for the list of restore points.

Called by agent/jobs.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import ValidationError

from compose_backup.agent.context import Context
from compose_backup.agent.engines.restic import NO_LOCK
from compose_backup.agent.repository import open_repository
from compose_backup.api import reasons
from compose_backup.api.job import CatalogJob, CatalogReport, FoundSnapshot, Report
from compose_backup.api.record import RunRecord, VolumeManifest
from compose_backup.errors import AgentFailed
from compose_backup.planning import records
from compose_backup.planning.records import Snapshot

MAX_RECORDS_READ = 20
"""A record costs half a second; when none of the newest twenty fits, the search ends."""


def run(job: CatalogJob, context: Context) -> Report:
    """Answer what the job asks. Nothing found is an answer, except for a snapshot that was named."""
    found = open_repository(context).snapshots
    if job.snapshot_id is not None:
        return Report(catalog=CatalogReport(snapshot=_snapshot(job.snapshot_id, found, context)))
    if job.run_uid is not None:
        newest = records.record_of_run(found, job.run_uid)
        return Report(catalog=_report((), (newest,) if newest else (), job.volume, context))
    candidates = records.candidates(found, job, context.places.volumes)
    return Report(catalog=_report(candidates, candidates, job.volume, context))


def _report(
    good: Sequence[Snapshot], candidates: Iterable[Snapshot], volume: str | None, context: Context
) -> CatalogReport:
    """Return the points, and the first record that fits."""
    points = records.points(good)
    for candidate in list(candidates)[:MAX_RECORDS_READ]:
        context.stop.check()
        record = read_record(candidate, context)
        if volume is None or holds(record, volume):
            return CatalogReport(points=points, record=record, record_id=candidate.id)
    return CatalogReport(points=points)


def holds(record: RunRecord, volume: str) -> bool:
    """Say whether a volume succeeded in a run."""
    return any(one.result.name == volume and one.result.phase == "Succeeded" for one in record.volumes)


def read_record(snapshot: Snapshot, context: Context) -> RunRecord:
    """Return the document of a record."""
    text = _dump(snapshot, snapshot.paths[0], context)
    try:
        return RunRecord.model_validate_json(text)
    except ValidationError as error:
        message = f"record {snapshot.id[:8]} cannot be understood: {error}; restore by snapshotId instead"
        raise AgentFailed(reasons.ARCHIVE_FAILED, message, retryable=False) from error


def read_manifest(snapshot: Snapshot, volume: str, context: Context) -> VolumeManifest | None:
    """Return the manifest that was archived with a volume, or None for a snapshot without one."""
    path = context.places.manifest(volume)
    if path not in snapshot.paths:
        return None
    return VolumeManifest.model_validate_json(_dump(snapshot, path, context))


def _dump(snapshot: Snapshot, path: str, context: Context) -> str:
    return context.restic.run(f"read {path} of {snapshot.id[:8]}", ("dump", NO_LOCK, snapshot.id, path)).text


def _snapshot(prefix: str, found: Sequence[Snapshot], context: Context) -> FoundSnapshot:
    """Return the one snapshot whose id begins so. Raise AgentFailed when it is none, several, or not of a volume."""
    matching = records.by_prefix(found, prefix)
    if len(matching) != 1:
        what = "names no snapshot" if not matching else f"names {len(matching)} snapshots; give more digits"
        message = f"snapshot id {prefix} {what}; `restic snapshots` lists what is there"
        raise AgentFailed(reasons.SNAPSHOT_NOT_FOUND, message, retryable=False)
    snapshot = matching[0]
    volume = records.volume_of(snapshot, context.places.volumes)
    if volume is None:
        held, place = ", ".join(snapshot.paths), context.places.volumes
        message = f"snapshot {prefix} holds {held}, which is no volume; choose one whose path lies below {place}"
        raise AgentFailed(reasons.SNAPSHOT_NOT_FOUND, message, retryable=False)
    manifest = read_manifest(snapshot, volume, context)
    return FoundSnapshot(snapshot_id=snapshot.id, time=snapshot.time, volume=volume, manifest=manifest)
