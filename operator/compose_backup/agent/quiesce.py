"""The Docker Engine, looked through: who writes to the volumes. Nothing is stopped or changed.

The only place of the agent that imports docker, and imported only when a backup asks for it: loading it takes a tenth
of a second that the other jobs do not need. Made by agent/__main__.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import docker
import requests
from docker.errors import DockerException, NotFound

from compose_backup.agent.looking import Look
from compose_backup.api import reasons
from compose_backup.errors import AgentFailed
from compose_backup.planning import engine_json, writers
from compose_backup.planning.facts import Container, Inventory, Volume

TIMEOUT_SECONDS = 30


class DockerEngine:
    """The engine behind a unix socket. Raises AgentFailed when it does not answer."""

    def __init__(self, socket: str, client: Any = None) -> None:
        """`client` is docker's APIClient, made on first use unless one is given."""
        self._socket = socket
        self._client = client
        self._digests: dict[str, str] = {}

    def look(self, names: Sequence[str]) -> Look:
        """List volumes and containers, and inspect the containers that use these volumes."""
        with self._answering() as client:
            listed = Inventory(
                engine_json.volumes(client.volumes()), engine_json.listed_containers(client.containers(all=True))
            )
            using = _using(names, listed)
            documents = {one.id: _inspect(client, one) for one in using}
        found = {identity: document for identity, document in documents.items() if document is not None}
        gone = documents.keys() - found.keys()
        containers = tuple(
            engine_json.inspected_container(found[one.id]) if one.id in found else one
            for one in listed.containers
            if one.id not in gone
        )
        return Look(
            replace(listed, containers=containers),
            {identity: str(document.get("Image", "")) for identity, document in found.items()},
        )

    def digest(self, image_id: str) -> str:
        """Return the repository digest of an image, or its id where it has none."""
        if image_id not in self._digests:
            self._digests[image_id] = self._ask_digest(image_id)
        return self._digests[image_id]

    def _ask_digest(self, image_id: str) -> str:
        with self._answering() as client:
            try:
                return str(next(iter(client.inspect_image(image_id).get("RepoDigests") or ()), image_id))
            except NotFound:
                return image_id  # a container outlives its image

    @contextmanager
    def _answering(self) -> Iterator[Any]:
        try:
            if self._client is None:
                self._client = docker.APIClient(
                    base_url=f"unix://{self._socket}", version="auto", timeout=TIMEOUT_SECONDS
                )
            yield self._client
        except (DockerException, requests.RequestException, OSError) as error:
            message = (
                f"the Docker Engine at {self._socket} did not answer the agent: {error}; check spec.agent.dockerSocket"
            )
            raise AgentFailed(reasons.ENGINE_ERROR, message, retryable=True) from error


def _using(names: Sequence[str], listed: Inventory) -> list[Container]:
    """Return the containers that use any of the volumes, each once."""
    wanted: list[Volume] = [one for one in listed.volumes if one.name in names]
    return list({user.id: user for volume in wanted for user in writers.users(volume, listed)}.values())


def _inspect(client: Any, container: Container) -> Mapping[str, Any] | None:
    """Return what the engine knows of a container, or None when it has gone since the list was made."""
    try:
        document: Mapping[str, Any] = client.inspect_container(container.id)
    except NotFound:
        return None
    return document
