"""Starting the agent of a restore: who uses the targets is planned first, and journaled, then missing volumes are made.

Called by restore_request.py.
"""

from __future__ import annotations

import datetime as dt

from compose_backup.api import reasons
from compose_backup.api.backup_policy import Quiesce
from compose_backup.api.backup_run import Failure
from compose_backup.api.job import Job, RestoreJob
from compose_backup.api.journal import JournalPlan
from compose_backup.api.resources import Host, Restore
from compose_backup.errors import Stalled
from compose_backup.planning import agent_state, labels, restore_end, wholeness
from compose_backup.planning.agent_container import (
    RESTORE_CAPABILITIES,
    agent_container,
    repository_mount,
    restore_mounts,
)
from compose_backup.planning.checks import Objection
from compose_backup.planning.facts import AgentContainer, AgentLook, Volume
from compose_backup.planning.quiescing import Intent
from compose_backup.reconcile import agents, journals, restore_stop
from compose_backup.reconcile.outcome import Outcome
from compose_backup.reconcile.restore_outcomes import end, has_ended, objected, resuming, working
from compose_backup.reconcile.restore_place import PlacedRestore
from compose_backup.reconcile.world import World

DEADLINE_GRACE = dt.timedelta(seconds=60)
# Half-restored data helps nobody: no window is broken off before the restore is whole.
NO_LIMIT_SECONDS = 86400


def intent_of(restore: Restore, host: Host) -> Intent:
    """Return what is going to be done with those who use the targets."""
    assert restore.status.resolved
    return Intent(
        purpose="restore",
        owner=f"{restore.kind.name} {restore.namespace}/{restore.name}",
        agent=labels.agent_name("restore", restore.uid),
        attempt=1,
        volumes=tuple(volume.target for volume in restore.status.resolved.volumes),
        quiesce=Quiesce(method=restore.spec.quiesce, max_seconds=NO_LIMIT_SECONDS),
        permit=host.spec.permit,
    )


def stop_wanted(world: World, restore: Restore) -> tuple[str, Failure] | None:
    """Return the end of a restore that is to stop, and why, or None: a person asked, or its time is over."""
    if cancelled := agents.cancelled(restore):
        return "Cancelled", cancelled
    resolved = restore.status.resolved
    if resolved and resolved.deadline and world.now() > resolved.deadline + DEADLINE_GRACE:
        message = "the restore was not finished within spec.deadlineSeconds"
        return "Failed", Failure(reason=reasons.DEADLINE_EXCEEDED, message=message)
    return None


async def start_agent(placed: PlacedRestore) -> Outcome:
    """Start the agent, unless it is there already: started by us before a crash."""
    if look := await placed.docker.look_at_agent(placed.container):
        return await _found_container(placed, look)
    inventory = await placed.docker.inventory()
    traces = inventory.volume(placed.site.volume) or wholeness.told_of(placed.restore.uid, inventory)
    if traces and (stopped := await _settled(placed)):
        return stopped
    if stop := stop_wanted(placed.world, placed.restore):
        return end(placed.world, placed.restore, *stop)
    plan = await journals.planned(placed.site, inventory, intent_of(placed.restore, placed.host))
    if isinstance(plan, Objection):
        return objected(placed.world, placed.restore, plan)
    return await _started(placed, plan)


async def _started(placed: PlacedRestore, plan: JournalPlan) -> Outcome:
    container = _container(placed, plan)
    try:
        if plan.needs_journal:
            await journals.open_journal(placed.site, plan)
        for name, definition in restore_end.volumes_to_create(placed.restore.status).items():
            volume = Volume(name, definition.driver, definition.options, definition.labels)
            await placed.docker.create_volume(volume)
        container_id = await placed.docker.start_agent(container, _job(placed, plan).framed())
    except Stalled as error:
        return await _not_started(placed, plan, Failure(reason=error.reason, message=error.message))
    if container_id is None:  # made by somebody between the look and the start
        return Outcome(look_again_in=agents.POLL_SECONDS)
    return _working(placed, container, container_id)


