"""One Docker Engine: the port reconcile/ports.DockerHost, and the session by which the engine is asked.

The SDK serves as transport (unix sockets, TLS, hijacked connections); requests and bodies are those of the Engine API
reference. The only importer of docker in the operator. Built by gateways/engine_pool.py, called by reconcile.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from threading import Lock
from typing import Any, TypeVar

import docker
import requests

from compose_backup.api.compose_host import EngineFacts
from compose_backup.api.journal import RestartPolicy
from compose_backup.gateways import agent_output, agent_start, engine_containers, engine_errors, engine_volumes
from compose_backup.gateways.engine_calls import EngineCalls
from compose_backup.gateways.engine_link import Access, Link
from compose_backup.gateways.engine_session import Answer, Limits, quoted
from compose_backup.planning import engine_json, labels
from compose_backup.planning.facts import (
    AgentContainer,
    AgentLook,
    Container,
    HostAddress,
    Inventory,
    OwnContainer,
    Volume,
)

Result = TypeVar("Result")

LOG_LINES = 200


class SdkSession:
    """Requests to one engine over the SDK's connections; see engine_session.Session. Used by several threads."""

    def __init__(self, address: HostAddress, link: Link, limits: Limits) -> None:
        self.host = address.name
        self.limits = limits
        self.endpoint = address.endpoint
        self._link = link
        self._client: tuple[Access, Any] | None = None
        self._api_version: str | None = None
        self._closed = False
        self._lock = Lock()

    def version(self) -> dict[str, Any]:
        """Ask the engine for its version, and from now on speak the newest API that it knows."""
        answer = self._request("GET", "/version")
        try:
            found: dict[str, Any] = answer.json()
            self._api_version = str(found["ApiVersion"])
        except (ValueError, KeyError, TypeError) as error:
            raise engine_errors.not_docker(self.host, self.endpoint) from error
        return found

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        accept: tuple[int, ...] = (),
        works: bool = False,
    ) -> Answer:
        """Ask for a path below the API version."""
        versioned = self._versioned(path)
        return self._request(method, versioned, params=query, json=body, accept=accept, works=works)

    def lines(self, method: str, path: str, *, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Ask, and yield one JSON document a line as they come."""
        path = self._versioned(path)
        with (
            self._classified(),
            closing(self._sent(method, path, params=query, works=True, stream=True)) as response,
        ):
            self._check(response)
            yield from (json.loads(line) for line in response.iter_lines() if line)

    @contextmanager
    def stdin_of(self, container_id: str) -> Iterator[socket.socket]:
        """Attach to a container's stdin and yield the connection, which takes bytes as they are.

        The SDK hides the socket in one of two shapes: SocketIO over HTTP, the TLS socket itself over HTTPS (docker-py
        `APIClient._get_raw_response_socket`).
        """
        path = self._versioned(f"/containers/{quoted(container_id)}/attach")
        upgrade = {"Connection": "Upgrade", "Upgrade": "tcp"}
        query = {"stdin": 1, "stream": 1}
        with self._classified():
            response = self._sent("POST", path, params=query, headers=upgrade, stream=True, works=True)
            with closing(response):
                self._check(response)
                raw = self._connected()._get_raw_response_socket(response)
                connection: socket.socket = getattr(raw, "_sock", raw)
                yield connection
                # Only closing would do nothing while the response still holds the socket.
                connection.shutdown(socket.SHUT_WR)

    def rest(self) -> None:
        """Close all connections and the way to the engine; the next question opens them anew."""
        with self._lock:
            if self._client:
                self._client[1].close()
            self._client = None
        self._link.close()

    def close(self) -> None:
        """Close all for good: a thread that still works for a caller who is gone must not open anything again."""
        self._closed = True
        self.rest()

    def _versioned(self, path: str) -> str:
        if self._api_version is None:
            self.version()
        return f"/v{self._api_version}{path}"

    def _request(self, method: str, path: str, *, accept: tuple[int, ...] = (), **options: Any) -> Answer:
        with self._classified():
            response = self._sent(method, path, **options)
            self._check(response, accept)
            return Answer(response.status_code, response.content)

    def _sent(self, method: str, path: str, *, works: bool = False, **options: Any) -> requests.Response:
        client = self._connected()
        seconds = self.limits.work if works else self.limits.answer
        response: requests.Response = client.request(
            method, client.base_url + path, timeout=seconds, allow_redirects=False, **options
        )
        return response

    def _check(self, response: requests.Response, accept: tuple[int, ...] = ()) -> None:
        """Raise what an answer of 400 or more means, unless the caller expects its status."""
        if response.status_code >= 400 and response.status_code not in accept:
            said = Answer(response.status_code, response.content).message
            request = f"{response.request.method} {response.request.path_url.partition('?')[0]}"
            raise engine_errors.of_answer(self.host, request, response.status_code, said)

    def _connected(self) -> Any:
        if self._closed:
            raise engine_errors.closed(self.host)
        access = self._link.open()
        with self._lock:
            if self._client is None or self._client[0] != access:
                if self._client:
                    self._client[1].close()  # its tunnel is gone
                self._client = (access, _client(access, self.limits.answer))
            return self._client[1]

    @contextmanager
    def _classified(self) -> Iterator[None]:
        """Turn what the transport raises into errors of ours."""
        try:
            yield
        except requests.exceptions.SSLError as error:
            raise engine_errors.of_tls(self.host, self.endpoint, str(error)) from error
        except requests.exceptions.Timeout as error:
            raise engine_errors.no_answer(self.host, self.endpoint) from error
        except (requests.exceptions.RequestException, OSError) as error:
            explained = engine_errors.of_forward(self.host, self.endpoint, self._link.said())
            raise explained or engine_errors.of_connection(self.host, self.endpoint, str(error)) from error


class EngineHost:
    """The port reconcile/ports.DockerHost on a real engine."""

    def __init__(self, session: SdkSession, calls: EngineCalls) -> None:
        self._session = session
        self._calls = calls

    async def look(self) -> EngineFacts:
        """Ask the engine who it is."""
        return await self._quick(_look)

    async def inventory(self) -> Inventory:
        """List all volumes and containers."""
        return await self._quick(_inventory)

    async def inspect(self, containers: Collection[str]) -> tuple[Container, ...]:
        """Inspect containers by id; those that are gone are left out."""
        return await self._quick(partial(engine_containers.inspect, containers=containers))

    async def start_container(self, container: str) -> None:
        """Start a container of people."""
        await self._slow(partial(engine_containers.start, container=container), self._session.limits.slow)

    async def unpause_container(self, container: str) -> None:
        """Let a paused container go on."""
        await self._slow(partial(engine_containers.unpause, container=container), self._session.limits.slow)

    async def set_restart_policy(self, container: str, policy: RestartPolicy) -> None:
        """Change what the engine does when a container ends."""
        wanted = partial(engine_containers.set_restart_policy, container=container, policy=policy)
        await self._slow(wanted, self._session.limits.slow)

    async def remove_volume(self, name: str) -> None:
        """Remove a volume of ours."""
        await self._slow(partial(engine_volumes.remove, name=name), self._session.limits.slow)

    async def create_volume(self, volume: Volume) -> None:
        """Create a missing volume and check that it is as wanted."""
        await self._quick(partial(engine_volumes.create, volume=volume))

    async def start_agent(self, container: AgentContainer, job: bytes) -> str | None:
        """Create, attach, start, send the job; None when the name is taken."""
        patience = agent_start.patience(container, self._session.limits)
        return await self._slow(partial(agent_start.start, wanted=container, job=job), patience)

    async def look_at_agent(self, name: str) -> AgentLook | None:
        """Inspect the container and read its last lines."""
        return await self._quick(partial(_look_at_agent, name=name))

    async def terminate_agent(self, name: str) -> None:
        """Send SIGTERM from inside: a signal through the API would also end the restart policy (moby kill.go)."""
        await self._quick(partial(_terminate, name=name))

    async def remove_agent(self, name: str) -> None:
        """Remove the container and its anonymous volumes."""
        await self._slow(partial(agent_start.remove, name=name), self._session.limits.slow)

    async def own_containers(self, installation: str) -> tuple[OwnContainer, ...]:
        """List the containers that this installation made."""
        return await self._quick(partial(_own_containers, installation=installation))

    async def _quick(self, call: Callable[[SdkSession], Result]) -> Result:
        return await self._calls.quick(partial(call, self._session), self._session.limits.quick)

    async def _slow(self, call: Callable[[SdkSession], Result], seconds: float) -> Result:
        return await self._calls.slow(partial(call, self._session), seconds)


def _client(access: Access, seconds: float) -> Any:
    """Return a client of the SDK. Its version is not used: paths carry the engine's own."""
    tls = False
    if access.tls:
        files = (str(access.tls.certificate), str(access.tls.key))
        # The SDK's default is not to verify (docker-py tls.py).
        tls = docker.tls.TLSConfig(client_cert=files, ca_cert=str(access.tls.authority), verify=True)
    version = docker.constants.MINIMUM_DOCKER_API_VERSION
    client = docker.APIClient(base_url=access.base_url, version=version, timeout=seconds, tls=tls)
    # Else REQUESTS_CA_BUNDLE would replace our CA, and HTTPS_PROXY would get our traffic.
    client.trust_env = False
    return client


def _look(session: SdkSession) -> EngineFacts:
    version = session.version()
    info = session.ask("GET", "/info").json()
    return EngineFacts(
        id=info["ID"],
        version=version["Version"],
        api_version=version["ApiVersion"],
        operating_system=info.get("OperatingSystem") or "unknown",
        rootless=any("name=rootless" in option for option in info.get("SecurityOptions") or ()),
        swarm=(info.get("Swarm") or {}).get("LocalNodeState") == "active",
    )


def _inventory(session: SdkSession) -> Inventory:
    volumes = session.ask("GET", "/volumes").json()
    containers = session.ask("GET", "/containers/json", query={"all": 1}).json()
    return Inventory(engine_json.volumes(volumes), engine_json.listed_containers(containers))


def _look_at_agent(session: SdkSession, name: str) -> AgentLook | None:
    path = f"/containers/{quoted(name)}"
    inspected = session.ask("GET", f"{path}/json", accept=(404,))
    query = {"stdout": 1, "stderr": 1, "tail": LOG_LINES}
    # 409: somebody is just removing it, so that it can be inspected, but has no logs any more (moby, daemon/logs.go).
    logs = None if inspected.status == 404 else session.ask("GET", f"{path}/logs", query=query, accept=(404, 409))
    if logs is None or logs.status in (404, 409):
        return None
    return agent_output.agent_look(inspected.json(), logs.content)


def _terminate(session: SdkSession, name: str) -> None:
    body = {"Cmd": ["sh", "-c", "kill -TERM 1"]}
    made = session.ask("POST", f"/containers/{quoted(name)}/exec", body=body, accept=(404, 409))
    if made.status >= 400:
        return
    path = f"/exec/{made.json()['Id']}/start"
    started = session.ask("POST", path, body={"Detach": True}, accept=(404, 409, 500))
    # 500 is the answer, too, when the agent has ended between the two requests: then it needs no signal.
    if started.status == 500 and _runs(session, name):
        raise engine_errors.of_answer(session.host, f"POST {path}", started.status, started.message)


def _runs(session: SdkSession, name: str) -> bool:
    found = session.ask("GET", f"/containers/{quoted(name)}/json", accept=(404,))
    return found.status != 404 and bool(found.json()["State"]["Running"])


def _own_containers(session: SdkSession, installation: str) -> tuple[OwnContainer, ...]:
    filters = json.dumps({"label": [f"{labels.INSTALLATION}={installation}"]})
    found = session.ask("GET", "/containers/json", query={"all": 1, "filters": filters}).json()
    return tuple(OwnContainer(one.name, one.state, one.labels) for one in engine_json.listed_containers(found))
