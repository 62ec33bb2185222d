"""What reconciling needs from the outside world, as small protocols. Implemented in gateways/, and by tests/fakes/.

Each protocol has one contract suite in tests/contracts/ that the fake and the real thing pass. All methods raise
errors.Unreachable when the other side does not answer in time, and errors.Stalled when a person must act.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from compose_backup.api.compose_host import EngineFacts
from compose_backup.api.journal import RestartPolicy
from compose_backup.api.kinds import Kind
from compose_backup.planning.facts import (
    AgentContainer,
    AgentLook,
    Container,
    HostAddress,
    Inventory,
    OwnContainer,
    Secret,
    Volume,
)

Body = Mapping[str, Any]
"""An object as the API server returns it in JSON."""


@dataclass(frozen=True)
class Notice:
    """An Event to be written about an object: a state change, never a poll."""

    kind: Kind
    body: Body
    type: str
    """`Normal` or `Warning`."""
    reason: str
    message: str


class Cluster(Protocol):
    """The Kubernetes API, as far as it is used."""

    async def list(self, kind: Kind) -> list[Body]:
        """Return all objects of a kind in all namespaces, read in chunks."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Body | None:
        """Return one object as it is now, or None."""

    async def create(self, kind: Kind, body: Body) -> Body | None:
        """Create an object and return it, or None when the name is taken."""

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Delete the object with this UID; another one of the same name, or none, is left alone."""

    async def write_status(self, kind: Kind, body: Body, status: Mapping[str, Any]) -> Body | None:
        """Apply the whole status to the object with the body's UID; return it, or None when it is gone."""

    async def secret(self, namespace: str, name: str) -> Secret | None:
        """Return the content of one Secret, or None."""

    async def emit(self, notice: Notice) -> None:
        """Write an Event. Failing to is logged and forgotten: Events are for people, never for decisions."""

    async def installation(self) -> str:
        """Return the UID of the operator's own namespace, which tells our things on a host from another cluster's."""


class DockerHost(Protocol):
    """One Docker Engine, as far as it is used. Every call ends within its own time limit."""

    async def look(self) -> EngineFacts:
        """Ask the engine who it is: a ping, info and version."""

    async def inventory(self) -> Inventory:
        """List all volumes and containers."""

    async def inspect(self, containers: Collection[str]) -> tuple[Container, ...]:
        """Inspect containers by id: only that tells health, restart policy and when they were started.

        Those that are gone are left out.
        """

    async def start_container(self, container: str) -> None:
        """Start a container; one that runs is no error. Raises Stalled with the engine's words."""

    async def unpause_container(self, container: str) -> None:
        """Let a paused container go on; one that is not paused is no error. Raises Stalled with the engine's words."""

    async def set_restart_policy(self, container: str, policy: RestartPolicy) -> None:
        """Change what Docker does when a container ends. One that is gone is no error."""

    async def remove_volume(self, name: str) -> None:
        """Remove a volume of ours; none is no error. Raises Stalled while a container still uses it."""

    async def create_volume(self, volume: Volume) -> None:
        """Create a missing volume with driver, options and labels, and check that it is so."""

    async def start_agent(self, container: AgentContainer, job: bytes) -> str | None:
        """Pull the image as its policy says, create, attach, start, send the framed job; return the container's id.

        Return None when the name is taken: the agent was started before.
        Raises Stalled with ImageUnavailable, VolumeMountFailed or VolumeNotFound. A container that never got its job is
        removed.
        """

    async def look_at_agent(self, name: str) -> AgentLook | None:
        """Inspect the container of this name and read the last lines of its logs; None when there is none."""

    async def terminate_agent(self, name: str) -> None:
        """Ask the agent to stop, by a signal from inside (`exec kill -TERM 1`); not running is no error."""

    async def remove_agent(self, name: str) -> None:
        """Remove the container and its anonymous volumes, whatever its state; none is no error."""

    async def own_containers(self, installation: str) -> tuple[OwnContainer, ...]:
        """List the containers that this installation made, and no others."""


class DockerHosts(Protocol):
    """The engines by address; connections and tunnels open on demand and close when idle."""

    def at(self, address: HostAddress) -> DockerHost:
        """Return the engine at an address. Nothing is opened yet."""

    async def close(self) -> None:
        """Close all connections and tunnels."""