async def _not_started(placed: PlacedRestore, plan: JournalPlan, failure: Failure) -> Outcome:
    """End a restore whose agent cannot be started, or had its job for a moment; what that has left the host settles."""
    if not plan.needs_journal:
        return end(placed.world, placed.restore, "Failed", failure)
    if (await journals.settle(placed.site, told=True, keep_stopped=True)).left:
        return _vanished(placed)
    return end(placed.world, placed.restore, "Failed", failure, journals.handing_over(placed.site))


async def _settled(placed: PlacedRestore) -> Outcome | None:
    """Remove a journal that was opened before a crash of ours; end the restore where it is not known what came of it.

    Its agent is gone without a word: if something is down, the agent may have written as well.
    """
    status = placed.restore.status
    if await placed.told_whole():
        return await restore_stop.died(placed, None, agent_state.VANISHED)
    may_have_it = await placed.services_may_have_it()
    settlement = await journals.settle(placed.site, keep_stopped=not may_have_it)
    if settlement == journals.SETTLED:
        await journals.close(placed.site, journal=True)
        # What is known of one agent must not be believed of the next: that it is Resuming is taken back first.
        begun = status.model_copy(update={"phase": "Running"})
        return working(begun, "the agent is being started", look_again_in=0) if status.phase == "Resuming" else None
    if may_have_it and journals.is_pending(placed.site, settlement):
        return resuming(status, settlement)
    if settlement.under_way:
        return working(status, settlement.told)
    return _vanished(placed)


def _vanished(placed: PlacedRestore) -> Outcome:
    """End a restore of which nobody knows what its agent has written: the host, or another restore, goes on with it."""
    after = restore_end.after_death(placed.restore.status, agent_state.VANISHED, placed.world.now())
    return has_ended(after, journals.handing_over(placed.site))


async def _found_container(placed: PlacedRestore, look: AgentLook) -> Outcome:
    """Go on with a container of ours; whether it got its job is seen by looking."""
    has_its_job = agent_state.has_its_job(look)
    if has_its_job is None:
        return Outcome(look_again_in=agents.POLL_SECONDS)
    if has_its_job:
        return _working(placed, _container(placed, None), look.container_id)
    await placed.docker.remove_agent(placed.container)
    return Outcome(look_again_in=0)


def _working(placed: PlacedRestore, container: AgentContainer, container_id: str) -> Outcome:
    status = placed.restore.status
    assert status.resolved
    place = agents.place_of(container, container_id, status.resolved.host.engine_id, placed.world.now())
    return working(status.model_copy(update={"agent": place, "phase": "Running"}), "the agent restores")


def _container(placed: PlacedRestore, plan: JournalPlan | None) -> AgentContainer:
    resolved = placed.restore.status.resolved
    assert resolved
    marks = labels.agent_labels(placed.site.owner, placed.world.installation, "restore")
    journal = placed.site.volume if plan and plan.needs_journal else None
    pairs = [(volume.source, volume.target) for volume in resolved.volumes]
    # restic writes a lock into the repository while it reads, so that nobody prunes what it needs.
    repository = repository_mount(placed.repository.spec.storage, read_only=False, may_create=False)
    return agent_container(
        placed.container,
        {**marks, labels.JOURNAL: journal} if journal else marks,
        restore_mounts(pairs, repository, placed.host.spec.agent.docker_socket, journal),
        RESTORE_CAPABILITIES,
        placed.host.spec.agent,
        placed.world.settings.agent_image,
    )


def _job(placed: PlacedRestore, plan: JournalPlan) -> Job:
    restore, resolved = placed.restore, placed.restore.status.resolved
    assert resolved and placed.pledge.access
    left = int((resolved.deadline - placed.world.now()).total_seconds()) if resolved.deadline else None
    return Job(
        repository=placed.pledge.access,
        restore=RestoreJob(
            volumes=resolved.volumes,
            created=tuple(restore_end.volumes_to_create(restore.status)),
            include=restore.spec.include,
            existing_data=restore.spec.existing_data,
            plan=plan,
            whole_mark=wholeness.mark_of(placed.site.owner, placed.world.installation),
            seconds_left=left,
        ),
    )
