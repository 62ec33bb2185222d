"""Agents as the fake engines start them, played: they take their job, work for a while, and report.

They share one repository in memory with its records, so that what one has stored another finds.
Used by the tests of reconcile/.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field

from compose_backup.api.backup_policy import RestorePoint
from compose_backup.api.backup_run import Failure, Progress, QuiesceResult, VolumeResult
from compose_backup.api.job import (
    LENGTH_HEADER,
    BackupJob,
    BackupReport,
    CatalogJob,
    CatalogReport,
    CleanupReport,
    Event,
    Job,
    ProbeReport,
    Report,
    RestoreJob,
    RestoreReport,
)
from compose_backup.api.journal import JournalPlan
from compose_backup.api.record import RecordedVolume, RunRecord
from compose_backup.api.restore_request import RestoredVolume
from compose_backup.planning import wholeness
from fakes import played_quiescing
from fakes.docker_host import FakeAgent, FakeEngine

REPOSITORY_ID = "5e" * 32


@dataclass
class AtWork:
    """A job that takes time, and what is down for it."""

    agent: FakeAgent
    job: Job
    began: dt.datetime
    quiesce: QuiesceResult | None = None

    @property
    def plan(self) -> JournalPlan:
        """Which services go down."""
        part = self.job.backup or self.job.restore
        assert part
        return part.plan


@dataclass
class PlayedAgents:
    """All agents of a scene. `play` is the script of an engine; `go_on` lets those at work come to their end."""

    clock: Callable[[], dt.datetime]
    seconds: float = 30.0
    """How long a backup or restore takes."""
    repository_id: str | None = None
    """Identity of the repository once it was initialised."""
    records: list[RunRecord] = field(default_factory=list)
    failure: Failure | None = None
    """While set, backups report it."""
    started: list[tuple[str, Job]] = field(default_factory=list)
    """Every job that was taken, with the name of its container."""
    creations: int = 0
    """How often a repository was initialised."""
    engine: FakeEngine | None = None
    """The engine whose services are quiesced."""
    breaks_after_writing: bool = False
    """While set, restores fail after their first byte."""
    touches: bool = True
    """Whether a restore writes from its beginning."""
    starts_in_vain: bool = False
    """Whether what they start ends at once."""
    before_stop: Callable[[], Failure | None] = lambda: None
    """Why a backup or restore ends before it has stopped anything, asked when it has its job."""
    _at_work: list[AtWork] = field(default_factory=list)

    def play(self, agent: FakeAgent) -> None:
        """Take the job; searches, probes and cleanups report at once."""
        job = Job.model_validate_json(agent.job[LENGTH_HEADER.size :])
        self.started.append((agent.wanted.name, job))
        agent.say(Event(sequence=1, time=self.clock(), type="accepted"))
        if job.probe:
            agent.report(self._probed(job))
        elif job.catalog:
            agent.report(Report(catalog=self.found(job.catalog)))
        elif job.cleanup:
            played_quiescing.up(self._engine, job.cleanup.plan, None, self.clock())
            agent.report(Report(cleanup=CleanupReport()))
        elif failure := self.before_stop():
            agent.report(Report(failure=failure), 1)
        else:
            self._begin(AtWork(agent, job, self.clock()))

    def go_on(self) -> None:
        """Say how far the agents are, and end those whose time has come."""
        for work in list(self._at_work):
            spent = (self.clock() - work.began).total_seconds()
            if work.agent.state != "running":
                self._at_work.remove(work)
            elif spent >= self.seconds:
                self._at_work.remove(work)
                self._end(work)
            else:
                progress = Progress(percent=int(100 * spent / self.seconds), bytes_done=int(spent), bytes_total=30)
                self._say(work, progress)

    def recover(self, agent: FakeAgent) -> None:
        """Let an agent crash and be started again by Docker: it brings the services back, and reports."""
        work = next(one for one in self._at_work if one.agent is agent)
        self._at_work.remove(work)
        touched = work.job.restore is not None and self.touches
        failure = Failure(reason="Interrupted", message="the agent was restarted", retryable=not touched)
        quiesce = self._without_resuming(work) if touched else self._resumed(work)
        agent.report(Report(cleanup=CleanupReport(quiesce=quiesce, target_incomplete=touched), failure=failure), 1)

    @property
    def _engine(self) -> FakeEngine:
        assert self.engine
        return self.engine

    def _begin(self, work: AtWork) -> None:
        work.quiesce = played_quiescing.down(self._engine, work.plan, self.clock()) if work.plan.services else None
        self._at_work.append(work)
        if work.quiesce:
            work.agent.when_asked = lambda: self._stop(work)
            self._say(work, None)

    def _stop(self, work: AtWork) -> None:
        """Come to an early end, as an agent that is asked to stop: services first."""
        self._at_work.remove(work)
        failure = Failure(reason="Cancelled", message="stopped as asked")
        quiesce = self._resumed(work)
        part = {"backup": BackupReport(verdict="Failed", quiesce=quiesce)} if work.job.backup else {}
        work.agent.report(Report(failure=failure, cancelled=True, **part), 1)

    def _say(self, work: AtWork, progress: Progress | None) -> None:
        work.agent.say(
            Event(
                sequence=work.agent.events[-1].sequence + 1,
                time=self.clock(),
                type="progress",
                progress=progress,
                window="Quiesced" if work.quiesce else None,
                quiesce=work.quiesce,
                target_touched=work.job.restore is not None and self.touches,
            )
        )

    def _end(self, work: AtWork) -> None:
        broken = work.job.restore is not None and self.breaks_after_writing
        if work.job.restore and not broken:
            self.mark_whole(work.job.restore)
        quiesce = self._without_resuming(work) if broken else self._resumed(work, whole=True)
        work.agent.report(self._worked(work.job, quiesce), exit_code=1 if self.failure or broken else 0)

    def mark_whole(self, job: RestoreJob) -> None:
        """Tell on the host that all targets of a restore are whole."""
        mark = wholeness.made(job.whole_mark, _restored(job))
        self._engine.volumes[mark.name] = mark

    def _resumed(self, work: AtWork, *, whole: bool = False) -> QuiesceResult | None:
        if not work.quiesce:
            return None
        found = played_quiescing.up(self._engine, work.plan, work.quiesce, self.clock(), whole=whole)
        return played_quiescing.ended_again(self._engine, found) if self.starts_in_vain else found

    def _without_resuming(self, work: AtWork) -> QuiesceResult | None:
        return work.quiesce.model_copy(update={"kept_stopped": True}) if work.quiesce else None

    def jobs(self, purpose: str) -> list[Job]:
        """Return the jobs for a purpose, each start once: `run`, `restore`, `probe`, `catalog`."""
        return [job for name, job in self.started if name.startswith(f"compose-backup-{purpose}-")]

    def found(self, wanted: CatalogJob) -> CatalogReport:
        """Answer a search from the records."""
        fitting = [
            record
            for record in self.records
            if wanted.run_uid in (None, record.run_uid) and wanted.policy in (None, record.policy)
            if wanted.as_of is None or record.slot <= wanted.as_of
        ]
        if not fitting:
            return CatalogReport()
        newest = max(fitting, key=lambda record: (record.slot, record.attempt))
        return CatalogReport(points=tuple(_point(one) for one in fitting), record=newest, record_id=_record_id(newest))

    def store_record(self, job: BackupJob) -> RunRecord:
        """Do what an agent does last: write the record that makes the run good."""
        results = [
            VolumeResult(name=name, phase="Succeeded", snapshot_id="aa" * 32, consistency="Stopped", bytes_processed=30)
            for name in job.volumes
        ]
        self.records.append(
            RunRecord(
                run=job.run,
                run_uid=job.run_uid,
                policy=job.policy,
                policy_uid=job.policy_uid,
                host=job.host,
                installation=job.installation,
                attempt=job.attempt,
                slot=job.slot,
                start_time=self.clock(),
                end_time=self.clock(),
                verdict="Succeeded",
                consistency="Stopped",
                volumes=tuple(RecordedVolume(result=result) for result in results),
            )
        )
        return self.records[-1]

    def _probed(self, job: Job) -> Report:
        assert job.probe
        created = job.probe.create and self.repository_id is None
        if created:
            self.creations += 1
            self.repository_id = REPOSITORY_ID
        if self.repository_id is None:
            return Report(failure=Failure(reason="RepositoryAbsent", message="nothing is there"))
        return Report(probe=self._seen().model_copy(update={"created": created}))

    def _seen(self) -> ProbeReport:
        """Return what is in the repository."""
        assert self.repository_id
        snapshots = sum(len(record.volumes) for record in self.records)
        return ProbeReport(
            repository_id=self.repository_id, created=False, snapshots=snapshots, size_bytes=snapshots * 1024
        )

    def _worked(self, job: Job, quiesce: QuiesceResult | None) -> Report:
        if job.restore:
            if self.breaks_after_writing:
                broken = [RestoredVolume(name=one.target, phase="TargetIncomplete") for one in job.restore.volumes]
                failure = Failure(reason="TargetIncomplete", message="the disk is full")
                return Report(restore=RestoreReport(volumes=tuple(broken), quiesce=quiesce), failure=failure)
            return Report(restore=RestoreReport(volumes=_restored(job.restore), quiesce=quiesce))
        assert job.backup
        if self.failure:
            return Report(backup=BackupReport(verdict="Failed", quiesce=quiesce), failure=self.failure)
        record = self.store_record(job.backup)
        volumes = tuple(volume.result for volume in record.volumes)
        backup = BackupReport(
            verdict="Succeeded",
            volumes=volumes,
            record_id=_record_id(record),
            quiesce=quiesce,
            repository=self._seen(),
        )
        return Report(backup=backup, failure=_not_resumed(quiesce))


def _restored(job: RestoreJob) -> tuple[RestoredVolume, ...]:
    return tuple(RestoredVolume(name=one.target, phase="Succeeded") for one in job.volumes)


def _not_resumed(quiesce: QuiesceResult | None) -> Failure | None:
    """Return what an agent says in the end of services that it could not start."""
    stuck = [one for one in quiesce.services if one.error] if quiesce else []
    if not stuck:
        return None
    return Failure(reason="ServiceNotResumed", message=f"{stuck[0].service} does not run: {stuck[0].error}")


def _record_id(record: RunRecord) -> str:
    return f"record-{record.run_uid}-{record.attempt}"


def _point(record: RunRecord) -> RestorePoint:
    return RestorePoint(
        run=record.run,
        run_uid=record.run_uid,
        time=record.slot,
        volumes=len(record.volumes),
        consistency=record.consistency,
        record=_record_id(record),
    )
