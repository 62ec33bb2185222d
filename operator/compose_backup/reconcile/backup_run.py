"""One pass over a BackupRun: admit it, start the agent, follow it, store its report.

Evidence in status tells the next step:

| status | next step |
|---|---|
| no `resolved` | ask planning whether it may start, and pin what it is started with |
| `resolved`, no `agent` | start the agent of the next attempt, when its time has come |
| `agent` | look at it: progress, report, or a death whose report may be in the repository |
| `completionTime` | nothing, for ever |

Called by worker.py.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from functools import partial

from compose_backup.api import reasons
from compose_backup.api.backup_policy import CANCEL_REQUESTED_ANNOTATION
from compose_backup.api.backup_run import AgentPlace, BackupRunStatus, Failure
from compose_backup.api.job import BackupJob, BackupReport, CatalogJob, CatalogReport, Job, Report, RepositoryAccess
from compose_backup.api.kinds import BACKUP_POLICY
from compose_backup.api.resources import Host, Repository, Run
from compose_backup.errors import Stalled
from compose_backup.planning import agent_state, backup_end, humanize, labels
from compose_backup.planning import backup as planning
from compose_backup.planning.agent_container import (
    BACKUP_CAPABILITIES,
    agent_container,
    backup_mounts,
    repository_mount,
)
from compose_backup.planning.agent_state import Died, NeverStarted, Reported, Working
from compose_backup.planning.checks import Objection
from compose_backup.planning.conditions import Standing, ended, unfinished
from compose_backup.planning.facts import AgentContainer
from compose_backup.reconcile import agents, catalog, deletion
from compose_backup.reconcile.access import address_of, repository_access
from compose_backup.reconcile.archive_repository import suspect
from compose_backup.reconcile.commit import commit
from compose_backup.reconcile.compose_host import inventory_of, repository_volumes
from compose_backup.reconcile.outcome import NOTHING, Outcome
from compose_backup.reconcile.ports import DockerHost
from compose_backup.reconcile.queue import Key
from compose_backup.reconcile.world import Pledge, World

WAIT_SECONDS = 5.0
# An agent that has not ended by itself this long after the run's deadline is ended by us.
DEADLINE_GRACE = dt.timedelta(seconds=60)


@dataclass(frozen=True)
class Placed:
    """A run that was resolved, and where it works."""

    world: World
    run: Run
    host: Host
    repository: Repository
    docker: DockerHost
    pledge: Pledge

    @property
    def container(self) -> str:
        """Name of the agent's container."""
        return labels.agent_name("run", self.run.uid)


async def reconcile(world: World, run: Run) -> Outcome:
    """Do the next step of a run."""
    if run.finished:
        world.memory.pledges.pop(run.uid, None)
        return NOTHING
    if run.status.resolved is None:
        return await _admit(world, run)
    if run.status.agent is None and (stop := _stop_wanted(world, run)):
        return _end(world, run.status, "Cancelled", stop, partial(deletion.end_agents, world, run.uid))
    placed = await _placed(world, run)
    if isinstance(placed, Failure):
        return _end(world, run.status, "Failed", placed, partial(deletion.end_agents, world, run.uid))
    if run.status.agent is None:
        return await _next_attempt(placed)
    return await _follow(placed)


async def _admit(world: World, run: Run) -> Outcome:
    """Ask whether the run may start; pin what it is started with. Each engine lets in one run or restore at a time."""
    if stop := _stop_wanted(world, run):
        return _end(world, run.status, "Cancelled", stop)
    facts = _facts(world, run)
    if objection := planning.may_look(facts):
        return _objected(world, run, objection)
    assert facts.host and facts.host.status.engine
    admission = world.memory.admission[facts.host.status.engine.id]
    if admission.locked():
        # Nobody waits here: a host that does not answer would hold one worker for each of its runs.
        return Outcome(look_again_in=agents.POLL_SECONDS)
    async with admission:
        docker = world.hosts.at(await address_of(world, facts.host))
        inventory = await inventory_of(world, facts.host, docker, dt.timedelta())
        facts = replace(_facts(world, run), inventory=inventory)
        verdict = planning.admit(facts)
        if isinstance(verdict, Objection):
            return _objected(world, run, verdict)
        assert facts.host and facts.repository
        try:
            # First of all: a run that counts as running without its Secret would hold the place of others.
            await _pledged(world, run, facts.host, facts.repository)
        except Stalled as error:
            return _objected(world, run, Objection(error.reason, error.message))
        status = run.status.model_copy(update={"resolved": verdict, "phase": "Running", "start_time": world.now()})
        return await commit(world, run, _working(status, "the agent is being started", look_again_in=0))


