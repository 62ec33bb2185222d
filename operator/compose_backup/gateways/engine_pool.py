"""All engines by address: the port reconcile/ports.DockerHosts. Built in handlers.py, called by reconcile."""

from __future__ import annotations

import asyncio

from compose_backup.gateways import engine_errors
from compose_backup.gateways.docker_host import EngineHost, SdkSession
from compose_backup.gateways.engine_calls import EngineCalls, EngineThreads
from compose_backup.gateways.engine_link import SocketLink
from compose_backup.planning.facts import HostAddress


class EnginePool:
    """Engines, each with its connections, made on demand. `threads` bounds the calls at a time over all engines."""

    def __init__(self, threads: int = 32) -> None:
        self._threads = EngineThreads(threads)
        self._hosts: dict[str, tuple[str, EngineHost, SdkSession]] = {}

    def at(self, address: HostAddress) -> EngineHost:
        """Return the engine at an address. Nothing is opened yet."""
        known = self._hosts.get(address.key)
        if known and known[0] == address.version:
            return known[1]
        session = SdkSession(address, SocketLink(address.endpoint))
        calls = EngineCalls(self._threads, lambda: engine_errors.no_answer(address.name, address.endpoint))
        host = EngineHost(session, calls)
        self._hosts[address.key] = (address.version, host, session)
        return host

    async def close(self) -> None:
        """Close all connections and tunnels."""
        sessions = [session for _, _, session in self._hosts.values()]
        self._hosts.clear()
        await asyncio.gather(*(asyncio.to_thread(session.close) for session in sessions))
        self._threads.close()
