"""How a policy stands and what it does next: the run to create, the runs to forget, the restore points, freshness.

Called by reconcile/backup_policy.py.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection
from dataclasses import dataclass

from pydantic.alias_generators import to_camel

from compose_backup.api import reasons
from compose_backup.api.backup_policy import (
    RUN_REQUESTED_ANNOTATION,
    BackupPolicyStatus,
    RestorePoint,
    RunSummary,
)
from compose_backup.api.backup_run import Trigger
from compose_backup.api.conditions import FRESH, LAST_RUN_SUCCEEDED
from compose_backup.api.resources import Host, Policy, Repository, Run
from compose_backup.planning import hooks, schedule
from compose_backup.planning.backup import slot_of
from compose_backup.planning.conditions import Claim, Standing, claims
from compose_backup.planning.facts import Inventory
from compose_backup.planning.selection import selected

KEPT_RESTORE_POINTS = 50


@dataclass(frozen=True)
class PolicyFacts:
    """What a pass over a policy looks at. `catalog`: restore points read anew from the repository, None otherwise."""

    policy: Policy
    host: Host | None
    repository: Repository | None
    inventory: Inventory | None
    repository_volumes: Collection[str]
    runs: tuple[Run, ...]
    """The runs of this policy, finished or not."""
    catalog: tuple[RestorePoint, ...] | None
    now: dt.datetime


@dataclass(frozen=True)
class NewRun:
    """The run to create. Its name follows from policy and slot, so that a slot is never run twice."""

    name: str
    slot: dt.datetime
    trigger: Trigger


@dataclass(frozen=True)
class PolicyPlan:
    """What a pass over a policy does."""

    status: BackupPolicyStatus
    claims: tuple[Claim, ...]
    create: NewRun | None
    forget: tuple[Run, ...]
    look_again_at: dt.datetime | None


def belongs_to(run: Run, policy: Policy) -> bool:
    """Return whether a run is one of this very policy, not of an earlier one of the same name."""
    if run.spec.policy_ref.name != policy.name or run.namespace != policy.namespace:
        return False
    if run.status.resolved:
        return run.status.resolved.policy_uid == policy.uid
    return policy.uid in run.owner_uids or not run.owner_uids


def wants_catalog(policy: Policy, repository: Repository) -> bool:
    """Return whether restore points must be read from the repository: once, since records outlive the objects."""
    if not repository.ready or repository.status.snapshots == 0:
        return False
    return policy.status.catalog_of != repository.status.repository_id


def plan(facts: PolicyFacts) -> PolicyPlan:
    """Return what the pass over a policy does; an invalid specification does nothing but say so."""
    # The anchor is set for an invalid schedule as well, so that mending it is a change, and fires nothing at once.
    status = _anchored(facts, _observed(facts))
    if wrong := schedule.problems(facts.policy.spec):
        standing = Standing("stalled", reasons.INVALID_SPEC, "; ".join(wrong))
        status = status.model_copy(update={"next_run_time": None})
        return PolicyPlan(status, _claims(facts, status, standing), None, (), _next_look(facts, status))
    skewed = _moments_ahead(facts, status)
    status = status.model_copy(update=dict.fromkeys(skewed, facts.now))
    create, status = _next_run(facts, status)
    status = status.model_copy(update={"fresh_until": _fresh_until(facts, status)})
    standing = _clock_fault(skewed) if skewed else _standing(facts, status)
    return PolicyPlan(
        status=status,
        claims=_claims(facts, status, standing),
        create=create,
        forget=_to_forget(facts),
        look_again_at=_next_look(facts, status),
    )


def _claims(facts: PolicyFacts, status: BackupPolicyStatus, standing: Standing) -> tuple[Claim, ...]:
    fresh = (_fresh_claim(facts, status),) if status.fresh_until else ()
    return (*claims(standing), *fresh, _last_run_claim(facts, status))


def _observed(facts: PolicyFacts) -> BackupPolicyStatus:
    """Return the status with what is seen now: the volumes, the runs, the restore points."""
    before = facts.policy.status
    active = sorted((run for run in facts.runs if not run.finished), key=lambda run: (run.created, run.name))
    points = _restore_points(facts)
    volumes = before.volumes
    if facts.inventory is not None:
        matching = selected(facts.policy.spec.selector, facts.inventory, facts.repository_volumes)
        volumes = tuple(volume.name for volume in matching)[:256]
    return before.model_copy(
        update={
            "conditions": (),
            "volumes": volumes,
            "active_run": active[0].name if active else None,
            "last_run": _last_run(facts),
            "restore_points": points,
            "last_success_time": max((p.time for p in points), default=_older_success(facts)),
            "catalog_of": _catalog_of(facts),
        }
    )


def _restore_points(facts: PolicyFacts) -> tuple[RestorePoint, ...]:
    """Return known points and those of finished runs; a catalog read from the repository replaces what was known."""
    known = facts.policy.status.restore_points if facts.catalog is None else facts.catalog
    points = {} if facts.catalog is None and _has_moved(facts) else {point.run_uid: point for point in known}
    for run in facts.runs:
        if _has_good_data(run) and _is_in_repository(run, facts):
            points[run.uid] = _point(run)
    return tuple(sorted(points.values(), key=lambda point: point.time, reverse=True))[:KEPT_RESTORE_POINTS]


def _has_good_data(run: Run) -> bool:
    """Return whether a run has a record of good data: it may have failed by what came after the data was archived."""
    status = run.status
    after = (reasons.SERVICE_NOT_RESUMED, reasons.HOOK_FAILED)
    only_services = status.failure is not None and status.failure.reason in after
    whole = bool(status.volumes) and all(volume.phase == "Succeeded" for volume in status.volumes)
    return status.record is not None and (status.phase == "Succeeded" or (only_services and whole))


def _has_moved(facts: PolicyFacts) -> bool:
    """Return whether the known restore points lie in another repository than the policy's: they are none of it."""
    known, repository = facts.policy.status.catalog_of, facts.repository
    current = repository.status.repository_id if repository else None
    return known is not None and current is not None and known != current


