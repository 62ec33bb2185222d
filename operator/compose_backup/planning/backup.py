"""Whether a run may start, what it is started with, and how it ends. Called by reconcile/backup_run.py."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from compose_backup.api import reasons
from compose_backup.api.backup_policy import MAX_VOLUMES
from compose_backup.api.backup_run import BackupRunStatus, Failure, HostChoice, RepositoryChoice, ResolvedRun
from compose_backup.api.conditions import READY
from compose_backup.api.job import BackupReport, Report
from compose_backup.api.resources import Host, Policy, Repository, Restore, Run
from compose_backup.planning import humanize, schedule
from compose_backup.planning.checks import Objection, first_objection, if_absent
from compose_backup.planning.facts import Inventory, Volume
from compose_backup.planning.selection import selected


@dataclass(frozen=True)
class RunFacts:
    """What decides whether a run may start. `host` and `repository` are its policy's, None where there is none."""

    run: Run
    policy: Policy | None
    host: Host | None
    hosts: tuple[Host, ...]
    """All hosts of the cluster: several may be one engine."""
    repository: Repository | None
    inventory: Inventory | None
    repository_volumes: Collection[str]
    runs: tuple[Run, ...]
    """All other runs that are not finished."""
    restores: tuple[Restore, ...]
    """All restores that are not finished."""
    now: dt.datetime

    @property
    def engine_id(self) -> str | None:
        """Identity of the host's engine, if it was ever seen."""
        return self.host.status.engine.id if self.host and self.host.status.engine else None

    @property
    def volumes(self) -> tuple[Volume, ...]:
        """The volumes that the policy selects."""
        if self.policy is None or self.inventory is None:
            return ()
        return selected(self.policy.spec.selector, self.inventory, self.repository_volumes)


def policy_missing(facts: RunFacts) -> Objection | None:
    """Object to a run whose policy does not exist, or is another one of the same name."""
    policy, name = facts.policy, facts.run.spec.policy_ref.name
    if policy is None:
        message = f"BackupPolicy {name} does not exist in this namespace; create another run once it is there"
        return Objection(reasons.POLICY_NOT_FOUND, message, if_absent(facts.run, facts.now))
    owners = facts.run.owner_uids
    if owners and policy.uid not in owners:
        return Objection(
            reasons.POLICY_NOT_FOUND, f"the BackupPolicy {name} of this run was deleted and made anew", "fail"
        )
    return None


def too_late(facts: RunFacts) -> Objection | None:
    """Object to a slot that is older than the policy's starting deadline."""
    assert facts.policy
    limit = facts.policy.spec.starting_deadline_seconds
    if limit is None or facts.run.spec.trigger != "Schedule":
        return None
    # A slot is put off by jitter on purpose: only what comes on top of it is late.
    jitter = schedule.jitter_of(facts.policy.uid, facts.policy.spec.jitter_seconds)
    late = facts.now - slot_of(facts.run) - jitter
    if late.total_seconds() <= limit:
        return None
    return Objection(
        reasons.STARTING_DEADLINE_EXCEEDED,
        f"the slot is {humanize.duration(late)} past, and spec.startingDeadlineSeconds of the policy allows {limit} s",
        "skip",
    )


def waited_too_long(facts: RunFacts) -> Objection | None:
    """Object to a run that has used up its deadline before it could start."""
    assert facts.policy
    deadline = deadline_of(facts)
    if deadline is None or facts.now < deadline:
        return None
    return Objection(
        reasons.DEADLINE_EXCEEDED,
        "the run could not start within spec.deadlineSeconds of the policy; "
        f"it waited for: {facts.run.condition(READY)}",
        "fail",
    )


def older_run(facts: RunFacts) -> Objection | None:
    """Object to a second run of one policy at a time."""
    me = (facts.run.created, facts.run.name)
    for run in facts.runs:
        same = run.namespace == facts.run.namespace and run.spec.policy_ref == facts.run.spec.policy_ref
        if same and (run.status.resolved or (run.created, run.name) < me):
            return Objection(reasons.PENDING, f"BackupRun {run.name} of the same policy is not finished")
    return None


def host_not_ready(facts: RunFacts) -> Objection | None:
    """Object to a host that is missing or does not answer."""
    assert facts.policy
    name = facts.policy.spec.host_ref.name
    if facts.host is None:
        return Objection(reasons.HOST_NOT_FOUND, f"ComposeHost {name} does not exist in this namespace; create it")
    if not facts.host.ready:
        return Objection(reasons.HOST_NOT_READY, f"ComposeHost {name} is not ready: {facts.host.condition(READY)}")
    return None


