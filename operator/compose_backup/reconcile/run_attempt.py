"""Starting the agent of a run's next attempt: what earlier ones have left is settled, what goes down is planned first.

Called by backup_run.py.
"""

from __future__ import annotations

import datetime as dt
from functools import partial

from compose_backup.api import reasons
from compose_backup.api.backup_run import BackupRunStatus, Failure
from compose_backup.api.job import BackupJob, Job, Report
from compose_backup.api.journal import JournalPlan
from compose_backup.errors import Stalled
from compose_backup.planning import agent_state, humanize, labels, staging
from compose_backup.planning.agent_container import (
    BACKUP_CAPABILITIES,
    STAGING_CAPABILITIES,
    agent_container,
    backup_mounts,
    repository_mount,
)
from compose_backup.planning.checks import Objection
from compose_backup.planning.facts import AgentContainer, AgentLook
from compose_backup.planning.quiescing import Intent
from compose_backup.planning.staging import NOTHING_AHEAD, Ahead
from compose_backup.reconcile import agents, deletion, journals, second_line, stages
from compose_backup.reconcile.outcome import Outcome
from compose_backup.reconcile.run_admission import readmit
from compose_backup.reconcile.run_end import attempt_ended
from compose_backup.reconcile.run_outcomes import WAIT_SECONDS, end, resuming, waiting, working
from compose_backup.reconcile.run_place import Placed, deadline_passed, earlier_runs

RETRYABLE = (reasons.VOLUME_MOUNT_FAILED, reasons.ENGINE_ERROR, reasons.IMAGE_UNAVAILABLE)


async def next_attempt(placed: Placed) -> Outcome:
    """Start the agent of the next attempt when its time has come."""
    run, now = placed.run, placed.world.now()
    if run.status.retry_at and now < run.status.retry_at:
        return Outcome(look_again_in=(run.status.retry_at - now).total_seconds())
    if late := deadline_passed(placed):
        return end(placed.world, run.status, "Failed", late, partial(deletion.end_agents, placed.world, run.uid))
    # First of all: an agent of this attempt may be at work, started before a crash of ours, with services down.
    if look := await placed.docker.look_at_agent(placed.container):
        return await _found_container(placed, look)
    inventory = await placed.docker.inventory()
    if inventory.volume(placed.site.volume):
        return await _settled(placed) or await _cleared(placed)
    attempt = run.status.attempts + 1
    plan = await journals.planned(placed.site, inventory, _intent(placed, attempt))
    objection = plan if isinstance(plan, Objection) else None
    if objection and objection.then != "wait":
        failure = Failure(reason=objection.reason, message=objection.message)
        return end(placed.world, run.status, "Skipped" if objection.then == "skip" else "Failed", failure)
    if run.status.retry_at:
        return await readmit(placed, inventory, objection)
    if isinstance(plan, Objection):
        return _put_off(placed, plan)
    resolved = placed.run.status.resolved
    assert resolved
    ahead = staging.ahead(placed.run, resolved, plan, inventory, earlier_runs(placed.world, placed.run))
    return await _start(placed, attempt, plan, ahead)


def _put_off(placed: Placed, objection: Objection) -> Outcome:
    """Give back the place on the engine while somebody else has the services: else both might wait for each other."""
    retry_at = placed.world.now() + dt.timedelta(seconds=WAIT_SECONDS)
    return waiting(placed.run.status.model_copy(update={"retry_at": retry_at}), objection)


async def _settled(placed: Placed) -> Outcome | None:
    """Settle and remove what an earlier attempt has left; return what to do meanwhile, or None when that is done."""
    settlement = await journals.settle(placed.site)
    if settlement == journals.SETTLED:
        await journals.close(placed.site, journal=True)
        return None
    if settlement.left and not journals.is_patient(placed.site):
        failure = second_line.failure_of(settlement.left)
        return end(placed.world, placed.run.status, "Failed", failure, journals.handing_over(placed.site))
    return resuming(placed.run.status, settlement)


async def _start(placed: Placed, attempt: int, plan: JournalPlan, ahead: Ahead) -> Outcome:
    status = _begun(placed, attempt)
    container = _container(placed, attempt, plan, ahead)
    try:
        await stages.make(placed.docker, ahead, placed.site.owner, placed.world.installation)
        if plan.needs_journal:
            await journals.open_journal(placed.site, plan)
        container_id = await placed.docker.start_agent(container, _job(placed, attempt, plan, ahead).framed())
    except Stalled as error:
        failure = Failure(reason=error.reason, message=error.message, retryable=error.reason in RETRYABLE)
        # It may have had its job for a moment, which is not enough to stop anything.
        left = (await journals.settle(placed.site, told=True)).down if plan.needs_journal else ()
        return attempt_ended(placed, status, Report(failure=failure), journal=plan.needs_journal, left=left)
    if container_id is None:  # made by somebody between the look and the start
        return Outcome(look_again_in=agents.POLL_SECONDS)
    return _working(placed, status, container, container_id)