def _is_in_repository(run: Run, facts: PolicyFacts) -> bool:
    """Return whether a run has archived into the repository that the policy has now, as far as that is known."""
    current = facts.repository.status.repository_id if facts.repository else None
    return current is None or (
        run.status.resolved is not None and run.status.resolved.repository.repository_id == current
    )


def _older_success(facts: PolicyFacts) -> dt.datetime | None:
    """Return the last success when no restore point tells it: the repository, once asked, knows better."""
    gone = facts.catalog is not None or _has_moved(facts)
    return None if gone else facts.policy.status.last_success_time


def _point(run: Run) -> RestorePoint:
    assert run.status.record
    return RestorePoint(
        run=run.name,
        run_uid=run.uid,
        time=slot_of(run),
        volumes=len(run.status.volumes),
        consistency=run.status.consistency or "Live",
        record=run.status.record,
    )


def _catalog_of(facts: PolicyFacts) -> str | None:
    repository = facts.repository
    if facts.catalog is not None and repository:
        return repository.status.repository_id
    if repository and repository.ready and repository.status.snapshots == 0:
        return repository.status.repository_id  # nothing in it yet, so nothing to list
    return facts.policy.status.catalog_of


def _last_run(facts: PolicyFacts) -> RunSummary | None:
    """Return the run that ended last. Its object may be gone by now, so that an older one does not take its place."""
    before = facts.policy.status.last_run
    ended = [run for run in facts.runs if run.finished and run.status.completion_time]
    if not ended:
        return before
    last = max(ended, key=lambda run: (run.status.completion_time, run.name))
    if before and before.completion_time and last.status.completion_time < before.completion_time:  # type: ignore[operator]
        return before
    return RunSummary(
        name=last.name,
        phase=last.status.phase or "",
        completion_time=last.status.completion_time,
        message=last.status.failure.message[:1024] if last.status.failure else None,
    )