def repository_not_ready(facts: RunFacts) -> Objection | None:
    """Object to a repository that is missing, lies on another host, or cannot be opened."""
    assert facts.policy
    name, host = facts.policy.spec.repository_ref.name, facts.policy.spec.host_ref.name
    repository = facts.repository
    if repository is None:
        return Objection(
            reasons.REPOSITORY_NOT_FOUND, f"ArchiveRepository {name} does not exist in this namespace; create it"
        )
    if repository.spec.host_ref.name != host:
        return Objection(
            reasons.WRONG_HOST,
            f"ArchiveRepository {name} lies on ComposeHost {repository.spec.host_ref.name}, but the policy's "
            f"volumes are on {host}: a directory or volume can only be used on its own host; give {host} a repository "
            "of its own",
            "fail",
        )
    if not repository.ready:
        return Objection(
            reasons.REPOSITORY_NOT_READY, f"ArchiveRepository {name} is not ready: {repository.condition(READY)}"
        )
    return None


def nothing_matches(facts: RunFacts) -> Objection | None:
    """Object to a selector without a volume: a typing error must not look like a backup."""
    assert facts.policy
    if len(facts.volumes) > MAX_VOLUMES:
        return Objection(
            reasons.INVALID_SPEC,
            f"the selector matches {len(facts.volumes)} volumes, more than {MAX_VOLUMES}; split it",
            "fail",
        )
    if facts.volumes:
        return None
    if facts.policy.spec.selector.allow_empty:
        return Objection(reasons.NOTHING_MATCHES, "no volume matches, which selector.allowEmpty allows", "skip")
    return Objection(
        reasons.NOTHING_MATCHES,
        f"no volume on ComposeHost {facts.policy.spec.host_ref.name} matches spec.selector; compare it with "
        "`docker volume ls`, or set selector.allowEmpty",
        "fail",
    )


def restore_active(facts: RunFacts) -> Objection | None:
    """Object while a restore writes to one of the volumes."""
    mine = {volume.name for volume in facts.volumes}
    for restore in facts.restores:
        resolved = restore.status.resolved
        if restore.status.phase != "Running" or resolved is None or resolved.host.engine_id != facts.engine_id:
            continue
        if shared := sorted(mine & {volume.target for volume in resolved.volumes}):
            return Objection(
                reasons.RESTORE_ACTIVE,
                f"RestoreRequest {restore.namespace}/{restore.name} writes to {humanize.listed(shared)}",
            )
    return None


def host_busy(facts: RunFacts) -> Objection | None:
    """Object when the engine already has as many runs and restores as it may."""
    assert facts.host
    return engine_busy(facts.host, facts.hosts, facts.runs, facts.restores)


def engine_busy(
    host: Host, hosts: Collection[Host], runs: Collection[Run], restores: Collection[Restore]
) -> Objection | None:
    """Object when an engine has as many runs and restores as its ComposeHosts allow: the smaller number wins."""
    engine = host.status.engine.id if host.status.engine else None
    others: list[Run | Restore] = [*runs, *restores]
    here = [
        f"{other.kind.name} {other.namespace}/{other.name}"
        for other in others
        if other.status.phase == "Running" and other.status.resolved and other.status.resolved.host.engine_id == engine
        if getattr(other.status, "retry_at", None) is None  # between two attempts the engine is free for others
    ]
    sharing = [host, *(one for one in hosts if one.status.engine and one.status.engine.id == engine)]
    strictest = min(sharing, key=lambda one: one.spec.max_concurrent_runs)
    if len(here) < strictest.spec.max_concurrent_runs:
        return None
    return Objection(
        reasons.HOST_BUSY,
        f"{humanize.listed(here)} at work on the engine of ComposeHost {host.name}; maxConcurrentRuns of ComposeHost "
        f"{strictest.namespace}/{strictest.name} is {strictest.spec.max_concurrent_runs}",
    )


# What the cluster alone tells comes first: while one run works, those that wait do not ask the engine all the time.
BEFORE_LOOK = (
    policy_missing,
    too_late,
    waited_too_long,
    older_run,
    host_not_ready,
    repository_not_ready,
    host_busy,
)
QUESTIONS = (*BEFORE_LOOK, nothing_matches, restore_active)


def may_look(facts: RunFacts) -> Objection | None:
    """Return why the run would not start now, whatever is on its host, or None."""
    return first_objection(BEFORE_LOOK, facts)


def admit(facts: RunFacts) -> ResolvedRun | Objection:
    """Return what the run is started with, or why it is not started now."""
    if objection := first_objection(QUESTIONS, facts):
        return objection
    policy, host, repository = facts.policy, facts.host, facts.repository
    assert facts.inventory is not None
    assert policy and host and repository and host.status.engine and repository.status.repository_id
    return ResolvedRun(
        policy_uid=policy.uid,
        policy_generation=policy.generation,
        host=HostChoice(name=host.name, uid=host.uid, engine_id=host.status.engine.id),
        repository=RepositoryChoice(
            name=repository.name, uid=repository.uid, repository_id=repository.status.repository_id
        ),
        slot=slot_of(facts.run),
        volumes=tuple(volume.name for volume in facts.volumes),
        live_copy_allowed=policy.spec.quiesce.method == "None",
        exclude_files=policy.spec.exclude_files,
        retry=policy.spec.retry,
        deadline=deadline_of(facts),
    )


