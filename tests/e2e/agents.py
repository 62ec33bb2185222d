"""Agent containers as a person on the Docker host sees them: by name, by process, by what they print.

Called by stage.py and by tests that kill agents.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realparts.engine import Engine

LABELS = "backup.dockerwarts.io"


@dataclass(frozen=True)
class Agent:
    """One agent container, there or not."""

    engine: Engine
    name: str

    @property
    def state(self) -> str:
        """Docker's word for its state, empty when there is none."""
        return self._inspect("{{.State.Status}}")

    @property
    def pid(self) -> int:
        """The process id on this machine, 0 when it does not run."""
        return int(self._inspect("{{.State.Pid}}") or 0)

    def kill_process(self) -> None:
        """End its process at once, as the kernel does when memory runs out."""
        pid = self.pid
        assert pid, f"{self.name} does not run"  # 0 would mean everybody who runs this test
        os.kill(pid, signal.SIGKILL)

    def allow(self, cpus: float) -> None:
        """Leave it this part of a processor, as a busy host does: its work lasts, and can be interrupted."""
        self.engine.docker("update", "--cpus", str(cpus), self.name)

    def pause(self) -> None:
        """Freeze it, so that a test can look at a moment for as long as it likes."""
        self.engine.docker("pause", self.name)

    def unpause(self) -> None:
        """Let it go on."""
        self.engine.docker("unpause", self.name)

    def remove(self) -> None:
        """Remove it, running or not, as somebody who tidies up would."""
        self.engine.docker("rm", "--force", self.name)

    def events(self) -> list[dict[str, Any]]:
        """Return what it has told the operator so far."""
        lines = self.engine.docker("logs", self.name, check=False).splitlines()
        return [json.loads(line) for line in lines if line.startswith('{"sequence"')]

    def has_accepted(self) -> bool:
        """Say whether it has got its job."""
        return any(event["type"] == "accepted" for event in self.events())

    def has_reported(self) -> bool:
        """Say whether it has ended, and said how."""
        return self.state == "exited" and any(event["type"] == "report" for event in self.events())

    def has_touched(self) -> bool:
        """Say whether it has announced that it writes to its target."""
        return any(event.get("targetTouched") for event in self.events())

    def _inspect(self, template: str) -> str:
        return self.engine.docker("container", "inspect", "--format", template, self.name, check=False)


@contextmanager
def counted_starts(engine: Engine, namespace: str, purpose: str, log: Path) -> Iterator[Path]:
    """Write one line for each start of an agent for this namespace and purpose, for as long as the context lasts."""
    wanted = (
        f"label={LABELS}/owner-namespace={namespace}",
        f"label={LABELS}/purpose={purpose}",
        "event=start",
        "type=container",
    )
    filters = [word for one in wanted for word in ("--filter", one)]
    command: list[str | Path] = [engine.docker_path, "events", "--format", "{{.Actor.Attributes.name}}", *filters]
    with log.open("wb") as file:
        watching = subprocess.Popen(command, stdout=file, env=os.environ | engine.client_environment)
    try:
        yield log
    finally:
        watching.kill()
        watching.wait()
