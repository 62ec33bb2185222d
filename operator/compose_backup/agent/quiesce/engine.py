"""The Docker Engine: who writes to the volumes, and stop, start, pause and exec of containers.

The only place of the agent that imports docker, and imported only when a job asks for it: loading it takes a tenth
of a second that the other jobs do not need. Made by agent/__main__.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException, NotFound

from compose_backup.agent.looking import EngineUnreachable, Executed, Look
from compose_backup.agent.quiesce.exec_stream import read_output
from compose_backup.api import reasons
from compose_backup.api.backup_policy import Hook
from compose_backup.api.journal import RestartPolicy
from compose_backup.errors import AgentFailed
from compose_backup.planning import engine_json, writers
from compose_backup.planning.facts import Container, Inventory, Volume

TIMEOUT_SECONDS = 30
AWAY_SECONDS = 5.0
"""How long an engine that has just been there is waited for."""
POLL_SECONDS = 0.05


class DockerEngine:
    """The engine behind a unix socket. Safe to use from several threads.

    Raises AgentFailed when it refuses, and EngineUnreachable when nobody answers.
    """

    def __init__(self, socket: str, client: Any = None) -> None:
        """`client` is docker's APIClient, made on first use unless one is given."""
        self._socket = socket
        self._client = client
        self._digests: dict[str, str] = {}

    def close(self) -> None:
        """Let go of the connection."""
        if self._client is not None:
            self._client.close()

    def look(self, names: Sequence[str], containers: Sequence[str] = ()) -> Look:
        """List volumes and containers, and inspect those that use these volumes, and these by id."""
        with self._answering() as client:
            listed = Inventory(
                engine_json.volumes(client.volumes()), engine_json.listed_containers(client.containers(all=True))
            )
            using = _using(names, listed, containers)
            documents = {one.id: _inspect(client, one.id) for one in using}
        found = {identity: document for identity, document in documents.items() if document is not None}
        gone = documents.keys() - found.keys()
        seen = tuple(
            engine_json.inspected_container(found[one.id]) if one.id in found else one
            for one in listed.containers
            if one.id not in gone
        )
        return Look(
            replace(listed, containers=seen),
            {identity: str(document.get("Image", "")) for identity, document in found.items()},
        )

    def inspect(self, containers: Sequence[str]) -> tuple[Container, ...]:
        """Inspect containers by id; those that are gone are left out."""
        with self._answering() as client:
            documents = [_inspect(client, identity) for identity in containers]
        return tuple(engine_json.inspected_container(document) for document in documents if document is not None)

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

    def stop(self, container: str, timeout_seconds: int | None) -> None:
        """Stop a container and return once it is down. None: its own grace period. Down already: no error."""
        found = next(iter(self.inspect((container,))), None)
        if found is None:
            raise _gone(container, reasons.SERVICES_CHANGED)
        grace = found.stop_seconds if timeout_seconds is None else timeout_seconds
        try:
            # Without a timeout of ours none is sent: the container's own then counts.
            self._act(lambda client: client.stop(container, timeout=timeout_seconds), reasons.SERVICE_NOT_STOPPED)
        except AgentFailed as error:
            # The engine goes on stopping when its caller is cut off (moby daemon/stop.go): what it shows counts.
            if error.reason != reasons.ENGINE_ERROR:
                raise
        self._await_down(container, grace + TIMEOUT_SECONDS)

    def start(self, container: str) -> None:
        """Start a container; one that runs is no error. Raise AgentFailed (ServiceNotResumed) in its words."""
        self._act(lambda client: client.start(container), reasons.SERVICE_NOT_RESUMED)

    def pause(self, container: str) -> None:
        """Freeze a container; one that is paused is no error. Raise AgentFailed (ServiceNotStopped)."""
        try:
            self._act(lambda client: client.pause(container), reasons.SERVICE_NOT_STOPPED)
        except AgentFailed as error:
            if isinstance(error, EngineUnreachable) or self._state(container) != "paused":
                raise

    def unpause(self, container: str) -> None:
        """Let it go on; one that is not paused is no error."""
        try:
            self._act(lambda client: client.unpause(container), reasons.SERVICE_NOT_RESUMED)
        except AgentFailed as error:
            if isinstance(error, EngineUnreachable) or self._state(container) == "paused":
                raise

    def set_restart_policy(self, container: str, policy: RestartPolicy) -> None:
        """Change what Docker does when the container (id or name) ends. One that is gone is no error."""
        document = {"Name": policy.name, "MaximumRetryCount": policy.maximum_retry_count}
        with self._answering() as client:
            try:
                client.update_container(container, restart_policy=document)
            except NotFound:
                return

    def create_volume(self, volume: Volume) -> None:
        """Create a volume, with its labels; one of this name that is there already is no error."""
        with self._answering() as client:
            client.create_volume(volume.name, labels=dict(volume.labels))

    def execute(self, container: str, hook: Hook, given_up: Callable[[], bool]) -> Executed:
        """Run a command in a container and wait for its end, at most hook.timeout_seconds, and until it is given up.

        Raise AgentFailed (HookFailed) when the engine refuses it: then the command was not run.
        """
        limit = time.monotonic() + hook.timeout_seconds
        created = self._act(
            lambda client: client.exec_create(container, list(hook.command), user=hook.user or ""), reasons.HOOK_FAILED
        )
        identity = str(created["Id"])
        connection = self._act(lambda client: client.exec_start(identity, socket=True), reasons.HOOK_FAILED)
        output, ended = read_output(connection, limit, given_up)
        # Docker does not end a command whose reader has gone: it goes on by itself, and is told as such.
        return Executed(self._exit_code(identity, limit) if ended else None, output)

    def _exit_code(self, identity: str, limit: float) -> int | None:
        """Return the exit code: it comes a moment after the end of the output, and is null until then."""
        while True:
            found = self._act(lambda client: client.exec_inspect(identity), reasons.HOOK_FAILED)
            code = found.get("ExitCode")
            if code is not None and not found.get("Running"):
                return int(code)
            if time.monotonic() >= limit:
                return None
            time.sleep(POLL_SECONDS)

    def _await_down(self, container: str, seconds: float) -> None:
        limit = time.monotonic() + seconds
        while (state := self._state_seen(container)) in writers.ACTIVE_STATES:
            if time.monotonic() >= limit:
                message = f"container {container[:12]} is {state}, {seconds:.0f} s after it was told to stop"
                raise AgentFailed(reasons.SERVICE_NOT_STOPPED, message, retryable=True)
            time.sleep(POLL_SECONDS)

    def _state_seen(self, container: str) -> str | None:
        """Return the state, also when the engine is away for a moment. Not longer: its socket may be another by now."""
        limit = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                return self._state(container)
            except EngineUnreachable:
                if time.monotonic() >= limit:
                    raise
                time.sleep(POLL_SECONDS)

    def _state(self, container: str) -> str | None:
        return next((one.state for one in self.inspect((container,))), None)

    def _act(self, call: Callable[[Any], Any], reason: str) -> Any:
        """Do something to a container. Raise AgentFailed of this reason, in the engine's words, when it is refused."""
        with self._answering() as client:
            try:
                return call(client)
            except APIError as error:
                raise AgentFailed(reason, str(error.explanation or error), retryable=True) from error

    @contextmanager
    def _answering(self) -> Iterator[Any]:
        try:
            if self._client is None:
                self._client = docker.APIClient(
                    base_url=f"unix://{self._socket}", version="auto", timeout=TIMEOUT_SECONDS
                )
            yield self._client
        except (APIError, requests.exceptions.ReadTimeout) as error:
            raise AgentFailed(reasons.ENGINE_ERROR, self._silence(error), retryable=True) from error
        except (DockerException, requests.RequestException, OSError) as error:
            raise EngineUnreachable(self._silence(error)) from error

    def _silence(self, error: Exception) -> str:
        return f"the Docker Engine at {self._socket} did not answer the agent: {error}; check spec.agent.dockerSocket"


def _using(names: Sequence[str], listed: Inventory, also: Sequence[str]) -> list[Container]:
    """Return the containers that use any of the volumes, and those named by id, each once."""
    wanted: list[Volume] = [one for one in listed.volumes if one.name in names]
    named = [one for one in listed.containers if one.id in also]
    users = [user for volume in wanted for user in writers.users(volume, listed)]
    return list({one.id: one for one in (*users, *named)}.values())


def _inspect(client: Any, container: str) -> Mapping[str, Any] | None:
    """Return what the engine knows of a container, or None when it is gone."""
    try:
        document: Mapping[str, Any] = client.inspect_container(container)
    except NotFound:
        return None
    return document


def _gone(container: str, reason: str) -> AgentFailed:
    message = f"container {container[:12]} is gone since the plan was made; the next attempt plans anew"
    return AgentFailed(reason, message, retryable=True)