def _facts(world: World, run: Run) -> planning.RunFacts:
    """Return what the cluster tells of a run that has not started."""
    policy = world.store.policy(run.namespace, run.spec.policy_ref.name)
    host = world.store.host(run.namespace, policy.spec.host_ref.name) if policy else None
    return planning.RunFacts(
        run=run,
        policy=policy,
        host=host,
        hosts=tuple(world.store.hosts()),
        repository=world.store.repository(run.namespace, policy.spec.repository_ref.name) if policy else None,
        inventory=None,
        repository_volumes=repository_volumes(world, host) if host else (),
        runs=tuple(other for other in world.store.active_runs() if other.uid != run.uid),
        restores=tuple(world.store.active_restores()),
        now=world.now(),
    )


def _objected(world: World, run: Run, objection: Objection) -> Outcome:
    if objection.then == "wait":
        status = run.status.model_copy(update={"phase": "Pending"})
        standing = Standing("working", objection.reason, objection.message)
        return Outcome(status, unfinished(standing), WAIT_SECONDS)
    failure = Failure(reason=objection.reason, message=objection.message)
    return _end(world, run.status, "Skipped" if objection.then == "skip" else "Failed", failure)


async def _placed(world: World, run: Run) -> Placed | Failure:
    """Return where a resolved run works, by what it was started with; its credentials are kept until it ends."""
    resolved = run.status.resolved
    assert resolved
    host = world.store.host(run.namespace, resolved.host.name)
    pledge = world.memory.pledges.get(run.uid)
    repository = pledge.repository if pledge else world.store.repository(run.namespace, resolved.repository.name)
    if host is None or repository is None:
        return backup_end.deleted(resolved, host)
    if moved := backup_end.moved(resolved, host):
        return moved
    if pledge is None:
        pledge = await _pledged(world, run, host, repository)
    assert pledge.repository
    return Placed(world, run, host, pledge.repository, world.hosts.at(world.newest_address(pledge)), pledge)


async def _pledged(world: World, run: Run, host: Host, repository: Repository) -> Pledge:
    """Read what the run needs until it ends, and keep it in memory."""
    access = await repository_access(world, repository, repository.status.repository_id)
    pledge = Pledge(await address_of(world, host), access, repository)
    world.memory.pledges[run.uid] = pledge
    return pledge


async def _readmitted(placed: Placed) -> Outcome:
    """Ask for a place on the engine once more: during the pause between two attempts it was free for others."""
    world, run = placed.world, placed.run
    async with world.memory.admission[placed.host.status.engine.id if placed.host.status.engine else ""]:
        if busy := planning.host_busy(replace(_facts(world, run), host=placed.host)):
            return Outcome(run.status, unfinished(Standing("working", busy.reason, busy.message)), WAIT_SECONDS)
        status = run.status.model_copy(update={"retry_at": None})
        return await commit(world, run, _working(status, "the next attempt is being started", look_again_in=0))


async def _next_attempt(placed: Placed) -> Outcome:
    """Start the agent of the next attempt when its time has come."""
    run, now = placed.run, placed.world.now()
    if run.status.retry_at and now < run.status.retry_at:
        return Outcome(look_again_in=(run.status.retry_at - now).total_seconds())
    if late := _deadline_passed(placed, dt.timedelta()):
        return _end(placed.world, run.status, "Failed", late)
    if run.status.retry_at:
        return await _readmitted(placed)
    attempt = run.status.attempts + 1
    status = run.status.model_copy(update={"attempts": attempt, "retry_at": None, "progress": None, "failure": None})
    try:
        container_id = await placed.docker.start_agent(_container(placed, attempt), _job(placed, attempt).framed())
    except Stalled as error:
        retryable = error.reason in (reasons.VOLUME_MOUNT_FAILED, reasons.ENGINE_ERROR, reasons.IMAGE_UNAVAILABLE)
        report = Report(failure=Failure(reason=error.reason, message=error.message, retryable=retryable))
        return _attempt_ended(placed, status, report, "")
    if container_id is None:
        return await _found_container(placed, attempt, status)
    return _working(_with_agent(placed, status, container_id), f"attempt {attempt} is at work")


