"""Which volumes of a host a policy selects. Called by planning/policy.py, planning/backup.py and planning/host.py."""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatchcase

from compose_backup.api.backup_policy import Selector
from compose_backup.planning.facts import PROJECT_LABEL, VOLUME_LABEL, Inventory, Volume
from compose_backup.planning.labels import PREFIX, REPOSITORY_LOCATION


def selected(selector: Selector, inventory: Inventory, repositories: Collection[str]) -> tuple[Volume, ...]:
    """Return the volumes that a selector matches, by name.

    Volumes that the operator made, and those that hold a repository, are never among them: a repository within its own
    archive would grow with every run.
    """
    return tuple(
        sorted(
            (volume for volume in user_volumes(inventory, repositories) if matches(selector, volume, inventory)),
            key=lambda volume: volume.name,
        )
    )


def user_volumes(inventory: Inventory, repositories: Collection[str]) -> tuple[Volume, ...]:
    """Return all volumes but anonymous ones, our own, and those that hold a repository."""
    held = {*repositories, *repository_volumes(inventory)}
    return tuple(
        volume
        for volume in inventory.volumes
        if not _is_anonymous(volume) and not is_ours(volume) and volume.name not in held
    )


def repository_volumes(inventory: Inventory) -> frozenset[str]:
    """Return the volumes that hold a repository, as marked on the host: other namespaces and clusters use it, too."""
    places = (volume.labels.get(REPOSITORY_LOCATION, "") for volume in inventory.volumes)
    return frozenset(place.removeprefix("volume:") for place in places if place.startswith("volume:"))


def projects_of(volume: Volume, inventory: Inventory) -> frozenset[str]:
    """Return the Compose projects of a volume: that of its label, and those of the containers that mount it.

    External volumes carry no labels of Compose, so the containers are asked as well
    (docker/compose, pkg/compose/create.go, checkExternalVolumes).
    """
    labelled = {volume.labels[PROJECT_LABEL]} if PROJECT_LABEL in volume.labels else set()
    mounting = {
        container.project
        for container in inventory.containers
        if container.project and any(mount.volume == volume.name for mount in container.mounts)
    }
    return frozenset(labelled | mounting)


def matches(selector: Selector, volume: Volume, inventory: Inventory) -> bool:
    """Return whether a volume of a user is one that a selector means."""
    names = {volume.name, volume.labels.get(VOLUME_LABEL, volume.name)}
    if _any_match(names, selector.exclude):
        return False
    if selector.volumes and not _any_match(names, selector.volumes):
        return False
    if selector.projects and not _any_match(projects_of(volume, inventory), selector.projects):
        return False
    return all(volume.labels.get(key) == value for key, value in selector.labels.items())


def _any_match(names: frozenset[str] | set[str], globs: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, glob) for name in names for glob in globs)


def _is_anonymous(volume: Volume) -> bool:
    """Anonymous volumes have 64 hexadecimal digits for a name, and go with their container."""
    return len(volume.name) == 64 and all(digit in "0123456789abcdef" for digit in volume.name)


def is_ours(volume: Volume) -> bool:
    """Return whether the operator made a volume."""
    return any(label.startswith(PREFIX) for label in volume.labels)
