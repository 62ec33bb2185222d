"""BackupJob: look, stop services, archive volume by volume, start them again, and close the run by its record.

Called by agent/jobs.py.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from compose_backup.agent import run_record
from compose_backup.agent.archive import Archived, archive, failed, parent_of
from compose_backup.agent.context import Context, Patience
from compose_backup.agent.engines.restic_errors import ENDS_THE_ATTEMPT
from compose_backup.agent.engines.restic_output import Message
from compose_backup.agent.events import now
from compose_backup.agent.looking import Engine, Look
from compose_backup.agent.manifest import manifest_of, root_of
from compose_backup.agent.progress import Tally
from compose_backup.agent.quiesce.checks import look_for, refuse_changes
from compose_backup.agent.quiesce.window import Quiescence
from compose_backup.agent.repository import Opened, described, open_to_write
from compose_backup.agent.texts import MESSAGE_LIMIT, shorten
from compose_backup.api import reasons
from compose_backup.api.backup_run import Failure
from compose_backup.api.job import BackupJob, BackupReport, Report
from compose_backup.errors import AgentFailed
from compose_backup.planning import writers
from compose_backup.planning.facts import Container, Volume
from compose_backup.planning.records import Snapshot

STOP_OR_ASK = "it was started meanwhile by somebody else: keep it down, or ask for a live copy by quiesce.method: None"


def run(job: BackupJob, context: Context) -> Report:
    """Archive all volumes. Raise AgentFailed only for what is found before anything is stopped."""
    started = now()
    work = _prepared(job, context)
    refuse_changes(job.plan, job.volumes, work.look)
    quiescence = Quiescence(job.plan, work.engine, context)
    try:
        with quiescence:  # pre hooks, stops · starts, post hooks
            work.look_again()
            archived = work.archive_all()
    except AgentFailed as error:
        archived = work.refuse(error)
    report = _closed(job, archived, started, context, quiescence, work.ended_by)
    quiescence.finish()
    return _with_services(_with_repository(report, work), quiescence)


def _prepared(job: BackupJob, context: Context) -> _Work:
    """Open the repository and look around: whatever fails here has touched nothing."""
    # Opening costs half a second of key derivation; looking through the Docker socket changes nothing meanwhile.
    with ThreadPoolExecutor(max_workers=2) as pool:
        opening, asking = pool.submit(open_to_write, context), pool.submit(_versions, context)
        engine = context.engine()
        look = _looked(engine, job, opening, context.patience)
        return _Work(job, context, engine, look, opening.result(), asking.result())


def _looked(engine: Engine, job: BackupJob, opening: Future[Opened], patience: Patience) -> Look:
    """Return the first look. When the repository cannot be opened either, that is what is told."""
    try:
        return look_for(job.plan, job.volumes, engine, patience)
    except AgentFailed:
        opening.result()
        raise


@dataclass
class _Work:
    """One attempt at all volumes. `look` is the newest one: the look after a volume is the one before the next."""

    job: BackupJob
    context: Context
    engine: Engine
    look: Look
    opened: Opened
    versions: tuple[str, str]
    """Of the agent and of restic, for the manifests."""
    ended_by: AgentFailed | None = None

    def refuse(self, refusal: AgentFailed) -> list[Archived]:
        """Fail every volume for the same reason."""
        self.ended_by = refusal
        return [failed(name, refusal) for name in self.job.volumes]

    def look_again(self) -> None:
        """Look once more when something was stopped: what is seen now is what the first volume is archived with."""
        if self.job.plan.services:
            self.look = self._look()

    def _look(self) -> Look:
        return look_for(self.job.plan, self.job.volumes, self.engine, self.context.patience)

    def archive_all(self) -> list[Archived]:
        """Archive one volume after the other; what fails stops the others only when they would fail alike."""
        parents = {name: parent_of(name, self.job, self.opened.snapshots, self.context) for name in self.job.volumes}
        tally = Tally(self.job.volumes, {name: one.bytes for name, one in parents.items() if one is not None})
        return [self._attempt(name, parents[name], tally) for name in self.job.volumes]

    def _attempt(self, name: str, parent: Snapshot | None, tally: Tally) -> Archived:
        if self.ended_by is not None:
            return failed(name, _not_reached(self.ended_by))
        try:
            self.context.stop.check()
            return self._archive(name, parent, tally)
        except (AgentFailed, OSError) as problem:
            error = problem if isinstance(problem, AgentFailed) else _unreadable(name, problem)
            if error.reason in ENDS_THE_ATTEMPT or error.reason == reasons.WINDOW_EXCEEDED:
                self.ended_by = error
            return failed(name, error)

    def _archive(self, name: str, parent: Snapshot | None, tally: Tally) -> Archived:
        volume = self._volume(name)
        directory = self.context.places.volume(name)
        method = self.job.plan.method
        manifest = manifest_of(volume, root_of(directory), self.look, self.engine.digest, self.versions, method)
        report = self._reporting(name, tally)
        report({})
        archived = archive(name, manifest, self.job, parent, self.context, report)
        self.context.emitter.progress(tally.finish(name, archived.result.bytes_processed, archived.result.files))
        return self._with_consistency(volume, archived)

    def _reporting(self, name: str, tally: Tally) -> Callable[[Message], None]:
        return lambda status: self.context.emitter.progress(tally.take(name, status))

    def _volume(self, name: str) -> Volume:
        """Return the volume as Docker knows it. Raise AgentFailed when it is gone."""
        volume = self.look.inventory.volume(name)
        if volume is None or not self.context.places.volume(name).is_dir():
            message = f"volume {name} is gone since the run was planned; the next run selects anew"
            raise AgentFailed(reasons.VOLUME_NOT_FOUND, message, retryable=False)
        return volume

    def _with_consistency(self, volume: Volume, archived: Archived) -> Archived:
        """Look again: whoever wrote while the volume was read makes the copy a live one."""
        before, self.look = self.look, self._look()
        found = writers.consistency(volume, before.inventory, self.look.inventory)
        result = archived.result.model_copy(update={"consistency": found})
        seen = writers.seen_writing(volume, before.inventory, self.look.inventory)
        who = [one for one in seen if not self._may_go_on(one)]
        if not who:
            return replace(archived, result=result)
        message = f"{writers.titles(who)} wrote to volume {volume.name} while it was read; {STOP_OR_ASK}"
        result = result.model_copy(update={"phase": "Failed", "error": shorten(message)})
        return replace(archived, result=result, reason=reasons.SERVICES_RUNNING, retryable=True)

    def _may_go_on(self, container: Container) -> bool:
        """Whether a live copy was asked for, of everything or of what this container writes."""
        return self.job.plan.method == "None" or container.id in self.job.plan.left_running


def _unreadable(name: str, error: OSError) -> AgentFailed:
    message = f"volume {name}: {error}; check that its disk is mounted on the host and answers"
    return AgentFailed(reasons.UNREADABLE_FILES, message, retryable=True)


def _not_reached(cause: AgentFailed) -> AgentFailed:
    return AgentFailed(cause.reason, f"not reached: {cause.message}", retryable=cause.retryable)


def _versions(context: Context) -> tuple[str, str]:
    """Return the versions of the agent and of restic, for the manifests."""
    try:
        own = importlib.metadata.version("compose-backup-operator")
    except importlib.metadata.PackageNotFoundError:
        own = "unknown"  # run from a source tree
    return own, str(json.loads(context.restic.run("ask restic's version", ("version",)).text)["version"])


def _closed(
    job: BackupJob,
    archived: list[Archived],
    started: dt.datetime,
    context: Context,
    quiescence: Quiescence,
    ended_by: AgentFailed | None,
) -> Report:
    """Write the record and return the report. Without a record no attempt succeeded."""
    record = run_record.record_of(job, archived, started, quiescence)
    volumes = tuple(one.result for one in archived)
    failure = _failure(archived, ended_by)
    try:
        if ended_by is not None and ended_by.reason in ENDS_THE_ATTEMPT:
            raise ended_by
        record_id = run_record.store(record, job, context)
    except AgentFailed as error:
        failure = _as_failure(error)
        return Report(backup=BackupReport(verdict="Failed", volumes=volumes), failure=failure)
    return Report(backup=BackupReport(verdict=record.verdict, volumes=volumes, record_id=record_id), failure=failure)


def _with_repository(report: Report, work: _Work) -> Report:
    """Add what is in the repository now."""
    assert report.backup is not None
    added = sum(1 for one in report.backup.volumes if one.snapshot_id)
    told = {"repository": described(work.opened, work.context, added)}
    return report.model_copy(update={"backup": report.backup.model_copy(update=told)})


def _failure(archived: list[Archived], ended_by: AgentFailed | None) -> Failure | None:
    """Return why the attempt is not green: what ended it, or else the worst volume, the others counted."""
    if ended_by is not None:
        return _as_failure(ended_by)
    bad = sorted((one for one in archived if one.reason), key=lambda one: one.result.phase != "Failed")
    if not bad:
        return None
    others = f" (and {len(bad) - 1} more of {len(archived)} volumes)" if len(bad) > 1 else ""
    message = f"volume {bad[0].result.name}: {bad[0].result.error}{others}"
    retryable = all(one.retryable for one in bad)
    return Failure(reason=str(bad[0].reason), message=shorten(message, MESSAGE_LIMIT), retryable=retryable)


def _with_services(report: Report, quiescence: Quiescence) -> Report:
    """Add what became of the services. One that is still down comes before everything that is wrong with the data."""
    assert report.backup is not None
    told: dict[str, object] = {"quiesce": quiescence.result, "hooks": quiescence.hooks}
    problem, failure = quiescence.failure, report.failure
    if problem is not None and (failure is None or problem.reason == reasons.SERVICE_NOT_RESUMED):
        failure = _as_failure(problem)
        if problem.reason == reasons.HOOK_FAILED:
            told["verdict"] = "PartiallyFailed"
    return report.model_copy(update={"backup": report.backup.model_copy(update=told), "failure": failure})


def _as_failure(error: AgentFailed) -> Failure:
    return Failure(reason=error.reason, message=shorten(error.message, MESSAGE_LIMIT), retryable=error.retryable)
