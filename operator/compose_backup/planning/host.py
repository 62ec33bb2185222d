"""What is on a host, and what of it nobody backs up. Called by reconcile/compose_host.py."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from compose_backup.api.backup_policy import Selector
from compose_backup.api.compose_host import HostVolumes, Project
from compose_backup.planning.facts import Inventory, Volume
from compose_backup.planning.selection import matches, projects_of, user_volumes

SHOWN_NAMES = 50
SHOWN_PROJECTS = 256


def projects(inventory: Inventory) -> tuple[Project, ...]:
    """Return the Compose projects of a host, by name."""
    services: dict[str, set[str]] = {}
    volumes: dict[str, int] = {}
    for container in inventory.containers:
        if container.project:
            services.setdefault(container.project, set()).add(container.service or container.name)
    for volume in inventory.volumes:
        for name in projects_of(volume, inventory):
            volumes[name] = volumes.get(name, 0) + 1
    return tuple(
        Project(name=name, services=len(services.get(name, ())), volumes=volumes.get(name, 0))
        for name in sorted(services.keys() | volumes.keys())
    )[:SHOWN_PROJECTS]


def volumes(inventory: Inventory, selectors: Sequence[Selector], repositories: Collection[str]) -> HostVolumes:
    """Return how many volumes there are, and which no selector matches or no container uses."""
    mine = user_volumes(inventory, repositories)
    unprotected = sorted(
        volume.name for volume in mine if not any(matches(selector, volume, inventory) for selector in selectors)
    )
    return HostVolumes(
        total=len(mine),
        protected=len(mine) - len(unprotected),
        unprotected_count=len(unprotected),
        unprotected=tuple(unprotected[:SHOWN_NAMES]),
        dangling=tuple(_dangling(mine, inventory)[:SHOWN_NAMES]),
    )


def _dangling(mine: Sequence[Volume], inventory: Inventory) -> list[str]:
    used = {mount.volume for container in inventory.containers for mount in container.mounts}
    return sorted(volume.name for volume in mine if volume.name not in used)