async def _found_container(placed: Placed, attempt: int, status: BackupRunStatus) -> Outcome:
    """Go on with a container that is there already: started by us before a crash, or left from the attempt before."""
    look = await placed.docker.look_at_agent(placed.container)
    if look and look.labels.get(labels.ATTEMPT) == str(attempt):
        has_its_job = agent_state.has_its_job(look)
        if has_its_job is None:
            return Outcome(look_again_in=agents.POLL_SECONDS)
        if has_its_job:
            return _working(_with_agent(placed, status, look.container_id), f"attempt {attempt} is at work")
    await placed.docker.remove_agent(placed.container)
    return Outcome(look_again_in=0)


async def _follow(placed: Placed) -> Outcome:
    """Look at the agent: progress, its report, or its death."""
    run, now = placed.run, placed.world.now()
    sighting = await agents.sight(placed.world, placed.docker, placed.container)
    match sighting.state:
        case Working(progress=progress):
            if _stop_wanted(placed.world, run) or _deadline_passed(placed, DEADLINE_GRACE):
                await placed.docker.terminate_agent(placed.container)
            shown = agents.shown(progress, run.status.progress, now)
            return _working(
                run.status.model_copy(update={"progress": shown}), f"attempt {run.status.attempts} is at work"
            )
        case NeverStarted():
            status = run.status.model_copy(update={"agent": None, "attempts": run.status.attempts - 1})
            remove = agents.removal(placed.docker, placed.container)
            return _working(status, "the agent is being started anew", look_again_in=0, afterwards=remove)
        case Reported(report, log_tail):
            return _attempt_ended(placed, run.status, report, log_tail)
        case Died() as died:
            return await _died(placed, died)


async def _died(placed: Placed, died: Died) -> Outcome:
    """Look in the repository for the record of an attempt whose report was lost: it decides, not the container."""
    wanted = catalog.Search(
        placed.run, placed.host, placed.repository, _access(placed), CatalogJob(run_uid=placed.run.uid)
    )
    # The first reason counts: once the container is gone, the next look tells only that.
    died = replace(died, failure=placed.run.status.failure or died.failure)
    found = await catalog.search(placed.world, placed.docker, wanted)
    if found is None:
        status = placed.run.status.model_copy(update={"failure": died.failure})
        return _working(status, f"the agent died ({died.failure.message}); its record is looked for")
    report = Report(failure=died.failure)
    if isinstance(found, CatalogReport) and found.record and found.record.attempt == placed.run.status.attempts:
        report = _rebuilt(found, died)
    return _attempt_ended(placed, placed.run.status, report, died.log_tail)


def _rebuilt(found: CatalogReport, died: Died) -> Report:
    """Return the report that was lost, from the record that the same attempt wrote."""
    assert found.record
    results = tuple(volume.result for volume in found.record.volumes)
    backup = BackupReport(verdict=found.record.verdict, volumes=results, record_id=found.record_id)
    return Report(backup=backup, failure=None if found.record.verdict == "Succeeded" else died.failure)


def _attempt_ended(placed: Placed, status: BackupRunStatus, report: Report, log_tail: str) -> Outcome:
    """Store the report, then remove the container that it came from."""
    world, run = placed.world, placed.run
    remove = agents.removal(placed.docker, placed.container)
    if report.failure:
        suspect(world, placed.repository, report.failure.reason)
    if (report.cancelled or report.failure) and (stop := _stop_wanted(world, run)):
        return _end(world, status, "Cancelled", stop, remove)
    if report.failure and (late := _deadline_passed(placed, dt.timedelta())):
        return _end(world, status, "Failed", late, remove)
    after = backup_end.after_attempt(status, report, log_tail, world.now())
    if after.completion_time is None:
        assert after.retry_at and after.failure
        begins = f"the next one begins at {after.retry_at:%H:%M:%SZ}"
        message = f"attempt {after.attempts} failed ({after.failure.message}); {begins}"
        return _working(after, message, look_again_in=(after.retry_at - world.now()).total_seconds(), afterwards=remove)
    return _ended(after, remove)


