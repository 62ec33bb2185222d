"""Whether the host and the repository of a run or restore can be used now.

Called by planning/backup.py and planning/restore.py.
"""

from __future__ import annotations

from compose_backup.api import reasons
from compose_backup.api.conditions import READY
from compose_backup.api.resources import Host, Repository
from compose_backup.planning.checks import Objection


def host_not_ready(host: Host | None, name: str) -> Objection | None:
    """Object to a host that is missing or does not answer."""
    if host is None:
        return Objection(reasons.HOST_NOT_FOUND, f"ComposeHost {name} does not exist in this namespace; create it")
    if not host.ready:
        return Objection(reasons.HOST_NOT_READY, f"ComposeHost {host.name} is not ready: {host.condition(READY)}")
    return None


def repository_not_ready(repository: Repository | None, name: str, host_name: str | None) -> Objection | None:
    """Object to a repository that is missing, lies on another host, or cannot be opened."""
    if repository is None:
        message = f"ArchiveRepository {name} does not exist in this namespace; create it"
        return Objection(reasons.REPOSITORY_NOT_FOUND, message)
    lies_on = repository.spec.host_ref.name
    if host_name is not None and lies_on != host_name:
        return Objection(
            reasons.WRONG_HOST,
            f"ArchiveRepository {repository.name} lies on ComposeHost {lies_on}, but the volumes are on {host_name}: a "
            f"directory or volume can only be used on its own host; use a repository of {host_name}",
            "fail",
        )
    if not repository.ready:
        message = f"ArchiveRepository {repository.name} is not ready: {repository.condition(READY)}"
        return Objection(reasons.REPOSITORY_NOT_READY, message)
    return None
