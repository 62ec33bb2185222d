"""Starting an agent container, in the one order that works: create, attach, start, send the job, close.

Attached before the start, the agent cannot miss its job; a container that never got one is removed again.
Called by gateways/docker_host.py.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress

from compose_backup.api import reasons
from compose_backup.errors import ComposeBackupError, Stalled, Unreachable
from compose_backup.gateways import engine_errors, engine_volumes
from compose_backup.gateways.agent_request import create_body, volume_names
from compose_backup.gateways.engine_session import Limits, Session, quoted
from compose_backup.planning.facts import AgentContainer


def patience(wanted: AgentContainer, limits: Limits) -> float:
    """Return the seconds after which the caller of start() need not wait any longer."""
    return limits.slow if wanted.pull_policy == "Never" else limits.slow + limits.pull


def start(session: Session, wanted: AgentContainer, job: bytes) -> str | None:
    """Start the agent, hand it its job and return its id; None when the name is taken."""
    for name in volume_names(wanted):
        engine_volumes.require(session, name)
    if wanted.pull_policy == "Always":
        _pull(session, wanted.image)
    container_id = _created(session, wanted)
    if container_id is None:
        return None
    try:
        _started(session, container_id, job)
    except BaseException as error:
        with suppress(ComposeBackupError):
            remove(session, container_id)
        raise _explained(session, wanted, error) from error
    return container_id


def remove(session: Session, name: str) -> None:
    """Remove a container and its anonymous volumes; 409 says that somebody is already removing it."""
    query = {"force": 1, "v": 1}
    session.ask("DELETE", f"/containers/{quoted(name)}", query=query, accept=(404, 409), works=True)


def _created(session: Session, wanted: AgentContainer) -> str | None:
    """Create the container, pulling the image only when it turns out to be missing: that saves a question each time."""
    body, query = create_body(wanted), {"name": wanted.name}
    answer = session.ask("POST", "/containers/create", query=query, body=body, accept=(404, 409), works=True)
    if answer.status == 404 and wanted.pull_policy == "IfNotPresent":
        _pull(session, wanted.image)
        answer = session.ask("POST", "/containers/create", query=query, body=body, accept=(409,), works=True)
    if answer.status == 404:
        raise engine_errors.of_answer(session.host, "POST /containers/create", 404, answer.message)
    return None if answer.status == 409 else str(answer.json()["Id"])


def _started(session: Session, container_id: str, job: bytes) -> None:
    with session.stdin_of(container_id) as stdin:
        session.ask("POST", f"/containers/{container_id}/start", works=True)
        stdin.settimeout(session.limits.work)
        stdin.sendall(job)


def _explained(session: Session, wanted: AgentContainer, error: BaseException) -> BaseException:
    """Return the error to raise. An engine that answers, but not to a start, hangs on a mount (a dead NFS server)."""
    volumes = volume_names(wanted)
    if isinstance(error, Unreachable) and volumes:
        with suppress(ComposeBackupError):
            session.ask("GET", "/_ping")
            said = f"mounting {', '.join(volumes)} did not end within {session.limits.work:g} s"
            return engine_errors.mount_failed(session.host, said)
    return error


def _pull(session: Session, image: str) -> None:
    """Pull an image. Errors come within the stream of an answer that began with 200 (API, ImageCreate)."""
    deadline = time.monotonic() + session.limits.pull
    try:
        for line in session.lines("POST", "/images/create", query=_pulled(image)):
            if "error" in line:
                raise _unavailable(session.host, image, line["error"])
            if time.monotonic() > deadline:
                raise _unavailable(session.host, image, f"the pull did not end within {session.limits.pull:g} s")
    except Stalled as error:
        raise _unavailable(session.host, image, error.message) from error


def _pulled(image: str) -> dict[str, str]:
    """Return the query of a pull. Without a tag the API would pull every tag that there is."""
    if "@" in image or re.search(r":[^/]+$", image):
        return {"fromImage": image}
    return {"fromImage": image, "tag": "latest"}


def _unavailable(host: str, image: str, said: str) -> Stalled:
    advice = "check spec.agent.image and the host's way to the registry, or load the image there"
    return Stalled(reasons.IMAGE_UNAVAILABLE, f"image {image} cannot be had on host {host}: {said}; {advice}")