def _begun(placed: Placed, attempt: int) -> BackupRunStatus:
    """Return the status of an attempt that begins: what the one before has told is not of this one."""
    told = {"progress": None, "failure": None, "quiesce": None, "downtime": None, "hooks": ()}
    return placed.run.status.model_copy(update={"attempts": attempt, "retry_at": None, **told})


def _working(placed: Placed, status: BackupRunStatus, container: AgentContainer, container_id: str) -> Outcome:
    assert status.resolved
    place = agents.place_of(container, container_id, status.resolved.host.engine_id, placed.world.now())
    return working(
        status.model_copy(update={"agent": place, "phase": "Running"}), f"attempt {status.attempts} is at work"
    )


async def _found_container(placed: Placed, look: AgentLook) -> Outcome:
    """Go on with a container that is there already: started by us before a crash, or left from the attempt before."""
    attempt = placed.run.status.attempts + 1
    if look.labels.get(labels.ATTEMPT) == str(attempt):
        has_its_job = agent_state.has_its_job(look)
        if has_its_job is None:
            return Outcome(look_again_in=agents.POLL_SECONDS)
        if has_its_job:
            return _working(placed, _begun(placed, attempt), _container(placed, attempt), look.container_id)
    if look.alive:  # never removed while it may be starting services; one that hangs is ended in the end
        await placed.docker.terminate_agent(placed.container)
        await agents.sight(placed.world, placed.docker, placed.container)
        return Outcome(look_again_in=agents.POLL_SECONDS)
    return await _settled(placed) or await _cleared(placed)


async def _cleared(placed: Placed) -> Outcome:
    """Go on once what an earlier attempt has left is gone. An engine that holds on to it is not asked all the time."""
    inventory = await placed.docker.inventory()
    held = [one.name for one in inventory.containers if one.name == placed.container]
    held += [placed.site.volume] if inventory.volume(placed.site.volume) else []
    if not held:
        return Outcome(look_again_in=0)
    message = f"the engine does not let go of {humanize.listed(held)}, left by an attempt before; remove it by hand"
    return working(placed.run.status, message, look_again_in=WAIT_SECONDS)


def _intent(placed: Placed, attempt: int) -> Intent:
    run, resolved = placed.run, placed.run.status.resolved
    assert resolved
    return Intent(
        purpose="run",
        owner=f"{run.kind.name} {run.namespace}/{run.name}",
        agent=placed.container,
        attempt=attempt,
        volumes=resolved.volumes,
        quiesce=resolved.quiesce,
        permit=placed.host.spec.permit,
        hooks=resolved.hooks,
    )


def _container(
    placed: Placed, attempt: int, plan: JournalPlan | None = None, ahead: Ahead = NOTHING_AHEAD
) -> AgentContainer:
    resolved = placed.run.status.resolved
    assert resolved
    marks = {**labels.agent_labels(placed.site.owner, placed.world.installation, "run"), labels.ATTEMPT: str(attempt)}
    journal = placed.site.volume if plan and plan.needs_journal else None
    wanted = staging.stages_of(ahead, placed.run.uid)
    repository = repository_mount(placed.repository.spec.storage, read_only=False, may_create=False)
    return agent_container(
        placed.container,
        {**marks, labels.JOURNAL: journal} if journal else marks,
        backup_mounts(resolved.volumes, repository, placed.host.spec.agent.docker_socket, journal, wanted),
        STAGING_CAPABILITIES if wanted else BACKUP_CAPABILITIES,
        placed.host.spec.agent,
        placed.world.settings.agent_image,
    )


def _job(placed: Placed, attempt: int, plan: JournalPlan, ahead: Ahead) -> Job:
    run, world, resolved = placed.run, placed.world, placed.run.status.resolved
    assert resolved
    left = int((resolved.deadline - world.now()).total_seconds()) if resolved.deadline else None
    return Job(
        repository=placed.access,
        backup=BackupJob(
            run=run.name,
            run_uid=run.uid,
            policy=f"{run.namespace}/{run.spec.policy_ref.name}",
            policy_uid=resolved.policy_uid,
            host=labels.archive_identity(world.settings.cluster_name, run.namespace, placed.host.name),
            installation=world.installation,
            attempt=attempt,
            slot=resolved.slot,
            volumes=resolved.volumes,
            plan=plan,
            exclude_files=resolved.exclude_files,
            ahead=dict(ahead),
            seconds_left=left,
        ),
    )
