"""What `ComposeHost.spec.permit` allows. Called by the planning of runs, restores and quiescing."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from compose_backup.api import reasons
from compose_backup.api.compose_host import Permit
from compose_backup.planning import humanize
from compose_backup.planning.checks import Objection
from compose_backup.planning.facts import Container, Inventory, Volume
from compose_backup.planning.selection import projects_of


def allows(permit: Permit, project: str | None) -> bool:
    """Return whether a project may be touched. What belongs to no project may be only where nothing is ruled out."""
    if not permit.projects:
        return True
    return project is not None and any(fnmatchcase(project, glob) for glob in permit.projects)


def refusal(what: str, project: str | None) -> str:
    """Return the message for something that is not allowed."""
    where = f"project {project}" if project else "no Compose project"
    return f"{what} belongs to {where}, which spec.permit.projects of the ComposeHost does not allow"


def containers_refused(permit: Permit, containers: Iterable[Container]) -> Objection | None:
    """Object to containers that would have to be stopped and must not be."""
    for one in sorted(containers, key=lambda container: container.title):
        if not allows(permit, one.project):
            message = refusal(f"{one.title} would have to be stopped and", one.project)
            return Objection(reasons.NOT_PERMITTED, message, "fail")
    return None


def volumes_refused(permit: Permit, volumes: Iterable[Volume], inventory: Inventory) -> Objection | None:
    """Object to volumes that belong only to projects that are not allowed."""
    refused = [one.name for one in volumes if not _allows_volume(permit, one, inventory)]
    if not refused:
        return None
    message = (
        f"spec.permit.projects of the ComposeHost does not allow the volumes {humanize.listed(sorted(refused))}; "
        "narrow the selection, or have the permission widened"
    )
    return Objection(reasons.NOT_PERMITTED, message, "fail")


def _allows_volume(permit: Permit, volume: Volume, inventory: Inventory) -> bool:
    return not permit.projects or any(allows(permit, project) for project in projects_of(volume, inventory))
