"""What every job of the agent works with. Made once by agent/__main__.py, and by tests with places of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from compose_backup.agent.engines.restic import Restic
from compose_backup.agent.events import Diagnostics, Emitter
from compose_backup.agent.looking import Engine
from compose_backup.agent.stopping import Stop
from compose_backup.api.job import DOCKER_SOCKET, MANIFEST_ROOT, REPOSITORY_ROOT, VOLUMES_ROOT, RepositoryAccess


@dataclass(frozen=True)
class Places:
    """Where things are in the agent container."""

    volumes: str = VOLUMES_ROOT
    manifests: str = MANIFEST_ROOT
    repository: str = REPOSITORY_ROOT
    docker_socket: str = DOCKER_SOCKET
    restic: str = "restic"
    scratch: str = "/tmp"

    def volume(self, name: str) -> Path:
        """Return where a volume is mounted."""
        return Path(self.volumes, name)

    def manifest(self, name: str) -> Path:
        """Return where the manifest of a volume is written before it is archived."""
        return Path(self.manifests, f"{name}.json")


@dataclass(frozen=True)
class Context:
    """The outside of a job."""

    places: Places
    access: RepositoryAccess
    restic: Restic
    emitter: Emitter
    diagnostics: Diagnostics
    stop: Stop
    engine: Callable[[], Engine]
    """Opens the Docker Engine; asked by backups only."""
