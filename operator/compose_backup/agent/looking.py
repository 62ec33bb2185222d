"""What a look through the Docker socket gives, and what the agent asks of an engine; nothing of docker is imported.

Implemented by agent/quiesce.py and by fakes. Used by agent/backup.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from compose_backup.planning.facts import Inventory


@dataclass(frozen=True)
class Look:
    """What one look saw. Containers that use the wanted volumes were inspected: only they know when they started."""

    inventory: Inventory
    images: Mapping[str, str] = field(default_factory=dict)
    """Container id → id of the image that it was made from."""


class Engine(Protocol):
    """A Docker Engine, as far as the agent uses it."""

    def look(self, names: Sequence[str]) -> Look:
        """List volumes and containers, and inspect the containers that use these volumes."""

    def digest(self, image_id: str) -> str:
        """Return the repository digest of an image, or its id where it has none."""
