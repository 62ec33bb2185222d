"""All engines by address: the port reconcile/ports.DockerHosts. Built in handlers.py, called by reconcile."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from compose_backup.gateways import engine_errors
from compose_backup.gateways.docker_host import EngineHost, SdkSession
from compose_backup.gateways.engine_calls import EngineCalls, EngineThreads, IdleTimer
from compose_backup.gateways.engine_link import Link, SocketLink
from compose_backup.gateways.engine_session import Limits
from compose_backup.gateways.engine_tls import TlsLink
from compose_backup.gateways.private_files import remove_stale
from compose_backup.gateways.ssh_tunnel import SshTunnel
from compose_backup.planning.facts import HostAddress

IDLE_SECONDS = 300.0
LIMITS = Limits()


@dataclass(frozen=True)
class _Member:
    """One engine, as it was reached at one version of its address."""

    version: str
    host: EngineHost
    session: SdkSession
    idle: IdleTimer


class EnginePool:
    """Engines, each with its connections, made on demand and closed when idle.

    `threads` bounds the calls at a time over all engines. Credentials are written below `scratch`, which should be in
    memory (`emptyDir{medium: Memory}`); its path must be shorter than 70 characters, since sockets lie there as well.
    What a killed operator has left there is deleted.
    """

    def __init__(
        self,
        *,
        threads: int = 32,
        scratch: Path | None = None,
        idle_seconds: float = IDLE_SECONDS,
        limits: Limits = LIMITS,
    ) -> None:
        if scratch:
            remove_stale(scratch)
        self._threads = EngineThreads(threads)
        self._scratch = scratch
        self._idle_seconds = idle_seconds
        self._limits = limits
        self._members: dict[str, _Member] = {}

    def at(self, address: HostAddress) -> EngineHost:
        """Return the engine at an address. Nothing is opened yet; what was open for an older version is closed."""
        known = self._members.get(address.key)
        if known and known.version == address.version:
            return known.host
        if known:
            known.idle.retire(known.session.close)
        self._members[address.key] = member = self._member(address)
        return member.host

    async def close(self) -> None:
        """Close all connections and tunnels. Calls under way fail."""
        members = list(self._members.values())
        self._members.clear()
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(8, "engine-close") as pool:
            for member in members:
                member.idle.stop()
            await asyncio.gather(*(loop.run_in_executor(pool, member.session.close) for member in members))
        self._threads.close()

    def _member(self, address: HostAddress) -> _Member:
        session = SdkSession(address, _link(address, self._scratch), self._limits)
        idle = IdleTimer(session.rest, self._idle_seconds, self._threads.slow)
        no_answer = engine_errors.no_answer(address.name, address.endpoint)
        host = EngineHost(session, EngineCalls(self._threads, no_answer, idle))
        return _Member(address.version, host, session, idle)


def _link(address: HostAddress, scratch: Path | None) -> Link:
    """Return the way to an endpoint; the API server admits these three schemes only."""
    if address.endpoint.startswith("ssh://"):
        return SshTunnel(address, scratch)
    if address.endpoint.startswith("tcp://"):
        return TlsLink(address, scratch)
    return SocketLink(address)
