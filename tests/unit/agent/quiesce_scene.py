"""A shop of three services on an engine in memory, a plan for it, and agents that carry it out, die and come again.

Used by the tests of this folder that are about quiescing.
"""

from __future__ import annotations

import datetime as dt
import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from compose_backup.agent.context import Patience, Places, Surroundings
from compose_backup.agent.events import Diagnostics, Emitter
from compose_backup.agent.quiesce.journal import Journal
from compose_backup.agent.quiesce.recovery import left_open, recover
from compose_backup.agent.quiesce.window import Quiescence
from compose_backup.agent.stopping import Stop
from compose_backup.api.backup_policy import Hook
from compose_backup.api.job import Event, Report
from compose_backup.api.journal import JournalPlan, PlannedService, RestartPolicy
from compose_backup.planning.facts import Container, Mount, Volume
from fakes.agent_engine import Call, FakeAgentEngine, Killed

AGENT = "compose-backup-run-1"
MADE_AT = dt.datetime(2026, 11, 24, 2, 0, tzinfo=dt.UTC)
BEFORE = "2026-11-01T00:00:00.123456789Z"
HASTY = Patience(
    refused=0.05,
    in_window=0.02,
    afterwards=0.3,
    settle=0.0,
    after_grace=0.1,
    poll=0.005,
    ending=1.0,
    longest_delay=0.02,
)
UNLESS_STOPPED = RestartPolicy(name="unless-stopped")
SERVICES = {"web": 0, "app": 1, "db": 2}
"""Dependants first."""


def container(service: str, state: str = "running", **more: object) -> Container:
    """Return a container of the shop that writes to the volume `data`."""
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": service}
    mounts = (Mount("data", "", True),)
    base: dict[str, object] = {"started_at": BEFORE, "labels": labels, "mounts": mounts}
    base |= {"restart_policy": UNLESS_STOPPED}
    return Container(f"id-{service}", f"shop-{service}-1", "image", state, **(base | more))  # type: ignore[arg-type]


def hook(command: str, service: str = "db", **more: object) -> Hook:
    """Return a hook with a command of one word."""
    return Hook.model_validate({"project": "shop", "service": service, "command": [command]} | more)


def planned(service: str, **more: object) -> PlannedService:
    """Return a service of the shop as a plan holds it."""
    base = {
        "container_id": f"id-{service}",
        "name": f"shop-{service}-1",
        "project": "shop",
        "service": service,
        "method": "Stop",
        "started_at": BEFORE,
        "level": SERVICES[service],
        "stop_seconds": 0,
        "restart_policy": UNLESS_STOPPED,
    }
    return PlannedService.model_validate(base | more)


def plan(*services: PlannedService, **more: object) -> JournalPlan:
    """Return a plan that takes down the whole shop, unless told otherwise."""
    base: dict[str, object] = {
        "purpose": "run",
        "owner": "BackupRun team/nightly-1",
        "agent": AGENT,
        "made_at": MADE_AT,
        "method": "Stop",
        "services": services or tuple(planned(name) for name in SERVICES),
    }
    return JournalPlan.model_validate(base | more)


@dataclass
class Scene:
    """The engine, and the directory of the journal volume."""

    root: Path
    engine: FakeAgentEngine = field(
        default_factory=lambda: FakeAgentEngine(
            volumes=(Volume("data"),), containers={f"id-{name}": container(name) for name in SERVICES}
        )
    )
    stop: Stop = field(default_factory=Stop)
    patience: Patience = HASTY
    output: io.BytesIO = field(default_factory=io.BytesIO)
    errors: io.StringIO = field(default_factory=io.StringIO)

    def __post_init__(self) -> None:
        self.journal_root = self.root / "journal"
        self.journal_root.mkdir()

    def outside(self) -> Surroundings:
        """Return what an agent is surrounded by."""
        return Surroundings(
            places=Places(journal=str(self.journal_root)),
            emitter=Emitter(self.output),
            diagnostics=Diagnostics(self.errors),
            stop=self.stop,
            engine=lambda: self.engine,
            patience=self.patience,
        )

    def quiescence(self, of: JournalPlan) -> Quiescence:
        """Return a plan, ready to be carried out."""
        return Quiescence(of, self.engine, self.outside())

    @property
    def journal(self) -> Journal:
        return Journal(str(self.journal_root), lambda _: None)

    @property
    def steps(self) -> list[str]:
        """The steps that the journal holds."""
        return [entry.step for entry in self.journal.entries]

    @property
    def events(self) -> list[Event]:
        """Everything that was said."""
        return [Event.model_validate_json(line) for line in self.output.getvalue().splitlines()]

    def die_at(self, number: int, *, done: bool) -> None:
        """Kill the agent at this act, before it takes effect or after it; the disk stays as it is then."""
        countdown = iter(range(number, -1, -1))

        def die(_: Call) -> None:
            if next(countdown) == 0:
                self.engine.dead = True
                remains = self.journal_root.with_suffix(".remains")
                shutil.copytree(self.journal_root, remains)
                self.journal_root = remains
                raise Killed

        if done:
            self.engine.after = die
        else:
            self.engine.before = die

    def reborn(self, asked_for: Callable[[], bool] = lambda: False) -> Report | None:
        """Let Docker start the agent again, and return what it reports; None when it finds nothing open."""
        self.engine.revive()
        return self.recovered(asked_for)

    def recovered(self, asked_for: Callable[[], bool] = lambda: False) -> Report | None:
        """The same for an agent that may be killed as well."""
        outside = self.outside()
        found = left_open(outside)
        return recover(found, outside, asked_for) if found else None
