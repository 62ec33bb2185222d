"""One pass over a RestoreRequest: find the source, wait for the targets to be free, restore in place, store the report.

| status | next step |
|---|---|
| no `resolved` | search the repository for the source, and pin what is restored |
| `resolved`, not `Running` | ask planning whether it may start; create missing volumes |
| `Running` | start the agent, or look at it: progress, report, or death |
| `completionTime` | nothing, for ever |

Called by worker.py.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from functools import partial

from compose_backup.api import reasons
from compose_backup.api.backup_policy import CANCEL_REQUESTED_ANNOTATION
from compose_backup.api.backup_run import AgentPlace, Failure
from compose_backup.api.job import CatalogReport, Job, RestoreJob
from compose_backup.api.resources import Host, Repository, Restore
from compose_backup.api.restore_request import RestoreRequestStatus
from compose_backup.errors import Stalled
from compose_backup.planning import agent_state, humanize, labels, restore_end
from compose_backup.planning import restore as planning
from compose_backup.planning.agent_container import (
    RESTORE_CAPABILITIES,
    agent_container,
    repository_mount,
    restore_mounts,
)
from compose_backup.planning.agent_state import Died, NeverStarted, Reported, Working
from compose_backup.planning.checks import Objection
from compose_backup.planning.conditions import Standing, ended, unfinished
from compose_backup.planning.facts import AgentContainer, Volume
from compose_backup.reconcile import agents, catalog, deletion
from compose_backup.reconcile.access import address_of, repository_access
from compose_backup.reconcile.commit import commit
from compose_backup.reconcile.compose_host import inventory_of, repository_volumes
from compose_backup.reconcile.outcome import NOTHING, Outcome
from compose_backup.reconcile.ports import DockerHost
from compose_backup.reconcile.world import Pledge, World

WAIT_SECONDS = 3.0
DEADLINE_GRACE = dt.timedelta(seconds=60)


async def reconcile(world: World, restore: Restore) -> Outcome:
    """Do the next step of a restore."""
    if restore.finished:
        world.memory.pledges.pop(restore.uid, None)
        return NOTHING
    if restore.status.phase == "Running":
        return await _follow(world, restore)
    if CANCEL_REQUESTED_ANNOTATION in restore.annotations:
        return _end(world, restore, "Cancelled", _cancelled())
    if restore.status.resolved is None:
        return await _resolve(world, restore)
    return await _start(world, restore)


async def _resolve(world: World, restore: Restore) -> Outcome:
    """Search the repository for the source, and pin the snapshots before anything is done."""
    facts = await _gather(world, restore)
    if objection := planning.may_search(facts):
        return _objected(world, restore, objection)
    assert facts.host and facts.repository
    pledge = await _pledge(world, restore, facts.host, facts.repository)
    assert pledge.access
    wanted = planning.search(facts, world.settings.cluster_name)
    search = catalog.Search(restore, facts.host, facts.repository, pledge.access, wanted)
    found = await catalog.search(world, world.hosts.at(pledge.address), search)
    if found is None:
        return _waiting(restore.status, reasons.PROGRESSING, "the archive is being looked for", agents.POLL_SECONDS)
    if isinstance(found, Failure):
        if found.retryable:
            return _waiting(restore.status, found.reason, found.message, WAIT_SECONDS)
        return _end(world, restore, "Failed", found)
    return _resolved(world, restore, facts, found)


def _resolved(world: World, restore: Restore, facts: planning.RestoreFacts, found: CatalogReport) -> Outcome:
    verdict = planning.resolve(facts, found)
    if isinstance(verdict, Objection):
        return _objected(world, restore, verdict)
    update = {"resolved": verdict, "host": verdict.host.name, "source": planning.describe_source(restore)}
    status = restore.status.model_copy(update=update)
    return _waiting(status, reasons.PENDING, f"found: the data is of {verdict.time:%Y-%m-%dT%H:%M:%SZ}", 0)


async def _start(world: World, restore: Restore) -> Outcome:
    """Wait until the targets are free, create the missing ones, then be Running: from here on backups of them wait."""
    resolved = restore.status.resolved
    assert resolved
    admission = world.memory.admission[resolved.host.engine_id]
    if admission.locked():
        return Outcome(look_again_in=agents.POLL_SECONDS)
    async with admission:
        facts = await _gather(world, restore)
        if objection := planning.may_start(facts):
            return _objected(world, restore, objection)
        status = restore.status.model_copy(update={"phase": "Running", "start_time": world.now()})
        return await commit(world, restore, _working(status, "the agent is being started", 0))


async def _gather(world: World, restore: Restore) -> planning.RestoreFacts:
    source, namespace = restore.spec.source, restore.namespace
    run = world.store.run(namespace, source.run_ref.name) if source.run_ref else None
    policy = world.store.policy(namespace, source.policy_ref.name) if source.policy_ref else None
    repository = _repository(world, restore)
    host = _host(world, restore)
    ready = host if host and host.ready else None
    docker = world.hosts.at(await address_of(world, ready)) if ready else None
    return planning.RestoreFacts(
        restore=restore,
        source_run=run,
        source_policy=policy,
        host=host,
        hosts=tuple(world.store.hosts()),
        repository=repository,
        repository_volumes=repository_volumes(world, host) if host else (),
        inventory=await inventory_of(world, ready, docker, dt.timedelta()) if ready and docker else None,
        runs=tuple(world.store.active_runs()),
        restores=tuple(other for other in world.store.active_restores() if other.uid != restore.uid),
        now=world.now(),
    )


def _repository(world: World, restore: Restore) -> Repository | None:
    source, namespace = restore.spec.source, restore.namespace
    if restore.status.resolved:
        return world.store.repository(namespace, restore.status.resolved.repository.name)
    if source.repository_ref:
        return world.store.repository(namespace, source.repository_ref.name)
    if source.policy_ref:
        policy = world.store.policy(namespace, source.policy_ref.name)
        return world.store.repository(namespace, policy.spec.repository_ref.name) if policy else None
    run = world.store.run(namespace, source.run_ref.name) if source.run_ref else None
    return (
        world.store.repository(namespace, run.status.resolved.repository.name) if run and run.status.resolved else None
    )


def _host(world: World, restore: Restore) -> Host | None:
    source, namespace = restore.spec.source, restore.namespace
    if restore.status.resolved:
        return world.store.host(namespace, restore.status.resolved.host.name)
    if restore.spec.target.host_ref:
        return world.store.host(namespace, restore.spec.target.host_ref.name)
    if source.policy_ref:
        policy = world.store.policy(namespace, source.policy_ref.name)
        return world.store.host(namespace, policy.spec.host_ref.name) if policy else None
    run = world.store.run(namespace, source.run_ref.name) if source.run_ref else None
    return world.store.host(namespace, run.status.resolved.host.name) if run and run.status.resolved else None


async def _pledge(world: World, restore: Restore, host: Host, repository: Repository) -> Pledge:
    """Return the way to host and repository, kept until the restore ends."""
    pledge = world.memory.pledges.get(restore.uid)
    if pledge is None:
        access = await repository_access(world, repository, repository.status.repository_id)
        pledge = Pledge(await address_of(world, host), access, repository)
        world.memory.pledges[restore.uid] = pledge
    return pledge


async def _follow(world: World, restore: Restore) -> Outcome:
    """Start the agent, or look at it."""
    resolved = restore.status.resolved
    assert resolved
    pledge = world.memory.pledges.get(restore.uid)
    host, repository = _host(world, restore), pledge.repository if pledge else _repository(world, restore)
    if host is None or repository is None or host.uid != resolved.host.uid:
        targets = humanize.listed([volume.target for volume in resolved.volumes])
        what = f"ComposeHost {resolved.host.name}" if repository else f"ArchiveRepository {resolved.repository.name}"
        message = (
            f"{what} was deleted during the restore; {targets} may hold half-restored data: do not start services onto "
            "it, apply the object again and restore again with existingData: Mirror"
        )
        failure = Failure(reason=reasons.TARGET_INCOMPLETE, message=message)
        return _end(world, restore, "Failed", failure, partial(deletion.end_agents, world, restore.uid))
    pledge = await _pledge(world, restore, host, repository)
    docker = world.hosts.at(world.newest_address(pledge))
    if restore.status.agent is None:
        return await _start_agent(world, restore, host, repository, docker, pledge)
    return await _look(world, restore, docker)


async def _start_agent(
    world: World, restore: Restore, host: Host, repository: Repository, docker: DockerHost, pledge: Pledge
) -> Outcome:
    container = _container(world, restore, host, repository)
    if (stop := _stop_wanted(world, restore)) and await docker.look_at_agent(container.name) is None:
        return _end(world, restore, *stop)
    missing = restore_end.volumes_to_create(restore.status)
    try:
        for name, definition in missing.items():
            await docker.create_volume(Volume(name, definition.driver, definition.options, definition.labels))
        container_id = await docker.start_agent(container, _job(world, restore, pledge).framed())
    except Stalled as error:
        return _end(world, restore, "Failed", Failure(reason=error.reason, message=error.message))
    if container_id is None:  # started by us before a crash: whether it got its job is seen by looking
        look = await docker.look_at_agent(container.name)
        has_its_job = agent_state.has_its_job(look)
        if has_its_job is None:
            return Outcome(look_again_in=agents.POLL_SECONDS)
        if look is None or not has_its_job:
            await docker.remove_agent(container.name)
            return Outcome(look_again_in=0)
        container_id = look.container_id
    place = AgentPlace(
        container_id=container_id,
        container_name=container.name,
        engine_id=restore.status.resolved.host.engine_id if restore.status.resolved else "",
        image=container.image,
        start_time=world.now(),
    )
    return _working(restore.status.model_copy(update={"agent": place}), "the agent restores", agents.POLL_SECONDS)


async def _look(world: World, restore: Restore, docker: DockerHost) -> Outcome:
    name = labels.agent_name("restore", restore.uid)
    sighting = await agents.sight(world, docker, name)
    match sighting.state:
        case Working(progress=progress):
            if _stop_wanted(world, restore):
                await docker.terminate_agent(name)
            shown = agents.shown(progress, restore.status.progress, world.now())
            status = restore.status.model_copy(update={"progress": shown})
            return _working(status, "the agent restores", agents.POLL_SECONDS)
        case NeverStarted():
            status = restore.status.model_copy(update={"agent": None})
            again = _working(status, "the agent is being started anew", 0)
            return replace(again, afterwards=agents.removal(docker, name))
        case Reported(report, log_tail):
            after = restore_end.after_report(restore.status, report, log_tail, world.now())
        case Died() as died:
            after = restore_end.after_death(restore.status, died, world.now())
    return _ended(after, agents.removal(docker, name))


def _objected(world: World, restore: Restore, objection: Objection) -> Outcome:
    if objection.then == "wait":
        return _waiting(restore.status, objection.reason, objection.message, WAIT_SECONDS)
    failure = Failure(reason=objection.reason, message=objection.message)
    return _end(world, restore, "Skipped" if objection.then == "skip" else "Failed", failure)


def _waiting(status: RestoreRequestStatus, reason: str, message: str, look_again_in: float) -> Outcome:
    status = status.model_copy(update={"phase": "Pending"})
    return Outcome(status, unfinished(Standing("working", reason, message)), look_again_in)


def _working(status: RestoreRequestStatus, message: str, look_again_in: float) -> Outcome:
    standing = Standing("working", reasons.RUNNING, message)
    return Outcome(status, unfinished(standing), look_again_in)


def _end(
    world: World, restore: Restore, phase: str, failure: Failure, afterwards: agents.Action | None = None
) -> Outcome:
    status = restore.status.model_copy(update={"source": planning.describe_source(restore)})
    return _ended(restore_end.finished(status, phase, failure, world.now()), afterwards)


def _ended(status: RestoreRequestStatus, afterwards: agents.Action | None) -> Outcome:
    done = f"{len(status.volumes)} volumes restored"
    return Outcome(status, ended(status.phase or "", status.failure, done), None, afterwards)


def _cancelled() -> Failure:
    return Failure(reason=reasons.CANCELLED, message=f"cancelled by the annotation {CANCEL_REQUESTED_ANNOTATION}")


def _stop_wanted(world: World, restore: Restore) -> tuple[str, Failure] | None:
    """Return the end of a restore that is to stop, and why, or None: a person asked, or its time is over."""
    if CANCEL_REQUESTED_ANNOTATION in restore.annotations:
        return "Cancelled", _cancelled()
    resolved = restore.status.resolved
    if resolved and resolved.deadline and world.now() > resolved.deadline + DEADLINE_GRACE:
        message = "the restore was not finished within spec.deadlineSeconds"
        return "Failed", Failure(reason=reasons.DEADLINE_EXCEEDED, message=message)
    return None


def _container(world: World, restore: Restore, host: Host, repository: Repository) -> AgentContainer:
    resolved = restore.status.resolved
    assert resolved
    pairs = [(volume.source, volume.target) for volume in resolved.volumes]
    # restic writes a lock into the repository while it reads, so that nobody prunes what it needs.
    mount = repository_mount(repository.spec.storage, read_only=False, may_create=False)
    return agent_container(
        labels.agent_name("restore", restore.uid),
        labels.agent_labels(agents.owner_of(restore), world.installation, "restore"),
        restore_mounts(pairs, mount),
        RESTORE_CAPABILITIES,
        host.spec.agent,
        world.settings.agent_image,
    )


def _job(world: World, restore: Restore, pledge: Pledge) -> Job:
    resolved = restore.status.resolved
    assert resolved and pledge.access
    left = int((resolved.deadline - world.now()).total_seconds()) if resolved.deadline else None
    return Job(
        repository=pledge.access,
        restore=RestoreJob(
            volumes=resolved.volumes,
            created=tuple(restore_end.volumes_to_create(restore.status)),
            include=restore.spec.include,
            existing_data=restore.spec.existing_data,
            seconds_left=left,
        ),
    )