def _anchored(facts: PolicyFacts, status: BackupPolicyStatus) -> BackupPolicyStatus:
    """Return the status with an anchor for this schedule: neither an edit nor a resumption makes up for the past."""
    anchor = schedule.anchor_of(facts.policy.spec)
    if status.schedule_anchor == anchor:
        return status
    since = facts.policy.created if status.schedule_anchor is None else facts.now
    return status.model_copy(update={"schedule_anchor": anchor, "schedule_anchor_time": since})


def _moments_ahead(facts: PolicyFacts, status: BackupPolicyStatus) -> list[str]:
    """Return the fields whose moment lies ahead: the clock is or was wrong, and no slot would be due until then."""
    limit = facts.now + schedule.SKEW_TOLERANCE
    fields = ("schedule_anchor_time", "last_schedule_time")
    return [field for field in fields if (moment := getattr(status, field)) is not None and moment > limit]


def _clock_fault(fields: list[str]) -> Standing:
    names = " and ".join(f"status.{to_camel(field)}" for field in fields)
    message = (
        f"{names} lay in the future: the clock of the operator's machine is or was wrong; slots are counted from now"
    )
    return Standing("good", reasons.CLOCK_SKEW, message)


def _facts_of_schedule(facts: PolicyFacts, status: BackupPolicyStatus) -> schedule.ScheduleFacts:
    spec, policy = facts.policy.spec, facts.policy
    anchor = status.schedule_anchor_time or policy.created
    since = max(anchor, status.last_schedule_time or anchor)
    return schedule.ScheduleFacts(
        spec.schedule, spec.time_zone, schedule.jitter_of(policy.uid, spec.jitter_seconds), since
    )


def _next_run(facts: PolicyFacts, status: BackupPolicyStatus) -> tuple[NewRun | None, BackupPolicyStatus]:
    """Return the run to create now, if any, and the status that remembers it; while a run is active, all wait."""
    free = status.active_run is None
    requested = facts.policy.annotations.get(RUN_REQUESTED_ANNOTATION)
    timing = schedule.decide(_facts_of_schedule(facts, status), facts.now)
    following = _following_start(facts, status, timing)
    status = status.model_copy(update={"next_run_time": None if facts.policy.spec.suspend else following})
    if free and requested and requested[:1024] != status.last_handled_run_request:
        run = NewRun(_request_name(facts.policy, requested), facts.now, "Request")
        return _made(facts, run, status.model_copy(update={"last_handled_run_request": requested[:1024]}))
    if free and isinstance(timing, schedule.Due) and not facts.policy.spec.suspend:
        run = NewRun(f"{facts.policy.name}-{timing.slot:%Y%m%d%H%M}", timing.slot, "Schedule")
        return _made(facts, run, status.model_copy(update={"last_schedule_time": timing.slot}))
    return None, status


def _made(facts: PolicyFacts, run: NewRun, status: BackupPolicyStatus) -> tuple[NewRun | None, BackupPolicyStatus]:
    """Return the run to create, unless it was created before a crash and has even ended by now."""
    if any(known.name == run.name for known in facts.runs):
        return None, status
    return run, status.model_copy(update={"active_run": run.name})


def _following_start(
    facts: PolicyFacts, status: BackupPolicyStatus, timing: schedule.Due | schedule.NotYet
) -> dt.datetime:
    if isinstance(timing, schedule.NotYet):
        return timing.starts_at
    scheduling = _facts_of_schedule(facts, status)
    return schedule.slot_after(scheduling, facts.now - scheduling.jitter) + scheduling.jitter


def _request_name(policy: Policy, value: str) -> str:
    return f"{policy.name}-r{hashlib.sha256(f'{policy.uid}/{value}'.encode()).hexdigest()[:10]}"


def _fresh_until(facts: PolicyFacts, status: BackupPolicyStatus) -> dt.datetime:
    baseline = status.last_success_time or facts.policy.created
    return schedule.fresh_until(_facts_of_schedule(facts, status), baseline, facts.policy.spec.objectives.max_age)


