"""A Docker Engine as the agent sees it, in memory: containers that stop and start, commands, and faults at any call.

The contract suite tests/contracts/test_agent_engine.py runs on it and on the real one. Used by tests/unit/agent and the
tests of the contract folder that archive and restore.
"""

from __future__ import annotations

import datetime as dt
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from compose_backup.agent.events import now
from compose_backup.agent.looking import EngineUnreachable, Executed, Look
from compose_backup.api import reasons
from compose_backup.api.backup_policy import Hook
from compose_backup.api.journal import RestartPolicy
from compose_backup.errors import AgentFailed
from compose_backup.planning.facts import Container, Inventory, Volume

ACTIVE = frozenset({"running", "paused", "restarting"})


def _nothing(_: Call) -> None:
    """Let it happen."""


class Killed(BaseException):
    """The agent was killed: nothing that it does from now on counts."""


@dataclass(frozen=True)
class Call:
    """One act that the agent asked for."""

    act: str
    container: str


@dataclass
class FakeAgentEngine:
    """Containers by id. Whatever changes one is kept in `calls`, in its order."""

    volumes: tuple[Volume, ...] = ()
    containers: dict[str, Container] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    start_errors: dict[str, str] = field(default_factory=dict)
    """Container id → what the engine says instead of starting it."""
    stop_errors: dict[str, str] = field(default_factory=dict)
    stopping: dict[str, int] = field(default_factory=dict)
    """Container id → after how many looks at it the engine is done with a stop whose caller is dead."""
    end_at_once: set[str] = field(default_factory=set)
    """Containers that end as soon as they were started."""
    heal: bool = True
    """Whether health checks pass after a start."""
    commands: Mapping[tuple[str, ...], Executed] = field(default_factory=dict)
    """What becomes of a command; one that is not here ends with 0."""
    policies: dict[str, RestartPolicy] = field(default_factory=dict)
    """Restart policies that were set, by id or name."""
    refuses: int = 0
    """So many calls from now on find nobody at the socket."""
    before: Callable[[Call], None] = _nothing
    """Called before an act takes effect; what it raises, the agent gets."""
    after: Callable[[Call], None] = _nothing
    dead: bool = False
    """Whether the agent is dead: every call of it fails, until somebody takes its place."""

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._moments = (now() + dt.timedelta(microseconds=count) for count in itertools.count())

    def look(self, names: Sequence[str], containers: Sequence[str] = ()) -> Look:
        self._answer()
        found = tuple(self.containers.values())
        return Look(Inventory(self.volumes, found), {one.id: f"image-of-{one.name}" for one in found})

    def inspect(self, containers: Sequence[str]) -> tuple[Container, ...]:
        self._answer()
        with self._lock:
            for one in self.stopping.keys() & set(containers):
                self._stop_on(one)
        return tuple(self.containers[one] for one in containers if one in self.containers)

    def digest(self, image_id: str) -> str:
        return f"sha256:{image_id}"

    def stop(self, container: str, timeout_seconds: int | None) -> None:
        with self._acting("stop", container):
            self._refuse(self.stop_errors.get(container), reasons.SERVICE_NOT_STOPPED)
            found = self._existing(container, reasons.SERVICES_CHANGED)
            if found.state in ACTIVE:
                self._change(container, state="exited")

    def start(self, container: str) -> None:
        with self._acting("start", container):
            found = self._existing(container, reasons.SERVICE_NOT_RESUMED)
            if found.state == "running":
                return
            self._refuse(self.start_errors.get(container), reasons.SERVICE_NOT_RESUMED)
            self.run(container)

    def pause(self, container: str) -> None:
        with self._acting("pause", container):
            found = self._existing(container, reasons.SERVICE_NOT_STOPPED)
            if found.state != "paused":
                self._refuse(None if found.state == "running" else "is not running", reasons.SERVICE_NOT_STOPPED)
                self._change(container, state="paused")

    def unpause(self, container: str) -> None:
        with self._acting("unpause", container):
            if self._existing(container, reasons.SERVICE_NOT_RESUMED).state == "paused":
                self._change(container, state="running")

    def set_restart_policy(self, container: str, policy: RestartPolicy) -> None:
        with self._acting(f"restart={policy.name}", container):
            self.policies[container] = policy
            if container in self.containers:
                self._change(container, restart_policy=policy)

    def create_volume(self, volume: Volume) -> None:
        with self._acting("create", volume.name):
            if volume.name not in {one.name for one in self.volumes}:
                self.volumes = (*self.volumes, volume)

    def execute(self, container: str, hook: Hook, given_up: Callable[[], bool]) -> Executed:
        with self._acting(f"exec {hook.command[0]}", container):
            found = self._existing(container, reasons.HOOK_FAILED)
            self._refuse(None if found.state == "running" else "is not running", reasons.HOOK_FAILED)
            return self.commands.get(hook.command, Executed(0, "done"))

    def run(self, container: str) -> None:
        """Start a container as anybody may: Docker gives it another StartedAt."""
        health = "healthy" if self.heal else "unhealthy"
        self._change(
            container,
            state="exited" if container in self.end_at_once else "running",
            started_at=next(self._moments).isoformat().replace("+00:00", "Z"),
            health=health if self.containers[container].health else None,
        )

    def states(self) -> dict[str, str]:
        """Return the state of each container, by name."""
        return {one.name: one.state for one in self.containers.values()}

    def acts(self, *wanted: str) -> list[str]:
        """Return the acts of these kinds in their order, as `act name`."""
        return [
            f"{call.act} {self._name(call.container)}"
            for call in self.calls
            if not wanted or call.act.split("=")[0].split(" ")[0] in wanted
        ]

    def revive(self) -> None:
        """Let another agent take the place of the dead one."""
        self.dead, self.before, self.after = False, _nothing, _nothing

    def _stop_on(self, container: str) -> None:
        self.stopping[container] -= 1
        if self.stopping[container] < 0:
            del self.stopping[container]
            self._change(container, state="exited")

    def _name(self, container: str) -> str:
        return self.containers[container].name if container in self.containers else container

    def _change(self, container: str, **changes: object) -> None:
        self.containers[container] = replace(self.containers[container], **changes)  # type: ignore[arg-type]

    @contextmanager
    def _acting(self, act: str, container: str) -> Iterator[None]:
        with self._lock:
            self._answer()
            call = Call(act, container)
            self.before(call)
            self.calls.append(call)
            yield
            self.after(call)

    def _answer(self) -> None:
        if self.dead:
            raise Killed
        if self.refuses > 0:
            self.refuses -= 1
            raise EngineUnreachable("connection refused")

    def _existing(self, container: str, reason: str) -> Container:
        if container not in self.containers:
            raise AgentFailed(reason, "no such container", retryable=True)
        return self.containers[container]

    def _refuse(self, words: str | None, reason: str) -> None:
        if words is not None:
            raise AgentFailed(reason, words, retryable=True)
