"""RestoreJob: check everything first, stop services, restore volume by volume, in place, and start them again.

Called by agent/jobs.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from compose_backup.agent.catalog import read_manifest
from compose_backup.agent.context import Context, Patience
from compose_backup.agent.engines.restic import escaped, restore_arguments
from compose_backup.agent.engines.restic_output import Message
from compose_backup.agent.looking import Engine
from compose_backup.agent.manifest import root_of
from compose_backup.agent.progress import Tally
from compose_backup.agent.quiesce.checks import look_for, refuse_changes
from compose_backup.agent.quiesce.reaching import patiently
from compose_backup.agent.quiesce.window import Quiescence
from compose_backup.agent.repository import open_to_write
from compose_backup.agent.restore_checks import Wanted, check_includes, check_target, normalized, wanted_volumes
from compose_backup.agent.texts import MESSAGE_LIMIT, shorten
from compose_backup.api import reasons
from compose_backup.api.backup_run import Failure
from compose_backup.api.job import Report, RestoreJob, RestoreReport
from compose_backup.api.journal import JournalPlan
from compose_backup.api.record import VolumeManifest
from compose_backup.api.restore_request import RestoredVolume
from compose_backup.errors import AgentFailed
from compose_backup.planning import wholeness, writers

START_NOTHING = "do not start services on it; mend the cause and restore again"


@dataclass(frozen=True)
class _Plan:
    """One volume, checked."""

    wanted: Wanted
    manifest: VolumeManifest | None


def run(job: RestoreJob, context: Context) -> Report:
    """Restore all volumes. Raise AgentFailed for what is found before anything is written."""
    plans, includes = _checked(job, context)
    engine = context.engine()
    targets = [plan.wanted.target for plan in plans]
    refuse_changes(job.plan, targets, look_for(job.plan, targets, engine, context.patience))
    quiescence = Quiescence(job.plan, engine, context)
    with quiescence:  # stops · starts, unless a target is left incomplete
        _require_unused(job.plan, targets, engine, context.patience)
        done, failure = _restore_all(plans, job, includes, context, quiescence)
        if failure is None:
            quiescence.whole()
            _mark_whole(job, done, engine, context)
    quiescence.finish()
    if failure is None and quiescence.failure is not None:
        failure = _as_failure(quiescence.failure)
    return Report(restore=RestoreReport(volumes=tuple(done), quiesce=quiescence.result), failure=failure)


def _restore_all(
    plans: Sequence[_Plan], job: RestoreJob, includes: tuple[str, ...], context: Context, quiescence: Quiescence
) -> tuple[list[RestoredVolume], Failure | None]:
    """Restore one volume after the other; the first failure ends it."""
    sizes = {plan.wanted.source: plan.wanted.snapshot.bytes for plan in plans}
    tally = Tally(tuple(sizes), {} if includes else sizes)
    done: list[RestoredVolume] = []
    failure: Failure | None = None
    for plan in plans:
        if failure is not None:
            done.append(_untouched(plan, job))
            continue
        restored, failure = _attempt(plan, job, includes, context, tally, quiescence)
        done.append(restored)
    return done, failure


def _mark_whole(job: RestoreJob, done: Sequence[RestoredVolume], engine: Engine, context: Context) -> None:
    """Tell it where it outlives this agent. Services are started in any case."""
    try:
        patiently(lambda: engine.create_volume(wholeness.made(job.whole_mark, done)), context.patience)
    except AgentFailed as error:
        context.diagnostics.say(f"that the restore is whole could not be marked on the host: {error.message}")


def _require_unused(plan: JournalPlan, targets: Sequence[str], engine: Engine, patience: Patience) -> None:
    """Raise AgentFailed when somebody has started a user of a target since it was stopped."""
    if not plan.services:
        return
    inventory = look_for(plan, targets, engine, patience).inventory
    found = [volume for name in targets if (volume := inventory.volume(name))]
    active = [one for volume in found for one in writers.users(volume, inventory) if writers.is_active(one)]
    others = [one for one in active if one.name != plan.agent]
    if others:
        message = f"{writers.titles(others)} was started meanwhile by somebody else; nothing was written"
        raise AgentFailed(reasons.SERVICES_CHANGED, message, retryable=True)


def _checked(job: RestoreJob, context: Context) -> tuple[list[_Plan], tuple[str, ...]]:
    """Return what is to be done. Every volume is checked before the first one is written."""
    includes = normalized(job.include)
    wanted = wanted_volumes(job, open_to_write(context).snapshots, context.places.volumes)
    for one in wanted:
        check_target(one, job, context.places.volume(one.source))
    for one in wanted:
        check_includes(one, includes, context)
    return [_Plan(one, read_manifest(one.snapshot, one.source, context)) for one in wanted], includes


def _attempt(
    plan: _Plan,
    job: RestoreJob,
    includes: tuple[str, ...],
    context: Context,
    tally: Tally,
    quiescence: Quiescence,
) -> tuple[RestoredVolume, Failure | None]:
    """Restore one volume; whatever fails from here on leaves it incomplete."""
    counts: dict[str, int] = {}
    try:
        context.stop.check()
        quiescence.touching()
        context.emitter.target_touched()
        _restore(plan, job, includes, context, tally, counts)
    except AgentFailed as error:
        return _incomplete(plan, job, error, counts, touched=context.emitter.touched)
    return _restored(plan, job, counts), None


def _restore(
    plan: _Plan, job: RestoreJob, includes: tuple[str, ...], context: Context, tally: Tally, counts: dict[str, int]
) -> None:
    """Run restic and compare what it did with what the snapshot holds. Raise AgentFailed when it is not the same."""
    source = plan.wanted.source
    arguments = restore_arguments(
        plan.wanted.snapshot.id,
        context.places.volumes,
        str(context.places.volume("")),
        [escaped(f"/{source}/{include}" if include else f"/{source}") for include in includes or ("",)],
        delete=job.existing_data == "Mirror",
    )

    def take(message: Message) -> None:
        if message.get("message_type") == "summary":
            counts.update({name: value for name, value in message.items() if isinstance(value, int)})
        elif message.get("message_type") == "status":
            context.emitter.progress(tally.take(source, message))

    context.restic.run(f"restore volume {plan.wanted.target}", arguments, on_message=take)
    context.emitter.progress(tally.finish(source, _handled(counts, "bytes"), _handled(counts, "files")))
    _check_count(plan, counts, whole=not includes)
    _check_root(plan, context)


def _check_count(plan: _Plan, counts: dict[str, int], *, whole: bool) -> None:
    """Compare the number of entries: an include that matches nothing restores nothing, and restic exits 0."""
    expected = plan.wanted.least_entries if whole else 1
    found = _handled(counts, "files")
    if found < expected:
        message = (
            f"volume {plan.wanted.target}: restic restored {found} entries, snapshot {plan.wanted.snapshot.id[:8]} "
            f"holds at least {expected}; run `restic check` on the repository"
        )
        raise AgentFailed(reasons.NOTHING_RESTORED, message, retryable=False)


def _handled(counts: Mapping[str, int], what: str) -> int:
    """Return how much was written or found equal: restic's `total` leaves out what it skips (seen with 0.18.0)."""
    return counts.get(f"total_{what}", 0) + counts.get(f"{what}_skipped", 0)