def _fresh_claim(facts: PolicyFacts, status: BackupPolicyStatus) -> Claim:
    assert status.fresh_until
    young = facts.now < status.fresh_until
    until = f"{status.fresh_until:%Y-%m-%dT%H:%MZ}"
    if status.last_success_time is None:
        if young:
            return Claim(FRESH, "Unknown", reasons.NEVER_SUCCEEDED, f"no good run yet; one is expected by {until}")
        return Claim(FRESH, "False", reasons.NEVER_SUCCEEDED, f"no good run, though one was expected by {until}")
    last = f"the last good run is of {status.last_success_time:%Y-%m-%dT%H:%MZ}"
    if young:
        return Claim(FRESH, "True", reasons.YOUNG_ENOUGH, f"{last}, young enough until {until}")
    return Claim(FRESH, "False", reasons.TOO_OLD, f"{last}, and was young enough until {until}; see status.lastRun")


def _last_run_claim(facts: PolicyFacts, status: BackupPolicyStatus) -> Claim:
    """Return whether the last run was good. A skipped one says nothing about it: the statement before it stands."""
    last = status.last_run
    before = next((c for c in facts.policy.status.conditions if c.type == LAST_RUN_SUCCEEDED), None)
    if last is None:
        return Claim(LAST_RUN_SUCCEEDED, "Unknown", reasons.NO_RUN_YET, "no run has finished yet")
    if last.phase == "Skipped" and before:
        return Claim(LAST_RUN_SUCCEEDED, before.status, before.reason, before.message)
    if last.phase == "Succeeded":
        return Claim(LAST_RUN_SUCCEEDED, "True", reasons.SUCCEEDED, f"BackupRun {last.name} succeeded")
    truth = "Unknown" if last.phase == "Skipped" else "False"
    message = f"BackupRun {last.name} ended as {last.phase}: {last.message or 'no message'}"
    return Claim(LAST_RUN_SUCCEEDED, truth, last.phase, message)  # type: ignore[arg-type]


def _standing(facts: PolicyFacts, status: BackupPolicyStatus) -> Standing:
    spec = facts.policy.spec
    if facts.host is None:
        return Standing(
            "waiting", reasons.HOST_NOT_FOUND, f"ComposeHost {spec.host_ref.name} does not exist; create it"
        )
    if facts.repository is None:
        message = f"ArchiveRepository {spec.repository_ref.name} does not exist; create it"
        return Standing("waiting", reasons.REPOSITORY_NOT_FOUND, message)
    if facts.repository.spec.host_ref.name != spec.host_ref.name:
        message = (
            f"ArchiveRepository {spec.repository_ref.name} lies on ComposeHost {facts.repository.spec.host_ref.name}, "
            f"but the volumes are on {spec.host_ref.name}; give {spec.host_ref.name} a repository of its own"
        )
        return Standing("stalled", reasons.WRONG_HOST, message)
    if refused := hooks.not_permitted(spec.hooks, facts.host.spec.permit):
        return Standing("stalled", refused.reason, refused.message)
    if spec.suspend:
        return Standing("good", reasons.SUSPENDED, "the schedule rests; runs on request go on")
    message = f"accepted and scheduled: {spec.schedule} in {spec.time_zone}"
    if facts.inventory is not None and not status.volumes and not spec.selector.allow_empty:
        # No failure yet, since the project may come later; but nobody must wait for the night to see it.
        message += (
            f"; at the moment no volume on ComposeHost {spec.host_ref.name} matches spec.selector: compare it with "
            "`docker volume ls`"
        )
    return Standing("good", reasons.SCHEDULED, message)


def _to_forget(facts: PolicyFacts) -> tuple[Run, ...]:
    """Return finished runs beyond the history limits, oldest first. Archives are not touched by it."""
    history = facts.policy.spec.history
    ended = sorted(
        (run for run in facts.runs if run.finished and run.status.completion_time),
        key=lambda run: (run.status.completion_time, run.name),
    )
    good = [run for run in ended if run.status.phase == "Succeeded"]
    other = [run for run in ended if run.status.phase != "Succeeded"]
    return (*good[: -history.succeeded], *other[: -history.failed])


def _next_look(facts: PolicyFacts, status: BackupPolicyStatus) -> dt.datetime | None:
    moments = [moment for moment in (status.next_run_time, status.fresh_until) if moment and moment > facts.now]
    return min(moments, default=None)
