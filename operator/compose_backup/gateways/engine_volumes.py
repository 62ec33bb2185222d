"""Volumes on an engine: looked up before they are used, created and compared, and removed when they were ours.

Called by gateways/docker_host.py and gateways/agent_start.py.
"""

from __future__ import annotations

from compose_backup.api import reasons
from compose_backup.errors import Stalled
from compose_backup.gateways.engine_session import Session, quoted
from compose_backup.planning import engine_json
from compose_backup.planning.facts import Volume


def find(session: Session, name: str) -> Volume | None:
    """Return the volume of this name, or None."""
    answer = session.ask("GET", f"/volumes/{quoted(name)}", accept=(404,))
    return None if answer.status == 404 else engine_json.volume(answer.json())


def require(session: Session, name: str) -> None:
    """Raise Stalled unless the volume exists. Mounting a missing one would create it, empty (API, ContainerCreate)."""
    if find(session, name) is None:
        message = f"volume {name} does not exist on host {session.host}; was it removed, or is the name misspelt?"
        raise Stalled(reasons.VOLUME_NOT_FOUND, message)


def create(session: Session, volume: Volume) -> None:
    """Create a volume. An engine answers 201 for an existing one, whatever its options: so compare."""
    body = {
        "Name": volume.name,
        "Driver": volume.driver,
        "DriverOpts": dict(volume.options),
        "Labels": dict(volume.labels),
    }
    session.ask("POST", "/volumes/create", body=body, accept=(409,))
    found = find(session, volume.name)
    if found != volume:
        message = (
            f"volume {volume.name} exists on host {session.host} {_difference(found, volume)}; rename or remove it"
        )
        raise Stalled(reasons.NAME_TAKEN, message)


def remove(session: Session, name: str) -> None:
    """Remove a volume of ours; the engine refuses while a container has it (409)."""
    session.ask("DELETE", f"/volumes/{quoted(name)}", accept=(404,), works=True)


def _difference(found: Volume | None, wanted: Volume) -> str:
    """Say what differs without repeating values, which may hold passwords (CIFS options)."""
    if found is None:
        return "no longer"
    parts = {
        "driver": found.driver != wanted.driver,
        "options": found.options != wanted.options,
        "labels": found.labels != wanted.labels,
    }
    return "with another " + ", ".join(part for part, differs in parts.items() if differs)
