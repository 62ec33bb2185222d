"""ComposeHost: a Docker Engine and how to reach it. Read by reconcile/compose_host.py and every run."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field

from compose_backup.api.base import Line, Model, Path, Reference, Short, Text, cel, with_rules
from compose_backup.api.conditions import Status

FORGET_UNRESUMED_ANNOTATION = "backup.dockerwarts.io/forget-unresumed"

DEFAULT_AGENT_IMAGE = "ghcr.io/dockerwarts/compose-backup-agent:0.1.0"


class AgentSettings(Model):
    """How the agent container is run on this host."""

    image: Line | None = None
    """Image of the agent. Default: the operator's setting `COMPOSE_BACKUP_AGENT_IMAGE`, of the same version as the
    operator."""
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    """When the engine pulls the image. `Never` is for hosts without a way to a registry."""
    cpus: Annotated[float, Field(gt=0, le=1024)] = 2.0
    """CPU limit of the agent, in cores. Example: `1.5`."""
    memory: Annotated[str, Field(max_length=16, pattern=r"^[1-9][0-9]*(Mi|Gi)$")] = "1Gi"
    """Memory limit of the agent. Example: `512Mi`."""
    network: Line = "none"
    """Docker network of the agent. Archives on the host itself need none, which is the default."""
    docker_socket: Path = "/var/run/docker.sock"
    """Path of the Docker socket on the host. Through it the agent sees who writes to a volume, and stops and starts
    services."""


class Permit(Model):
    """What policies, repositories and restores of this namespace may use on the host."""

    projects: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=255)], ...], Field(max_length=64)] = ()
    """Compose projects, as globs, whose volumes may be archived and restored and whose services may be stopped.
    Default: all. Example: `shop-*`."""
    hooks: bool = False
    """Whether policies may run commands in containers. Default: they may not."""
    host_paths: Annotated[tuple[Path, ...], Field(max_length=32)] = ()
    """Directories on the host below which repositories may lie (`storage.hostPath`). Default: none. Example:
    `/srv/backups`."""


class ComposeHostSpec(Model):
    """A Docker Engine and how to reach it."""

    model_config = with_rules(
        cel(
            "['ssh://', 'tcp://', 'unix://'].exists(way, self.endpoint.startsWith(way))",
            "endpoint must be ssh://user@host[:port][/path/to/docker.sock], tcp://host:port or unix:///path",
        ),
        cel(
            "self.endpoint.startsWith('unix://') || has(self.credentialsSecretRef)",
            "ssh:// and tcp:// endpoints need spec.credentialsSecretRef: a Secret with ssh-privatekey and known_hosts, "
            "or with tls.crt, tls.key and ca.crt",
        ),
    )

    endpoint: Annotated[
        str,
        Field(max_length=512, pattern=r"^(unix:///.+|tcp://[^/@]+:[0-9]+|ssh://[^@/]+@[^/@:]+(:[0-9]+)?(/.+)?)$"),
    ]
    """Where the Docker Engine answers: `ssh://user@host[:port][/path/to/docker.sock]`, `tcp://host:2376` (with TLS) or
    `unix:///path`. `unix` and loopback addresses reach the operator's own machine and work only where its settings
    allow them."""
    credentials_secret_ref: Reference | None = None
    """Secret with `ssh-privatekey` and `known_hosts` for ssh, or `tls.crt`, `tls.key` and `ca.crt` for tcp."""
    agent: AgentSettings = AgentSettings()
    """How the agent container is run on this host."""
    permit: Permit = Permit()
    """What the objects of this namespace may use on the host. Whoever may create policies here can use it."""
    max_concurrent_runs: Annotated[int, Field(ge=1, le=16)] = 1
    """How many runs and restores work on the engine at once. Two ComposeHosts on one engine share the smaller
    number."""
    probe_interval_seconds: Annotated[int, Field(ge=10, le=3600)] = 60
    """Seconds between two looks at the engine."""


class EngineFacts(Model):
    """What the Docker Engine says about itself."""

    id: Line
    """Identity of the engine. It changes when Docker is installed anew."""
    version: Short
    """Version of the engine. Example: `28.5.2`."""
    api_version: Short
    """Newest API version that it speaks. Example: `1.51`."""
    operating_system: Line
    """Name of the host's operating system."""
    rootless: bool = False
    """Whether the engine runs without root."""
    swarm: bool = False
    """Whether the engine is an active member of a swarm."""


class Project(Model):
    """A Compose project seen on the host."""

    name: Line
    """Name of the project."""
    services: int
    """Number of its services that have containers."""
    volumes: int
    """Number of its volumes."""


Names = Annotated[tuple[Line, ...], Field(max_length=50)]


class HostVolumes(Model):
    """The volumes of the host, and which of them nobody backs up."""

    total: int = 0
    """Number of named volumes."""
    protected: int = 0
    """Number of volumes that at least one policy of this namespace selects."""
    unprotected_count: int = 0
    """Number of volumes that no policy of this namespace selects."""
    unprotected: Names = ()
    """The first 50 volumes that no policy selects."""
    dangling: Names = ()
    """The first 50 volumes that no container uses."""


class Unresumed(Model):
    """A service that a run or restore has stopped and that does not run yet."""

    container: Line
    """Name of the container."""
    container_id: Line
    """Id of the container. A container that is made anew under the same name owes us nothing."""
    service: Line
    """`project/service`, or the container's name where Compose did not make it."""
    journal: Line
    """Name of the journal volume on the host that says so."""
    owner: Line
    """The run or restore that stopped it. Example: `BackupRun shop/nightly-202611240200`."""
    kept_stopped: bool = False
    """Whether it is kept stopped on purpose, since a restore left its data incomplete."""
    attempts: int = 0
    """How often the host's reconcile has tried to start it."""
    last_try_time: dt.datetime | None = None
    """When it was last tried."""
    last_started_at: Line | None = None
    """Docker's `StartedAt` after our last try: when it changes, somebody else has started it."""
    error: Text | None = None
    """What the engine said, or why it is kept stopped."""


class ComposeHostStatus(Status):
    """What the operator last saw of the host."""

    engine: EngineFacts | None = None
    """What the Docker Engine says about itself."""
    project_count: int | None = None
    """Number of Compose projects."""
    projects: Annotated[tuple[Project, ...], Field(max_length=256)] = ()
    """The Compose projects on the host, by name."""
    volumes: HostVolumes | None = None
    """The volumes of the host."""
    unresumed: Annotated[tuple[Unresumed, ...], Field(max_length=50)] = ()
    """Services that were stopped and do not run yet: they are tried again and again, until they run, a person starts,
    removes or recreates the container, or the annotation `backup.dockerwarts.io/forget-unresumed` names it."""
    forget_request: Text | None = None
    """The value of the annotation `backup.dockerwarts.io/forget-unresumed` that was last answered."""
    forget_request_time: dt.datetime | None = None
    """When it was first seen: services that are stopped later are not forgotten by it."""
    credentials_version: Short | None = None
    """Resource version of the Secret that was last tried; a changed Secret is tried at once."""
