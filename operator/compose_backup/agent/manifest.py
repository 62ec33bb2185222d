"""The manifest of a volume: what is needed to make it again on a bare machine. Called by agent/archive.py."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from compose_backup.agent.looking import Look
from compose_backup.api.backup_policy import Method
from compose_backup.api.record import RootDirectory, UsingContainer, VolumeManifest
from compose_backup.planning import labels, writers
from compose_backup.planning.facts import Container, Volume


def manifest_of(
    volume: Volume,
    root: RootDirectory,
    look: Look,
    digest: Callable[[str], str],
    versions: tuple[str, str],
    method: Method = "None",
) -> VolumeManifest:
    """Return the manifest. `digest` asks for the digest of an image id; `versions` are the agent's and restic's."""

    def using(container: Container) -> UsingContainer:
        image_id = look.images.get(container.id)
        return UsingContainer(
            name=container.name,
            project=container.project,
            service=container.service,
            image=container.image,
            image_digest=digest(image_id) if image_id else None,
            running=writers.is_active(container),
        )

    # Our own containers only read it, and are gone when anybody reads this.
    users = [one for one in writers.users(volume, look.inventory) if labels.PURPOSE not in one.labels]
    return VolumeManifest(
        volume=volume.name,
        driver=volume.driver,
        options=dict(volume.options),
        labels=dict(volume.labels),
        root=root,
        containers=tuple(using(one) for one in users),
        quiesce_method=method,
        agent_version=versions[0],
        restic_version=versions[1],
    )


def root_of(directory: Path) -> RootDirectory:
    """Return owner and mode of a directory."""
    found = directory.lstat()
    return RootDirectory(uid=found.st_uid, gid=found.st_gid, mode=stat.S_IMODE(found.st_mode))
