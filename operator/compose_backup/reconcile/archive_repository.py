"""One pass over an ArchiveRepository: open it by a job of the agent on its host, or create it, once and never again.

Called by worker.py.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from compose_backup.api import reasons
from compose_backup.api.archive_repository import ArchiveRepositoryStatus
from compose_backup.api.backup_run import Failure
from compose_backup.api.conditions import READY
from compose_backup.api.job import Job, ProbeJob, ProbeReport, Report
from compose_backup.api.resources import Host, Repository
from compose_backup.errors import Stalled, Unreachable
from compose_backup.planning import humanize, labels
from compose_backup.planning import repository as planning
from compose_backup.planning.agent_container import (
    REPOSITORY_CAPABILITIES,
    agent_container,
    parent_mounts,
    repository_mount,
)
from compose_backup.planning.agent_state import Died, NeverStarted, Reported, Working
from compose_backup.planning.conditions import Standing, State, claims
from compose_backup.planning.facts import AgentLook, Volume
from compose_backup.reconcile import agents
from compose_backup.reconcile.access import address_of, repository_access, required_secret
from compose_backup.reconcile.outcome import Outcome
from compose_backup.reconcile.ports import DockerHost
from compose_backup.reconcile.queue import Key
from compose_backup.reconcile.world import Pledge, ProbeMemory, Told, World

WAIT_SECONDS = 15.0
OTHER_PROBE_SECONDS = 2.0
OTHERS_REPORT_KEPT = dt.timedelta(seconds=60)


@dataclass(frozen=True)
class Probing:
    """What one pass works with."""

    world: World
    repository: Repository
    host: Host
    docker: DockerHost
    container: str
    credentials_version: str

    @property
    def marker(self) -> str:
        """Name of the volume that remembers on the host which repository was seen at the place."""
        return labels.marker_name(planning.place(self.repository.spec.storage))


async def reconcile(world: World, repository: Repository) -> Outcome:
    """Open the repository when it is due, and return how it stands."""
    host = world.store.host(repository.namespace, repository.spec.host_ref.name)
    if host is None:
        message = f"ComposeHost {repository.spec.host_ref.name} does not exist in this namespace; create it"
        return _outcome(repository, Standing("waiting", reasons.HOST_NOT_FOUND, message), None)
    if objection := planning.not_permitted(repository, host):
        return _outcome(repository, Standing("stalled", objection.reason, objection.message), None)
    if not host.ready:
        message = f"ComposeHost {host.name} is not ready: {host.condition(READY)}"
        state: State = "waiting" if host.seen else "working"  # what was just applied together is no fault
        return _outcome(repository, Standing(state, reasons.HOST_NOT_READY, message), WAIT_SECONDS)
    try:
        return await _pass(await _gather(world, repository, host))
    except Stalled as error:
        return _outcome(repository, Standing("stalled", error.reason, error.message), WAIT_SECONDS)
    except Unreachable as error:
        return _outcome(repository, Standing("waiting", error.reason, error.message), WAIT_SECONDS)


def suspect(world: World, repository: Repository, reason: str) -> None:
    """Have the repository opened at once when a run or restore ended for a reason that may lie in it."""
    if reason in planning.SUSPICIOUS_REASONS:
        world.memory.probes[repository.uid].suspected = True
        world.queue.add(Key(repository.kind.name, repository.namespace, repository.name))


def tell(world: World, repository: Repository, found: ProbeReport) -> None:
    """Take what a run has found in the repository for a probe: opened again it would tell the same."""
    world.memory.probes[repository.uid].told = Told(found, world.now())
    world.queue.add(Key(repository.kind.name, repository.namespace, repository.name))


async def _gather(world: World, repository: Repository, host: Host) -> Probing:
    address = await address_of(world, host)
    secret = await required_secret(world, repository.namespace, repository.spec.restic.password_secret_ref.name)
    container = labels.probe_name(planning.place(repository.spec.storage))
    world.memory.pledges[repository.uid] = Pledge(address, None)
    return Probing(world, repository, host, world.hosts.at(address), container, secret.version)


async def _pass(probing: Probing) -> Outcome:
    """Look for a probe at work; take its report, or start one when it is due. What a run has told spares a probe."""
    told, _memory(probing).told = _memory(probing).told, None
    if told and not _is_due(probing, but_for_runs=True):
        return _found(probing, told)
    if not _memory(probing).at_work and not _is_due(probing):
        return _keep(probing)
    sighting = await agents.sight(probing.world, probing.docker, probing.container)
    if sighting.look is None:
        return await _start(probing)
    if labels.Owner.of(sighting.look.labels) != agents.owner_of(probing.repository):
        return await _of_another(probing, sighting.look)
    _memory(probing).in_the_way = None
    match sighting.state:
        case Working():
            return Outcome(look_again_in=agents.POLL_SECONDS)
        case NeverStarted():
            await probing.docker.remove_agent(probing.container)
            return Outcome(look_again_in=0)
        case Reported(report):
            return await _ended(probing, report)
        case Died(failure):
            return await _ended(probing, Report(failure=failure))


async def _of_another(probing: Probing, look: AgentLook) -> Outcome:
    """Wait while another object, perhaps of another cluster, has the place probed.

    One that has ended is left to its owner for a while. That may be gone, with its cluster: then it is removed.
    """
    memory, now = _memory(probing), probing.world.now()
    if look.alive or memory.in_the_way is None or memory.in_the_way[0] != look.container_id:
        memory.in_the_way = (look.container_id, now)
    if now - memory.in_the_way[1] > OTHERS_REPORT_KEPT:
        memory.in_the_way = None
        await probing.docker.remove_agent(probing.container)
        return Outcome(look_again_in=0)
    if probing.repository.ready:
        return Outcome(look_again_in=OTHER_PROBE_SECONDS)
    message = f"container {probing.container} on the host opens the repository for another object; it is waited for"
    return _outcome(probing.repository, Standing("working", reasons.PROGRESSING, message), OTHER_PROBE_SECONDS)


async def _start(probing: Probing) -> Outcome:
    """Start a probe if one is due. Which repository was seen at the place is asked of the host, too."""
    if not _is_due(probing):
        _memory(probing).at_work = False
        return _keep(probing)
    world, repository = probing.world, probing.repository
    seen = await _seen_id(probing)
    access = await repository_access(world, repository, seen)
    create = planning.may_create(repository, seen)
    container = agent_container(
        probing.container,
        labels.agent_labels(agents.owner_of(repository), world.installation, "probe"),
        (
            repository_mount(repository.spec.storage, read_only=not create, may_create=create),
            *parent_mounts(repository.spec.storage, may_create=create),
        ),
        REPOSITORY_CAPABILITIES,
        probing.host.spec.agent,
        world.settings.agent_image,
    )
    try:
        await probing.docker.start_agent(container, Job(repository=access, probe=ProbeJob(create=create)).framed())
    except Stalled as error:
        return await _ended(probing, Report(failure=_start_failure(error, seen)))
    _memory(probing).at_work = True
    standing = Standing("working", reasons.PROGRESSING, "the repository is being opened")
    # What was wrong stays told while it is tried again.
    known = repository.ready or _memory(probing).failures > 0
    keeps = known and repository.status.observed_generation == repository.generation
    return Outcome(look_again_in=0.2) if keeps else _outcome(repository, standing, 0.2)


def _start_failure(error: Stalled, seen: str | None) -> Failure:
    """Return why the probe did not start. A directory that was seen and is not there now has vanished."""
    if error.reason == reasons.VOLUME_MOUNT_FAILED and seen:
        return Failure(
            reason=reasons.REPOSITORY_VANISHED,
            message=f"the repository is not there any more ({error.message}); mount or restore it; it is never created "
            "again by itself",
        )
    return Failure(reason=error.reason, message=error.message)


async def _seen_id(probing: Probing) -> str | None:
    """Return the identity of the repository that was seen here: status is lost when the object is applied anew."""
    if probing.repository.status.repository_id:
        return probing.repository.status.repository_id
    marker = (await probing.docker.inventory()).volume(probing.marker)
    return marker.labels.get(labels.REPOSITORY_ID) if marker else None


async def _ended(probing: Probing, report: Report) -> Outcome:
    """Store what the probe found. The marker comes first: once known, a repository is never created again."""
    memory, world, repository = _memory(probing), probing.world, probing.repository
    memory.at_work = memory.suspected = False
    remove = agents.removal(probing.docker, probing.container)
    if report.failure or report.probe is None:
        memory.failures += 1
        pause = planning.retry_seconds(memory.failures)
        memory.retry_at = world.now() + dt.timedelta(seconds=pause)
        memory.host_generation = probing.host.generation
        failure = report.failure or Failure(reason=reasons.AGENT_LOST, message="the probe reported nothing")
        status = _base(repository).model_copy(update={"credentials_version": probing.credentials_version})
        return Outcome(status, claims(planning.standing_of(repository.spec, failure)), min(pause, WAIT_SECONDS), remove)
    memory.failures, memory.retry_at = 0, None
    await probing.docker.create_volume(_marker(probing, report.probe.repository_id))
    return _found(probing, Told(report.probe, world.now()), remove)


def _found(probing: Probing, told: Told, afterwards: agents.Action | None = None) -> Outcome:
    """Return how a repository stands that was opened."""
    found = told.found
    reason = reasons.CREATED if found.created else reasons.OPENED
    message = f"restic repository {found.repository_id[:10]} holds {found.snapshots} snapshots"
    return Outcome(_opened(probing, told), claims(Standing("good", reason, message)), WAIT_SECONDS, afterwards)


def _marker(probing: Probing, repository_id: str) -> Volume:
    place = planning.place(probing.repository.spec.storage)
    marks = {labels.REPOSITORY_ID: repository_id, labels.REPOSITORY_LOCATION: place}
    return Volume(probing.marker, labels=marks)


def _opened(probing: Probing, told: Told) -> ArchiveRepositoryStatus:
    found = told.found
    return _base(probing.repository).model_copy(
        update={
            "repository_id": found.repository_id,
            "snapshots": found.snapshots,
            "size_bytes": found.size_bytes,
            "size": humanize.size(found.size_bytes),
            "last_probe_time": told.at,
            "credentials_version": probing.credentials_version,
        }
    )


def _is_due(probing: Probing, *, but_for_runs: bool = False) -> bool:
    memory, repository = _memory(probing), probing.repository
    last_end = None if but_for_runs else probing.world.store.last_end(repository.namespace, repository.uid)
    facts = planning.ProbeFacts(
        repository=repository,
        credentials_version=probing.credentials_version,
        last_run_ended=last_end,
        # What was wrong may have been the host's image or directories: edited, it is tried at once.
        retry_at=memory.retry_at if memory.host_generation == probing.host.generation else None,
        suspected=memory.suspected,
    )
    return planning.due(facts, probing.world.now())


def _memory(probing: Probing) -> ProbeMemory:
    return probing.world.memory.probes[probing.repository.uid]


def _keep(probing: Probing) -> Outcome:
    """Leave the status as it is, and look again for a changed Secret or the next probe."""
    return Outcome(look_again_in=WAIT_SECONDS * (4 if probing.repository.ready else 1))


def _base(repository: Repository) -> ArchiveRepositoryStatus:
    place = planning.location(repository.spec)
    return repository.status.model_copy(update={"conditions": (), "format": "restic", "location": place})


def _outcome(repository: Repository, standing: Standing, look_again_in: float | None) -> Outcome:
    return Outcome(_base(repository), claims(standing), look_again_in)