def deleted(resolved: ResolvedRun, host: Host | None) -> Failure:
    """Return why a run ends whose host, or whose repository while the operator was down, was deleted."""
    what = f"ArchiveRepository {resolved.repository.name}" if host else f"ComposeHost {resolved.host.name}"
    reason = reasons.REPOSITORY_NOT_FOUND if host else reasons.HOST_NOT_FOUND
    message = f"{what} was deleted while the run was active; apply it again, then create another run"
    return Failure(reason=reason, message=message)


def moved(resolved: ResolvedRun, host: Host) -> Failure | None:
    """Return why a run ends whose host was made anew or leads to another engine: its agent is not there."""
    if host.uid != resolved.host.uid:
        what = f"ComposeHost {host.name} was deleted and made anew while the run was active"
    elif host.ready and host.status.engine and host.status.engine.id != resolved.host.engine_id:
        what = f"ComposeHost {host.name} leads to another Docker Engine than when the run was started"
    else:
        return None
    return Failure(reason=reasons.HOST_NOT_FOUND, message=f"{what}; create another run")


def slot_of(run: Run) -> dt.datetime:
    """Return the time that the snapshots of a run carry."""
    return run.spec.scheduled_for or run.created


def deadline_of(facts: RunFacts) -> dt.datetime | None:
    """Return when the run is ended at the latest."""
    seconds = facts.policy.spec.deadline_seconds if facts.policy else None
    return facts.run.created + dt.timedelta(seconds=seconds) if seconds else None


def after_attempt(status: BackupRunStatus, report: Report, log_tail: str, now: dt.datetime) -> BackupRunStatus:
    """Return the status once an attempt has ended: finished, or waiting for the next attempt."""
    assert status.resolved
    failure = report.failure or _unproven(status.resolved, report.backup)
    reported = _with_results(status, report.backup, log_tail)
    if failure is None:
        return finished(reported, "Succeeded", None, now)
    retry = status.resolved.retry
    if failure.retryable and status.attempts <= retry.limit:
        pause = dt.timedelta(seconds=retry.backoff_seconds * 2 ** max(0, status.attempts - 1))
        return reported.model_copy(
            update={"agent": None, "progress": None, "failure": failure, "retry_at": now + pause}
        )
    partly = report.backup is not None and report.backup.verdict == "PartiallyFailed" and report.backup.record_id
    return finished(reported, "PartiallyFailed" if partly else "Failed", failure, now)


def finished(status: BackupRunStatus, phase: str, failure: Failure | None, now: dt.datetime) -> BackupRunStatus:
    """Return the status of a run that has ended."""
    began = status.start_time or now
    progress = status.progress
    if phase == "Succeeded" and progress:
        progress = progress.model_copy(update={"percent": 100, "volume": None})
    return status.model_copy(
        update={
            "phase": phase,
            "failure": failure,
            "progress": progress,
            "retry_at": None,
            "completion_time": now,
            "duration": humanize.duration(now - began),
        }
    )


def _unproven(resolved: ResolvedRun, report: BackupReport | None) -> Failure | None:
    """Return why a report without a failure is still no success: good is a run with its record and all its volumes."""
    done = {one.name for one in report.volumes if one.phase == "Succeeded" and one.snapshot_id} if report else set()
    missing = sorted(set(resolved.volumes) - done)
    if report and report.verdict == "Succeeded" and report.record_id and not missing:
        return None
    lacks = f"no archive of {humanize.listed(missing)}" if missing else "no run record of a success"
    return Failure(
        reason=reasons.NOTHING_ARCHIVED,
        message=f"the agent reported no failure, but {lacks}; the run does not count",
        retryable=True,
    )


def _with_results(status: BackupRunStatus, report: BackupReport | None, log_tail: str) -> BackupRunStatus:
    if report is None:
        return status.model_copy(update={"log_tail": log_tail or None})
    kinds = {volume.consistency for volume in report.volumes if volume.consistency}
    processed = sum(volume.bytes_processed for volume in report.volumes)
    added = sum(volume.bytes_added for volume in report.volumes)
    return status.model_copy(
        update={
            "volumes": report.volumes,
            "record": report.record_id,
            "consistency": ("Live" if "Live" in kinds else "Stopped") if kinds else None,
            "bytes_processed": processed,
            "size": humanize.size(processed),
            "bytes_added": added,
            "added": humanize.size(added),
            "log_tail": log_tail or None,
        }
    )