def _check_root(plan: _Plan, context: Context) -> None:
    """Compare owner and mode of the volume's root with the manifest: databases refuse to start on a wrong one."""
    if plan.manifest is None:
        return
    found = root_of(context.places.volume(plan.wanted.source))
    if found != plan.manifest.root:
        message = (
            f"volume {plan.wanted.target}: its root is {found.uid}:{found.gid} {found.mode:o}, archived was "
            f"{plan.manifest.root.uid}:{plan.manifest.root.gid} {plan.manifest.root.mode:o}; "
            "does the file system of the volume take owners and modes?"
        )
        raise AgentFailed(reasons.TARGET_INCOMPLETE, message, retryable=False)


def _restored(plan: _Plan, job: RestoreJob, counts: dict[str, int]) -> RestoredVolume:
    return RestoredVolume(
        name=plan.wanted.target,
        phase="Succeeded",
        created=plan.wanted.target in job.created,
        files_restored=counts.get("files_restored", 0),
        files_deleted=counts.get("files_deleted", 0),
        bytes_restored=counts.get("bytes_restored", 0),
    )


def _incomplete(
    plan: _Plan, job: RestoreJob, error: AgentFailed, counts: dict[str, int], *, touched: bool
) -> tuple[RestoredVolume, Failure]:
    """Return the outcome of a volume that must not be used, and the failure of the whole."""
    message = shorten(f"{error.message}; volume {plan.wanted.target} is incomplete: {START_NOTHING}", MESSAGE_LIMIT)
    if not touched:  # stopped before the first volume: nothing was written anywhere
        return _untouched(plan, job), _as_failure(error)
    result = _restored(plan, job, counts).model_copy(update={"phase": "TargetIncomplete", "error": shorten(message)})
    return result, Failure(reason=reasons.TARGET_INCOMPLETE, message=message, retryable=False)


def _untouched(plan: _Plan, job: RestoreJob) -> RestoredVolume:
    return RestoredVolume(
        name=plan.wanted.target,
        phase="Failed",
        created=plan.wanted.target in job.created,
        error="nothing was written: the restore ended before this volume",
    )


def _as_failure(error: AgentFailed) -> Failure:
    return Failure(reason=error.reason, message=shorten(error.message, MESSAGE_LIMIT), retryable=error.retryable)
