"""What a look through the Docker socket gives, and what the agent asks of an engine; docker is not imported here.

Implemented by agent/quiesce/engine.py and by fakes. Used by backup.py, restore.py and the modules of quiesce/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from compose_backup.api import reasons
from compose_backup.api.backup_policy import Hook
from compose_backup.api.journal import RestartPolicy
from compose_backup.errors import AgentFailed
from compose_backup.planning.facts import Container, Inventory, Volume


@dataclass(frozen=True)
class Look:
    """What one look saw. Containers that use the wanted volumes were inspected: only they know when they started."""

    inventory: Inventory
    images: Mapping[str, str] = field(default_factory=dict)
    """Container id → id of the image that it was made from."""


@dataclass(frozen=True)
class Executed:
    """What became of a command in a container. `exit_code` is None when it did not end in time."""

    exit_code: int | None
    output: str


class EngineUnreachable(AgentFailed):
    """Nobody answers at the socket: the engine is being restarted, or the socket is one that it has left behind."""

    def __init__(self, message: str) -> None:
        super().__init__(reasons.ENGINE_ERROR, message, retryable=True)


class Engine(Protocol):
    """A Docker Engine, as far as the agent uses it."""

    def look(self, names: Sequence[str], containers: Sequence[str] = ()) -> Look:
        """List volumes and containers, and inspect those that use these volumes, and these by id."""

    def inspect(self, containers: Sequence[str]) -> tuple[Container, ...]:
        """Inspect containers by id; those that are gone are left out."""

    def digest(self, image_id: str) -> str:
        """Return the repository digest of an image, or its id where it has none."""

    def stop(self, container: str, timeout_seconds: int | None) -> None:
        """Stop a container and return once it is down. None: its own grace period. Down already: no error."""

    def start(self, container: str) -> None:
        """Start a container; one that runs is no error. Raise AgentFailed (ServiceNotResumed) in its words."""

    def pause(self, container: str) -> None:
        """Freeze a container; one that is paused is no error. Raise AgentFailed (ServiceNotStopped)."""

    def unpause(self, container: str) -> None:
        """Let it go on; one that is not paused is no error."""

    def set_restart_policy(self, container: str, policy: RestartPolicy) -> None:
        """Change what Docker does when the container (id or name) ends. One that is gone is no error."""

    def create_volume(self, volume: Volume) -> None:
        """Create a volume, with its labels; one of this name that is there already is no error."""

    def execute(self, container: str, hook: Hook, given_up: Callable[[], bool]) -> Executed:
        """Run a command in a container and wait for its end, at most hook.timeout_seconds, and until it is given up.

        Raise AgentFailed (HookFailed) when the engine refuses it: then the command was not run.
        """