def _end(
    world: World,
    status: BackupRunStatus,
    phase: str,
    failure: Failure,
    afterwards: agents.Action | None = None,
) -> Outcome:
    return _ended(backup_end.finished(status, phase, failure, world.now()), afterwards)


def _ended(status: BackupRunStatus, afterwards: agents.Action | None) -> Outcome:
    done = f"{len(status.volumes)} volumes archived"
    return Outcome(status, ended(status.phase or "", status.failure, done), None, afterwards)


def _working(
    status: BackupRunStatus,
    message: str,
    *,
    look_again_in: float = agents.POLL_SECONDS,
    afterwards: agents.Action | None = None,
) -> Outcome:
    standing = Standing("working", reasons.RUNNING, message)
    return Outcome(status, unfinished(standing), look_again_in, afterwards)


def _stop_wanted(world: World, run: Run) -> Failure | None:
    """Return why the run is to be ended before its time, or None: a person asked, or its policy is gone."""
    if CANCEL_REQUESTED_ANNOTATION in run.annotations:
        return Failure(reason=reasons.CANCELLED, message=f"cancelled by the annotation {CANCEL_REQUESTED_ANNOTATION}")
    policy = world.store.body(Key(BACKUP_POLICY.name, run.namespace, run.spec.policy_ref.name))
    if run.status.resolved and (policy is None or policy["metadata"]["uid"] != run.status.resolved.policy_uid):
        message = f"BackupPolicy {run.spec.policy_ref.name} was deleted while the run was active"
        return Failure(reason=reasons.CANCELLED, message=message)
    return None


def _deadline_passed(placed: Placed, grace: dt.timedelta) -> Failure | None:
    assert placed.run.status.resolved
    deadline = placed.run.status.resolved.deadline
    if deadline is None or placed.world.now() < deadline + grace:
        return None
    spent = humanize.duration(deadline - placed.run.created)
    message = (
        f"the run was not finished within {spent}; raise spec.deadlineSeconds of the policy, or archive less at once"
    )
    return Failure(reason=reasons.DEADLINE_EXCEEDED, message=message)


def _with_agent(placed: Placed, status: BackupRunStatus, container_id: str) -> BackupRunStatus:
    assert status.resolved
    place = AgentPlace(
        container_id=container_id,
        container_name=placed.container,
        engine_id=status.resolved.host.engine_id,
        image=placed.host.spec.agent.image or placed.world.settings.agent_image,
        start_time=placed.world.now(),
    )
    return status.model_copy(update={"agent": place, "phase": "Running"})


def _access(placed: Placed) -> RepositoryAccess:
    assert placed.pledge.access
    return placed.pledge.access


def _container(placed: Placed, attempt: int) -> AgentContainer:
    resolved = placed.run.status.resolved
    assert resolved
    marks = labels.agent_labels(agents.owner_of(placed.run), placed.world.installation, "run")
    repository = repository_mount(placed.repository.spec.storage, read_only=False, may_create=False)
    return agent_container(
        placed.container,
        {**marks, labels.ATTEMPT: str(attempt)},
        backup_mounts(resolved.volumes, repository, placed.host.spec.agent.docker_socket),
        BACKUP_CAPABILITIES,
        placed.host.spec.agent,
        placed.world.settings.agent_image,
    )


def _job(placed: Placed, attempt: int) -> Job:
    run, world, resolved = placed.run, placed.world, placed.run.status.resolved
    assert resolved
    left = int((resolved.deadline - world.now()).total_seconds()) if resolved.deadline else None
    return Job(
        repository=_access(placed),
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
            live_copy_allowed=resolved.live_copy_allowed,
            exclude_files=resolved.exclude_files,
            seconds_left=left,
        ),
    )
