"""A search in a repository by a job of the agent: for restore points, for what a restore means, for a lost report.

Called by the passes over policies, restores and runs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from compose_backup.api.backup_run import Failure
from compose_backup.api.job import CatalogJob, CatalogReport, Job, RepositoryAccess
from compose_backup.api.resources import Host, Repository, Resource
from compose_backup.planning import labels
from compose_backup.planning.agent_container import REPOSITORY_CAPABILITIES, agent_container, repository_mount
from compose_backup.planning.agent_state import Died, NeverStarted, Reported, Working
from compose_backup.planning.facts import AgentContainer
from compose_backup.reconcile import agents
from compose_backup.reconcile.ports import DockerHost
from compose_backup.reconcile.world import World


@dataclass(frozen=True)
class Search:
    """What is searched for, where, and on whose behalf."""

    owner: Resource[Any, Any]
    host: Host
    repository: Repository
    access: RepositoryAccess
    wanted: CatalogJob

    @property
    def container(self) -> str:
        """Name of the container that searches for this owner."""
        return labels.agent_name("catalog", self.owner.uid)

    @property
    def question(self) -> str:
        """What tells this search from an earlier one of its owner: a policy may have moved to another repository."""
        asked = f"{self.repository.status.repository_id} {self.wanted.model_dump_json()}"
        return hashlib.sha256(asked.encode()).hexdigest()[:32]


async def search(world: World, docker: DockerHost, wanted: Search) -> CatalogReport | Failure | None:
    """Begin or continue a search: return what was found, why it failed, or None while it is at work.

    The container is gone when this returns a result: what a search found can be found again.
    """
    sighting = await agents.sight(world, docker, wanted.container)
    if sighting.look is None:
        await docker.start_agent(
            _container(world, wanted), Job(repository=wanted.access, catalog=wanted.wanted).framed()
        )
        return None
    if sighting.look.labels.get(labels.QUESTION) != wanted.question:
        await docker.remove_agent(wanted.container)
        return None
    match sighting.state:
        case Working():
            return None
        case NeverStarted():
            await docker.remove_agent(wanted.container)
            return None
        case Died(failure):
            await docker.remove_agent(wanted.container)
            return failure
        case Reported(report):
            await docker.remove_agent(wanted.container)
            return report.failure or report.catalog or CatalogReport()


def _container(world: World, wanted: Search) -> AgentContainer:
    marks = labels.agent_labels(agents.owner_of(wanted.owner), world.installation, "catalog")
    return agent_container(
        wanted.container,
        {**marks, labels.QUESTION: wanted.question},
        (repository_mount(wanted.repository.spec.storage, read_only=True, may_create=False),),
        REPOSITORY_CAPABILITIES,
        wanted.host.spec.agent,
        world.settings.agent_image,
    )
