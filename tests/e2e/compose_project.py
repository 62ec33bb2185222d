"""A Compose project on a real engine, by the real `docker compose`.

Called by scene.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from realparts.engine import Engine
from realparts.trees import Fingerprint, fingerprint


@dataclass(frozen=True)
class ComposeProject:
    """One project of a compose file, under a name of its own."""

    engine: Engine
    name: str
    file: Path

    def compose(self, *arguments: str) -> str:
        """Run `docker compose … <arguments>` and return its output."""
        return self.engine.docker("compose", "--project-name", self.name, "--file", self.file, *arguments)

    def up(self) -> None:
        """Create what is missing, start everything and wait until it is healthy."""
        self.compose("up", "--detach", "--wait")

    def stop(self) -> None:
        """Stop all services."""
        self.compose("stop", "--timeout", "1")

    def remove(self) -> None:
        """Remove containers, networks and volumes."""
        self.compose("down", "--volumes", "--timeout", "1")

    def run_in(self, service: str, script: str) -> str:
        """Run a shell script in a running service and return its output."""
        return self.compose("exec", "-T", service, "sh", "-c", script)

    def volume(self, key: str) -> str:
        """Return the full name of the volume with this key in the compose file."""
        return f"{self.name}_{key}"

    def data(self, key: str) -> Path:
        """Return where the volume's files lie on this machine."""
        return Path(self.engine.docker("volume", "inspect", "--format", "{{.Mountpoint}}", self.volume(key)))

    def fingerprint(self, *keys: str) -> Fingerprint:
        """Return everything of these volumes that a restore must bring back."""
        return {f"{key}/{path}": entry for key in keys for path, entry in fingerprint(self.data(key)).items()}
