"""Who writes to a volume, and what that makes of a copy of it.

A container writes to a volume when it mounts it writable, or when it mounts, as a directory or through another volume,
a part of the disk that the volume lies on. Called by agent/backup.py and by the planning of runs and restores.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from compose_backup.api.backup_run import Consistency
from compose_backup.planning.facts import Container, Inventory, Mount, Volume

# A paused container still holds dirty pages and half-done work, and one that restarts may write at any moment.
ACTIVE_STATES = frozenset({"running", "paused", "restarting"})
NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs"})


def is_active(container: Container) -> bool:
    """Say whether the container may write, or has written without being done."""
    return container.state in ACTIVE_STATES


def users(volume: Volume, inventory: Inventory) -> tuple[Container, ...]:
    """Return the containers that mount the volume or the disk behind it, running or not, writable or not."""
    return tuple(one for one in inventory.containers if _touches(one.mounts, volume, inventory))


def writers(volume: Volume, inventory: Inventory) -> tuple[Container, ...]:
    """Return the containers that can write to the volume, running or not."""
    return tuple(
        one
        for one in inventory.containers
        if _touches([mount for mount in one.mounts if mount.writable], volume, inventory)
    )


def active_writers(volume: Volume, inventory: Inventory) -> tuple[Container, ...]:
    """Return the containers that can write to the volume now."""
    return tuple(one for one in writers(volume, inventory) if is_active(one))


def seen_writing(volume: Volume, before: Inventory, after: Inventory) -> tuple[Container, ...]:
    """Return the containers that may have written between two looks.

    These are the writers that were active in either look, and those that were started, restarted or made anew in
    between: Docker changes `StartedAt` on every start, and a new container has a new id. One that was paused in both
    looks has not written: its processes were frozen.
    """
    frozen = {one.id for one in paused_throughout(volume, before, after)}
    active_before = [one for one in active_writers(volume, before) if one.id not in frozen]
    started_before = {one.id: one.started_at for one in before.containers}
    possible = [one for one in writers(volume, after) if one.id not in frozen]
    since = [one for one in possible if is_active(one) or _started_since(one, started_before)]
    known = {one.id for one in since}
    return tuple(since) + tuple(one for one in active_before if one.id not in known)


def paused_throughout(volume: Volume, before: Inventory, after: Inventory) -> tuple[Container, ...]:
    """Return the writers that were paused in both looks and not started in between."""
    paused_before = {(one.id, one.started_at) for one in writers(volume, before) if one.state == "paused"}
    still = [one for one in writers(volume, after) if one.state == "paused"]
    return tuple(one for one in still if (one.id, one.started_at) in paused_before)


def consistency(volume: Volume, before: Inventory, after: Inventory) -> Consistency:
    """Return what a copy made between two looks is worth.

    `Live` when something may have written, `Frozen` when what would write was paused all the time (files belong to one
    moment, but hold half-done work), else `Stopped`.
    """
    if seen_writing(volume, before, after):
        return "Live"
    return "Frozen" if paused_throughout(volume, before, after) else "Stopped"


def titles(containers: Sequence[Container]) -> str:
    """Return the containers as people know them, each once."""
    return ", ".join(sorted({one.title for one in containers}))


def _started_since(container: Container, started_before: dict[str, str | None]) -> bool:
    return container.started_at is not None and container.started_at != started_before.get(container.id)


def _touches(mounts: Sequence[Mount], volume: Volume, inventory: Inventory) -> bool:
    return any(_reaches(mount, volume, inventory) for mount in mounts)


def _reaches(mount: Mount, volume: Volume, inventory: Inventory) -> bool:
    """Say whether a mount shows data of the volume: the volume itself, its directory, or the same network share."""
    if mount.volume == volume.name:
        return True
    other = inventory.volume(mount.volume) if mount.volume else None
    if other is not None and _share(other) is not None and _share(other) == _share(volume):
        return True
    source = other.device if other is not None and other.device else mount.source
    return volume.device is not None and overlap(source, volume.device)


def _share(volume: Volume) -> tuple[str | None, str | None] | None:
    """Return what names a network share; two volumes with the same one hold the same files."""
    if volume.options.get("type") not in NETWORK_FILE_SYSTEMS:
        return None
    return volume.options.get("o"), volume.options.get("device")


def overlap(one: str, other: str) -> bool:
    """Say whether one directory equals, contains or lies in the other."""
    if not (one.startswith("/") and other.startswith("/")):
        return False
    first, second = (posixpath.normpath(path) for path in (one, other))
    return posixpath.commonpath([first, second]) in (first, second)
