"""People's containers on an engine: inspected, started, let go on. Nothing here stops or removes one.

Called by gateways/docker_host.py, for the operator's second line: starting what a dead agent has left stopped.
"""

from __future__ import annotations

from collections.abc import Collection

from compose_backup.api import reasons
from compose_backup.api.journal import RestartPolicy
from compose_backup.errors import Stalled
from compose_backup.gateways.engine_session import Answer, Session, quoted
from compose_backup.planning import engine_json
from compose_backup.planning.facts import Container

# What an engine answers that has understood the request and cannot do it: no such container, a wrong state, and
# whatever goes wrong in a start (a port that is taken, a program that is missing, a mount that fails).
_CANNOT = (400, 404, 409, 500)


def inspect(session: Session, containers: Collection[str]) -> tuple[Container, ...]:
    """Return the containers with these ids; those that are gone are left out."""
    answers = (session.ask("GET", f"/containers/{quoted(one)}/json", accept=(404,)) for one in containers)
    return tuple(engine_json.inspected_container(answer.json()) for answer in answers if answer.status != 404)


def start(session: Session, container: str) -> None:
    """Start a container; the engine answers 304 for one that runs (API, ContainerStart)."""
    answer = session.ask("POST", f"/containers/{quoted(container)}/start", accept=_CANNOT, works=True)
    _require(session, answer)


def unpause(session: Session, container: str) -> None:
    """Let a paused container go on. For one that is not paused the engine has an error without a code of its own."""
    answer = session.ask("POST", f"/containers/{quoted(container)}/unpause", accept=_CANNOT, works=True)
    if answer.status >= 400 and "is not paused" not in answer.message:
        _require(session, answer)


def set_restart_policy(session: Session, container: str, policy: RestartPolicy) -> None:
    """Change what the engine does when a container ends."""
    wanted = {"Name": policy.name, "MaximumRetryCount": policy.maximum_retry_count}
    path = f"/containers/{quoted(container)}/update"
    session.ask("POST", path, body={"RestartPolicy": wanted}, accept=(404,), works=True)


def _require(session: Session, answer: Answer) -> None:
    if answer.status >= 400:
        said = " ".join(answer.message.split())[:400]
        raise Stalled(reasons.SERVICE_NOT_RESUMED, f"host {session.host} says: {said}")
