"""What every job of the agent works with. Made once by agent/__main__.py, and by tests with places of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from compose_backup.agent.engines.restic import Restic
from compose_backup.agent.events import Diagnostics, Emitter
from compose_backup.agent.looking import Engine
from compose_backup.agent.processes import GRACE_SECONDS
from compose_backup.agent.stopping import Stop
from compose_backup.api.job import (
    DOCKER_SOCKET,
    LIVE_ROOT,
    MANIFEST_ROOT,
    REPOSITORY_ROOT,
    SOURCE_LINK,
    VOLUMES_ROOT,
    RepositoryAccess,
)
from compose_backup.api.journal import JOURNAL_ROOT
from compose_backup.planning.resuming import AFTER_GRACE_SECONDS


@dataclass(frozen=True)
class Places:
    """Where things are in the agent container."""

    live: str = LIVE_ROOT
    volumes: str = VOLUMES_ROOT
    manifests: str = MANIFEST_ROOT
    source: str = SOURCE_LINK
    repository: str = REPOSITORY_ROOT
    journal: str = JOURNAL_ROOT
    docker_socket: str = DOCKER_SOCKET
    restic: str = "restic"
    scratch: str = "/tmp"

    def volume(self, name: str) -> Path:
        """Return where a volume is mounted."""
        return Path(self.live, "volumes", name)

    def manifest(self, name: str) -> str:
        """Return how the manifest of a volume is called in snapshots."""
        return f"{self.manifests}/{name}.json"

    def archived(self, name: str) -> str:
        """Return how the root of a volume is called in snapshots."""
        return f"{self.volumes}/{name}"

    def read_from(self, directory: Path) -> None:
        """Let the paths of snapshots lead below this directory, until the next call."""
        link = Path(self.source)
        link.unlink(missing_ok=True)
        link.symlink_to(directory)


@dataclass(frozen=True)
class Patience:
    """How long is waited for services on their way up, in seconds."""

    refused: float = 5.0
    """An engine that refuses connections for so long has left its socket behind: only a restart mounts the new one."""
    in_window: float = 5.0
    """A service that does not start is tried again for so long before anything else goes on."""
    afterwards: float = 600.0
    """And for so long when everything else is done."""
    settle: float = 1.0
    """One that ends within this time after its start does not run."""
    after_grace: float = AFTER_GRACE_SECONDS
    """What an agent before this one was stopping is waited for: its grace period, and so long."""
    poll: float = 0.1
    ending: float = GRACE_SECONDS
    """A child that was asked to end is killed after this time."""
    longest_delay: float = 30.0
    """Between two tries to start a service; the first delay is a second or less."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """The outside of an agent, with or without a job."""

    places: Places
    emitter: Emitter
    diagnostics: Diagnostics
    stop: Stop
    engine: Callable[[], Engine]
    """Opens the Docker Engine; asked by backups, and by whoever stops or starts services."""
    patience: Patience = Patience()


@dataclass(frozen=True, kw_only=True)
class Context(Surroundings):
    """The outside of a job that works with a repository."""

    access: RepositoryAccess
    restic: Restic
