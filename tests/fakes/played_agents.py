"""Agents as the fake engines start them, played: they take their job, work for a while, and report.

They share one repository in memory with its records, so that what one has stored another finds.
Used by the tests of reconcile/.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field

from compose_backup.api.backup_policy import RestorePoint
from compose_backup.api.backup_run import Failure, Progress, VolumeResult
from compose_backup.api.job import (
    LENGTH_HEADER,
    BackupJob,
    BackupReport,
    CatalogJob,
    CatalogReport,
    Event,
    Job,
    ProbeReport,
    Report,
    RestoreReport,
)
from compose_backup.api.record import RecordedVolume, RunRecord
from compose_backup.api.restore_request import RestoredVolume
from fakes.docker_host import FakeAgent

REPOSITORY_ID = "5e" * 32


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
    _at_work: list[tuple[FakeAgent, Job, dt.datetime]] = field(default_factory=list)

    def play(self, agent: FakeAgent) -> None:
        """Take the job; searches and probes report at once."""
        job = Job.model_validate_json(agent.job[LENGTH_HEADER.size :])
        self.started.append((agent.wanted.name, job))
        agent.say(Event(sequence=1, time=self.clock(), type="accepted"))
        if job.probe:
            agent.report(self._probed(job))
        elif job.catalog:
            agent.report(Report(catalog=self.found(job.catalog)))
        else:
            self._at_work.append((agent, job, self.clock()))

    def go_on(self) -> None:
        """Say how far the agents are, and end those whose time has come."""
        for agent, job, began in list(self._at_work):
            spent = (self.clock() - began).total_seconds()
            if agent.state != "running":
                self._at_work.remove((agent, job, began))
            elif spent >= self.seconds:
                self._at_work.remove((agent, job, began))
                agent.report(self._worked(job), exit_code=1 if self.failure else 0)
            else:
                progress = Progress(percent=int(100 * spent / self.seconds), bytes_done=int(spent), bytes_total=30)
                sequence = agent.events[-1].sequence + 1
                agent.say(
                    Event(
                        sequence=sequence,
                        time=self.clock(),
                        type="progress",
                        progress=progress,
                        target_touched=job.restore is not None,
                    )
                )

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
        snapshots = sum(len(record.volumes) for record in self.records)
        return Report(
            probe=ProbeReport(
                repository_id=self.repository_id, created=created, snapshots=snapshots, size_bytes=snapshots * 1024
            )
        )

    def _worked(self, job: Job) -> Report:
        if job.restore:
            done = [RestoredVolume(name=one.target, phase="Succeeded") for one in job.restore.volumes]
            return Report(restore=RestoreReport(volumes=tuple(done)))
        assert job.backup
        if self.failure:
            return Report(failure=self.failure)
        record = self.store_record(job.backup)
        volumes = tuple(volume.result for volume in record.volumes)
        return Report(backup=BackupReport(verdict="Succeeded", volumes=volumes, record_id=_record_id(record)))


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
