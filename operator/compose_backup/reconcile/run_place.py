"""Where a run works, with what, and whether it is to be ended before its time.

Called by the passes over a BackupRun: backup_run.py, run_admission.py, run_attempt.py and run_end.py.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from compose_backup.api import reasons
from compose_backup.api.backup_run import Failure
from compose_backup.api.job import RepositoryAccess
from compose_backup.api.kinds import BACKUP_POLICY
from compose_backup.api.resources import Host, Repository, Run
from compose_backup.planning import backup as planning
from compose_backup.planning import backup_end, humanize, labels
from compose_backup.reconcile import agents, line
from compose_backup.reconcile.access import address_of, repository_access
from compose_backup.reconcile.compose_host import repository_volumes
from compose_backup.reconcile.journals import Site
from compose_backup.reconcile.ports import DockerHost
from compose_backup.reconcile.queue import Key
from compose_backup.reconcile.world import Pledge, World

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

    @property
    def site(self) -> Site:
        """Where the run's journal lies."""
        return Site(self.world, self.docker, self.host, agents.owner_of(self.run), self.container)

    @property
    def access(self) -> RepositoryAccess:
        """How its repository is opened."""
        assert self.pledge.access
        return self.pledge.access


def facts_of(world: World, run: Run) -> planning.RunFacts:
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
        others=line.others(world, run.uid),
        usage=line.usage_of(world, host),
        now=world.now(),
    )


def earlier_runs(world: World, run: Run) -> tuple[Run, ...]:
    """Return the finished runs of the same policy: there may be many, so they are read only when they are needed."""
    return tuple(one for one in world.store.runs_of(run.namespace, run.spec.policy_ref.name) if one.finished)


async def placed(world: World, run: Run) -> Placed | Failure:
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
        pledge = await pledged(world, run, host, repository)
    assert pledge.repository
    return Placed(world, run, host, pledge.repository, world.hosts.at(world.newest_address(pledge)), pledge)


async def pledged(world: World, run: Run, host: Host, repository: Repository) -> Pledge:
    """Read what the run needs until it ends, and keep it in memory."""
    access = await repository_access(world, repository, repository.status.repository_id)
    pledge = Pledge(await address_of(world, host), access, repository)
    world.memory.pledges[run.uid] = pledge
    return pledge


def stop_wanted(world: World, run: Run) -> Failure | None:
    """Return why the run is to be ended before its time, or None: a person asked, or its policy is gone."""
    if asked := agents.cancelled(run):
        return asked
    policy = world.store.body(Key(BACKUP_POLICY.name, run.namespace, run.spec.policy_ref.name))
    if run.status.resolved and (policy is None or policy["metadata"]["uid"] != run.status.resolved.policy_uid):
        message = f"BackupPolicy {run.spec.policy_ref.name} was deleted while the run was active"
        return Failure(reason=reasons.CANCELLED, message=message)
    return None


def deadline_passed(placed: Placed, grace: dt.timedelta = dt.timedelta()) -> Failure | None:
    """Return why a run has no time left, or None."""
    assert placed.run.status.resolved
    deadline = placed.run.status.resolved.deadline
    if deadline is None or placed.world.now() < deadline + grace:
        return None
    spent = humanize.duration(deadline - placed.run.created)
    message = (
        f"the run was not finished within {spent}; raise spec.deadlineSeconds of the policy, or archive less at once"
    )
    return Failure(reason=reasons.DEADLINE_EXCEEDED, message=message)
