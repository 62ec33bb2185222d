"""What was seen on a Docker Engine, as frozen values, and the container that we want there.

Gathered by gateways/docker_host.py and agent/quiesce/engine.py, judged by the other modules of this folder.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from compose_backup.api.job import Event
from compose_backup.api.journal import RestartPolicy

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
VOLUME_LABEL = "com.docker.compose.volume"
NUMBER_LABEL = "com.docker.compose.container-number"
ONE_OFF_LABEL = "com.docker.compose.oneoff"
DEPENDS_ON_LABEL = "com.docker.compose.depends_on"
SWARM_TASK_LABEL = "com.docker.swarm.task.id"


@dataclass(frozen=True)
class Volume:
    """A named volume, as `docker volume inspect` shows it."""

    name: str
    driver: str = "local"
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def device(self) -> str | None:
        """The directory behind a bind-backed volume (`o=bind`), else None."""
        bound = "bind" in self.options.get("o", "").split(",")
        return self.options.get("device") if bound else None


@dataclass(frozen=True)
class Mount:
    """One mount of a container. `volume` is None for a bind mount."""

    volume: str | None
    source: str
    writable: bool


@dataclass(frozen=True)
class Container:
    """A container. `state` is Docker's: created, running, paused, restarting, removing, exited, dead."""

    id: str
    name: str
    image: str
    state: str
    started_at: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    health: Literal["starting", "healthy", "unhealthy"] | None = None
    """What its health check says; None where it has none. Only inspect tells, like all that follows."""
    health_seconds: int = 0
    """How long its health check may take to pass: start period and all retries."""
    restart_policy: RestartPolicy = field(default_factory=RestartPolicy)
    joined: tuple[str, ...] = ()
    """Ids or names of containers whose network, processes, IPC or volumes it uses (`container:<id>`, volumes_from)."""
    stop_seconds: int = 10
    """How long Docker waits for its end, when it is told to stop, before it kills it."""
    removed_when_stopped: bool = False
    """Whether Docker removes it when it ends (`docker run --rm`): nobody could start it again."""

    @property
    def number(self) -> int | None:
        """Which replica of its service it is, if Compose made it."""
        text = self.labels.get(NUMBER_LABEL, "")
        return int(text) if text.isdigit() else None

    @property
    def one_off(self) -> bool:
        """Whether `docker compose run` made it: nobody would start it again."""
        return self.labels.get(ONE_OFF_LABEL, "").lower() == "true"

    @property
    def dependencies(self) -> Mapping[str, str]:
        """Services of its project that it depends on, and the condition; older Compose wrote no condition."""
        pairs = (entry.split(":") for entry in self.labels.get(DEPENDS_ON_LABEL, "").split(",") if entry)
        return {parts[0]: parts[1] if len(parts) > 1 else "service_started" for parts in pairs}

    @property
    def project(self) -> str | None:
        """Compose project of the container, if it has one."""
        return self.labels.get(PROJECT_LABEL)

    @property
    def service(self) -> str | None:
        """Compose service of the container, if it has one."""
        return self.labels.get(SERVICE_LABEL)

    @property
    def title(self) -> str:
        """How people know the container: `project/service`, or its name where Compose did not make it."""
        return f"{self.project}/{self.service}" if self.project and self.service else self.name


@dataclass(frozen=True)
class Inventory:
    """All volumes and all containers of an engine at one moment."""

    volumes: tuple[Volume, ...] = ()
    containers: tuple[Container, ...] = ()

    def volume(self, name: str) -> Volume | None:
        """Return the volume of this name, or None."""
        return next((volume for volume in self.volumes if volume.name == name), None)

    def with_inspected(self, inspected: Iterable[Container]) -> Inventory:
        """Return the same with what inspect told in the place of what the list told."""
        known = {one.id: one for one in inspected}
        return replace(self, containers=tuple(known.get(one.id, one) for one in self.containers))


@dataclass(frozen=True)
class AgentMount:
    """One mount of the agent. `directory` is a bind mount whose source is created when it is missing."""

    kind: Literal["volume", "bind", "directory"]
    source: str
    target: str
    read_only: bool


@dataclass(frozen=True)
class AgentContainer:
    """The container that is wanted for one job. Its name is the lock: a second start is a conflict."""

    name: str
    hostname: str
    image: str
    pull_policy: Literal["IfNotPresent", "Always", "Never"]
    labels: Mapping[str, str]
    mounts: tuple[AgentMount, ...]
    capabilities: tuple[str, ...]
    memory_bytes: int
    cpus: float
    network: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AgentLook:
    """What one look at an agent container saw: inspect, and the last lines of its logs."""

    container_id: str
    image: str
    state: str
    exit_code: int | None
    out_of_memory: bool
    started_at: dt.datetime | None
    labels: Mapping[str, str]
    events: tuple[Event, ...] = ()
    error_output: str = ""

    @property
    def alive(self) -> bool:
        """Whether the agent still works."""
        return self.state in ("running", "paused", "restarting")


@dataclass(frozen=True)
class OwnContainer:
    """A container on an engine that carries our labels, found by the sweep."""

    name: str
    state: str
    labels: Mapping[str, str]


@dataclass(frozen=True)
class HostAddress:
    """How to reach one engine. `key` is the UID of the ComposeHost, `version` changes with spec and Secret."""

    key: str
    name: str
    endpoint: str
    version: str
    credentials: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Secret:
    """The content of one Secret, read by `get` of its name."""

    version: str
    data: Mapping[str, bytes] = field(repr=False)
