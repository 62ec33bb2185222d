"""Docker Engines in memory, as far as the ports DockerHost and DockerHosts show them.

tests/contracts/test_docker_host.py holds them to a real engine. Used by the tests of reconcile/.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from compose_backup.api import reasons
from compose_backup.api.compose_host import EngineFacts
from compose_backup.api.job import Event, Report
from compose_backup.api.journal import RestartPolicy
from compose_backup.errors import Stalled, Unreachable
from compose_backup.planning import labels
from compose_backup.planning.facts import (
    AgentContainer,
    AgentLook,
    Container,
    HostAddress,
    Inventory,
    Mount,
    OwnContainer,
    Volume,
)

STARTED_AT = dt.datetime(2026, 10, 13, 2, 0, tzinfo=dt.UTC)
DEFAULT_IMAGE = "agent:test"
TERMINATED_EXIT_CODE = 143


@dataclass
class FakeAgent:
    """One agent container. A test plays the agent: it says events and ends."""

    wanted: AgentContainer
    job: bytes
    id: str = field(default_factory=lambda: uuid.uuid4().hex * 2)
    state: str = "running"
    exit_code: int | None = None
    out_of_memory: bool = False
    error_output: str = ""
    events: list[Event] = field(default_factory=list)
    terminations: int = 0
    """How often it was asked to stop."""
    stubborn: bool = False
    """Whether it goes on when it is asked to stop."""
    when_asked: Callable[[], None] | None = None
    """What it does when it is asked to stop; else it ends at once."""

    def say(self, event: Event) -> None:
        """Write a line on stdout."""
        self.events.append(event)

    def report(self, report: Report, exit_code: int = 0) -> None:
        """Write the last line and end."""
        sequence = self.events[-1].sequence + 1 if self.events else 1
        self.say(Event(sequence=sequence, time=STARTED_AT, type="report", report=report))
        self.end(exit_code)

    def end(self, exit_code: int, *, out_of_memory: bool = False) -> None:
        """End without a word: 137 is a kill."""
        self.state, self.exit_code, self.out_of_memory = "exited", exit_code, out_of_memory

    def terminate(self) -> None:
        """Take a SIGTERM."""
        if self.state == "running":
            self.terminations += 1
            if self.when_asked:
                self.when_asked()
            elif not self.stubborn:
                self.end(TERMINATED_EXIT_CODE)


def _facts() -> EngineFacts:
    return EngineFacts(id=str(uuid.uuid4()), version="20.10.24", api_version="1.41", operating_system="Debian 12")


def _nothing(_: FakeAgent) -> None:
    """Let a started agent wait for the test to play it."""


@dataclass
class FakeEngine:
    """One engine. Fields and the methods above the line are what people and faults do; those below are the port."""

    name: str = "srv1"
    facts: EngineFacts = field(default_factory=_facts)
    volumes: dict[str, Volume] = field(default_factory=dict)
    services: dict[str, Container] = field(default_factory=dict)
    """Containers that are not ours, by name."""
    agents: dict[str, FakeAgent] = field(default_factory=dict)
    images: set[str] = field(default_factory=lambda: {DEFAULT_IMAGE})
    registry: set[str] = field(default_factory=set)
    """Images that a pull can bring."""
    directories: set[str] = field(default_factory=lambda: {"/var/run/docker.sock", "/srv", "/srv/backups"})
    """Paths on the host that can be mounted."""
    unmountable: set[str] = field(default_factory=set)
    """Volumes whose mount fails, as with an NFS server that is gone."""
    way: Literal["open", "refused", "hanging"] = "open"
    """`refused`: nobody listens. `hanging`: accepts and never answers; a call ends after `patience` seconds."""
    patience: float = 0.05
    gate: asyncio.Event | None = None
    """While set and not opened, calls wait for it: a slow engine."""
    refusal: Stalled | None = None
    """While set, every call raises it: a wrong key, a forbidden endpoint."""
    script: Callable[[FakeAgent], None] = _nothing
    """What an agent does as soon as it has its job."""
    calls: list[str] = field(default_factory=list)
    """The methods of the port that were called, in order."""
    unstartable: dict[str, str] = field(default_factory=dict)
    """Names of containers that cannot be started, and what the engine says."""
    unremovable: set[str] = field(default_factory=set)
    """Names of our containers that the engine holds on to."""
    ticks: int = 0
    """How many containers were started: it gives each start a time of its own."""

    def add_volume(self, name: str, *, project: str | None = None) -> Volume:
        """Create a volume as `docker compose up` or `docker volume create` does."""
        compose = {"com.docker.compose.project": project, "com.docker.compose.volume": name} if project else {}
        self.volumes[name] = Volume(name, labels={key: str(value) for key, value in compose.items()})
        return self.volumes[name]

    def add_service(
        self, name: str, *volumes: str, labels: dict[str, str] | None = None, state: str = "running", **facts: Any
    ) -> None:
        """Start a container that has these volumes mounted writable; Docker creates missing ones."""
        for volume in volumes:
            self.volumes.setdefault(volume, Volume(volume))
        mounts = tuple(Mount(volume, f"/var/lib/docker/volumes/{volume}/_data", True) for volume in volumes)
        made = Container(uuid.uuid4().hex * 2, name, "busybox", state, self._tick(), labels or {}, mounts)
        self.services[name] = replace(made, **facts)

    def stop_service(self, name: str) -> None:
        """Stop a container."""
        self.services[name] = replace(self.services[name], state="exited")

    def pause_service(self, name: str) -> None:
        """Freeze a container."""
        self.services[name] = replace(self.services[name], state="paused")

    def start_service(self, name: str) -> None:
        """Start a container that is down: only that gives it another `StartedAt`."""
        self.services[name] = replace(self.services[name], state="running", started_at=self._tick())

    def lose_volume(self, name: str) -> None:
        """Remove a volume behind our back."""
        del self.volumes[name]

    # --- the port -----------------------------------------------------------------------------------------------------

    async def look(self) -> EngineFacts:
        """Ask the engine who it is."""
        await self._reached("look")
        return self.facts

    async def inventory(self) -> Inventory:
        """List all volumes and containers."""
        await self._reached("inventory")
        services = (_listed(service) for service in self.services.values())
        containers = (*services, *(_as_container(agent) for agent in self.agents.values()))
        return Inventory(
            tuple(sorted(self.volumes.values(), key=lambda one: one.name)),
            tuple(sorted(containers, key=lambda one: one.name)),
        )

    async def inspect(self, containers: Collection[str]) -> tuple[Container, ...]:
        """Inspect containers by id."""
        await self._reached("inspect")
        known = {one.id: one for one in self.services.values()}
        return tuple(known[one] for one in containers if one in known)

    async def start_container(self, container: str) -> None:
        """Start a container; one that runs is no error."""
        await self._reached("start_container")
        service = self._service(container)
        if service is None or service.state == "paused" or service.name in self.unstartable:
            said = self.unstartable.get(service.name, "it is paused") if service else f"no such container: {container}"
            raise Stalled(reasons.SERVICE_NOT_RESUMED, f"host {self.name} says: {said}")
        if service.state not in ("running", "restarting"):
            self.start_service(service.name)

    async def unpause_container(self, container: str) -> None:
        """Let a paused container go on; one that is not paused is no error."""
        await self._reached("unpause_container")
        service = self._service(container)
        if service is None:
            raise Stalled(reasons.SERVICE_NOT_RESUMED, f"host {self.name} says: no such container: {container}")
        if service.state == "paused":
            self.services[service.name] = replace(service, state="running")

    async def set_restart_policy(self, container: str, policy: RestartPolicy) -> None:
        """Change what Docker does when a container ends."""
        await self._reached("set_restart_policy")
        if service := self._service(container):
            self.services[service.name] = replace(service, restart_policy=policy)

    async def remove_volume(self, name: str) -> None:
        """Remove a volume that no container has."""
        await self._reached("remove_volume")
        containers = (*self.services.values(), *(_as_container(agent) for agent in self.agents.values()))
        if any(mount.volume == name for one in containers for mount in one.mounts):
            raise Stalled(reasons.ENGINE_ERROR, f"host {self.name} says: volume {name} is in use")
        self.volumes.pop(name, None)

    async def create_volume(self, volume: Volume) -> None:
        """Create a missing volume."""
        await self._reached("create_volume")
        if self.volumes.setdefault(volume.name, volume) != volume:
            raise Stalled(reasons.NAME_TAKEN, f"volume {volume.name} exists on host {self.name} with other options")

    async def start_agent(self, container: AgentContainer, job: bytes) -> str | None:
        """Create, start, send the job; None when the name is taken."""
        await self._reached("start_agent")
        self._require_volumes(container)
        self._require_image(container)
        if container.name in self.agents or container.name in self.services:
            return None
        self._mount(container)
        agent = FakeAgent(container, job)
        self.agents[container.name] = agent
        self.script(agent)
        return agent.id

    async def look_at_agent(self, name: str) -> AgentLook | None:
        """Inspect the container and read its last lines."""
        await self._reached("look_at_agent")
        agent = self.agents.get(name)
        return _look(agent) if agent else None

    async def terminate_agent(self, name: str) -> None:
        """Ask the agent to stop."""
        await self._reached("terminate_agent")
        if name in self.agents:
            self.agents[name].terminate()

    async def remove_agent(self, name: str) -> None:
        """Remove the container."""
        await self._reached("remove_agent")
        if name in self.unremovable:
            raise Stalled(reasons.ENGINE_ERROR, f"host {self.name} says: driver failed to remove root filesystem: busy")
        self.agents.pop(name, None)

    async def own_containers(self, installation: str) -> tuple[OwnContainer, ...]:
        """List the containers that this installation made."""
        await self._reached("own_containers")
        ours = [one for one in self.agents.values() if one.wanted.labels.get(labels.INSTALLATION) == installation]
        return tuple(OwnContainer(one.wanted.name, one.state, one.wanted.labels) for one in ours)

    def _service(self, container: str) -> Container | None:
        return next((one for one in self.services.values() if container in (one.id, one.name)), None)

    def _tick(self) -> str:
        self.ticks += 1
        moment = STARTED_AT - dt.timedelta(hours=1) + dt.timedelta(seconds=self.ticks)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.000000001Z")

    async def _reached(self, call: str) -> None:
        self.calls.append(call)
        if self.refusal:
            raise self.refusal
        if self.way == "hanging":
            await asyncio.sleep(self.patience)
        if self.way != "open":
            raise Unreachable(reasons.UNREACHABLE, f"host {self.name} does not answer")
        if self.gate:
            await self.gate.wait()

    def _require_volumes(self, container: AgentContainer) -> None:
        for mount in container.mounts:
            if mount.kind == "volume" and mount.source not in self.volumes:
                message = f"volume {mount.source} does not exist on host {self.name}"
                raise Stalled(reasons.VOLUME_NOT_FOUND, message)

    def _require_image(self, container: AgentContainer) -> None:
        missing = container.image not in self.images or container.pull_policy == "Always"
        if missing and container.pull_policy != "Never" and container.image in self.registry:
            self.images.add(container.image)
        elif missing:
            message = f"image {container.image} cannot be had on host {self.name}"
            raise Stalled(reasons.IMAGE_UNAVAILABLE, message)

    def _mount(self, container: AgentContainer) -> None:
        for mount in container.mounts:
            if mount.kind == "directory":
                self.directories.add(mount.source)
            failed = (
                mount.source in self.unmountable if mount.kind == "volume" else mount.source not in self.directories
            )
            if failed:
                message = f"host {self.name} cannot mount {mount.source} for the agent"
                raise Stalled(reasons.VOLUME_MOUNT_FAILED, message)


@dataclass
class FakeHosts:
    """The port DockerHosts: engines by endpoint. A test puts them in; one that is missing refuses connections."""

    engines: dict[str, FakeEngine] = field(default_factory=dict)
    addresses: list[HostAddress] = field(default_factory=list)
    """The addresses that were asked for."""
    closed: bool = False

    def at(self, address: HostAddress) -> FakeEngine:
        """Return the engine at an address."""
        self.addresses.append(address)
        return self.engines.get(address.endpoint) or FakeEngine(address.name, way="refused")

    async def close(self) -> None:
        """Remember that all was closed."""
        self.closed = True


def _look(agent: FakeAgent) -> AgentLook:
    return AgentLook(
        container_id=agent.id,
        image=agent.wanted.image,
        state=agent.state,
        exit_code=agent.exit_code,
        out_of_memory=agent.out_of_memory,
        started_at=None if agent.state == "created" else STARTED_AT,
        labels=dict(agent.wanted.labels),
        events=tuple(agent.events),
        error_output=agent.error_output,
    )


def _listed(container: Container) -> Container:
    """Return what a list tells: the rest is only in what inspect answers."""
    untold = Container("", "", "", "")
    facts = ("started_at", "health", "health_seconds", "restart_policy", "joined")
    return replace(container, **{fact: getattr(untold, fact) for fact in facts})


def _as_container(agent: FakeAgent) -> Container:
    mounts = tuple(
        Mount(mount.source if mount.kind == "volume" else None, mount.source, not mount.read_only)
        for mount in agent.wanted.mounts
    )
    wanted = agent.wanted
    return Container(agent.id, wanted.name, wanted.image, agent.state, labels=dict(wanted.labels), mounts=mounts)
