"""Tells a story on a terminal: each command is printed before its real output, and one that fails ends the story.

Called by story.py.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path


class StoryBroken(Exception):
    """A part of the story does not hold."""


@dataclass(frozen=True)
class Narrator:
    """A shell in a directory, with the environment that `. .sandbox/env` gives."""

    directory: Path
    environment_file: Path

    def tell(self, text: str) -> None:
        """Say what comes next."""
        print(f"\n\033[1m# {text}\033[0m" if os.isatty(1) else f"\n# {text}", flush=True)

    def show(self, command: str) -> None:
        """Print the command, then run it for everybody to see. Raises StoryBroken when it fails."""
        print(f"$ {command}", flush=True)
        if subprocess.run(self._shell(command), cwd=self.directory, stderr=subprocess.STDOUT, check=False).returncode:
            raise StoryBroken(f"this command failed: {command}")

    def ask(self, command: str) -> str:
        """Run a command unseen and return its output. Raises StoryBroken when it fails."""
        done = subprocess.run(self._shell(command), cwd=self.directory, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StoryBroken(f"this command failed: {command}\n{done.stderr}")
        return done.stdout.strip()

    def attempt(self, command: str) -> None:
        """Run a command unseen; that it fails is no matter."""
        subprocess.run(self._shell(command), cwd=self.directory, capture_output=True, check=False)

    def expect(self, holds: bool, otherwise: str) -> None:
        """Go on if it holds. Raises StoryBroken."""
        if not holds:
            raise StoryBroken(otherwise)

    def _shell(self, command: str) -> list[str | Path]:
        return ["bash", "-c", f'. "$0"; {command}', self.environment_file]
