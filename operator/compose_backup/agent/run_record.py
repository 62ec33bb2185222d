"""The run record: the last snapshot of a run, without which it does not count. Called by agent/backup.py."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from compose_backup.agent.archive import Archived
from compose_backup.agent.context import Context
from compose_backup.agent.engines.restic import document_arguments, identity_arguments, writing_arguments
from compose_backup.agent.engines.restic_output import Message
from compose_backup.agent.events import now
from compose_backup.agent.quiesce.window import Quiescence
from compose_backup.agent.snapshots import tags_of
from compose_backup.api import reasons
from compose_backup.api.backup_run import Consistency
from compose_backup.api.job import BackupJob
from compose_backup.api.record import RecordedVolume, RunRecord, Verdict
from compose_backup.errors import AgentFailed
from compose_backup.planning import records


def verdict_on(volumes: Sequence[Archived]) -> Verdict:
    """Return the verdict: green only when every volume is, and red when no volume has a snapshot."""
    phases = [one.result.phase for one in volumes]
    if phases and all(phase == "Succeeded" for phase in phases):
        return "Succeeded"
    return "PartiallyFailed" if any(phase != "Failed" for phase in phases) else "Failed"


def weakest(volumes: Sequence[Archived]) -> Consistency:
    """Return the weakest consistency; what was never read is not known to have been still."""
    seen = {one.result.consistency for one in volumes if one.result.consistency is not None}
    if not seen or "Live" in seen:
        return "Live"
    return "Frozen" if "Frozen" in seen else "Stopped"


def record_of(job: BackupJob, volumes: Sequence[Archived], started: dt.datetime, quiescence: Quiescence) -> RunRecord:
    """Return the document."""
    return RunRecord(
        run=job.run,
        run_uid=job.run_uid,
        policy=job.policy,
        policy_uid=job.policy_uid,
        host=job.host,
        installation=job.installation,
        attempt=job.attempt,
        slot=job.slot,
        start_time=started,
        end_time=now(),
        verdict=verdict_on(volumes),
        consistency=weakest(volumes),
        quiesce=quiescence.result,
        hooks=quiescence.hooks,
        volumes=tuple(RecordedVolume(result=one.result, manifest=one.manifest) for one in volumes),
    )


def store(record: RunRecord, job: BackupJob, context: Context) -> str:
    """Write the record and return the id of its snapshot. Raise AgentFailed when it is not stored."""
    succeeded = sum(1 for one in record.volumes if one.result.phase == "Succeeded")
    tags = {
        **tags_of(job, records.RECORD),
        "verdict": record.verdict,
        "consistency": record.consistency,
        "volumes": str(succeeded),
    }
    arguments = document_arguments(
        identity_arguments(job.host, job.slot, tags),
        writing_arguments(context.access),
        f"{job.policy.replace('/', '-')}.json",
    )
    summary: dict[str, object] = {}

    def take(message: Message) -> None:
        if message.get("message_type") == "summary":
            summary.update(message)

    document = record.model_dump_json(by_alias=True, exclude_none=True).encode()
    context.restic.run("store the run record", arguments, stdin=document, on_message=take)
    if not summary.get("snapshot_id"):
        raise AgentFailed(
            reasons.ARCHIVE_FAILED, "the run record was not stored: restic named no snapshot", retryable=True
        )
    return str(summary["snapshot_id"])
