"""The ways to an engine, and the plain one: a unix socket on the operator's own machine.

A way leads from a HostAddress to something that HTTP can be spoken over. The other ways are gateways/engine_tls.py and
gateways/ssh_tunnel.py. Called by gateways/docker_host.py.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from compose_backup.gateways import engine_errors
from compose_backup.planning.facts import HostAddress


@dataclass(frozen=True)
class TlsFiles:
    """Files that the TLS library wants to read: a CA, and our own certificate and key."""

    authority: Path
    certificate: Path
    key: Path


@dataclass(frozen=True)
class Access:
    """Where HTTP is spoken. Two that are equal can share connections."""

    base_url: str
    tls: TlsFiles | None = None


class Link(Protocol):
    """One way to one engine. Blocking; called from several threads."""

    def open(self) -> Access:
        """Return how to connect, after making the way anew if it broke. Raises Stalled or Unreachable."""

    def said(self) -> str:
        """Return what the way itself lately said about failures, empty when nothing."""

    def close(self) -> None:
        """Close the way and delete its files; open() makes it anew."""


class SocketLink:
    """A unix socket, there or not."""

    def __init__(self, address: HostAddress) -> None:
        self._address = address

    def open(self) -> Access:
        """Return the socket. Whether it is there is looked at first: the SDK leaks a descriptor when it is not."""
        endpoint = self._address.endpoint
        try:
            os.stat(endpoint.removeprefix("unix://"))
        except OSError as error:
            raise engine_errors.of_connection(self._address.name, endpoint, str(error)) from error
        return Access(endpoint)

    def said(self) -> str:
        """Say nothing: errors of the connection tell all."""
        return ""

    def close(self) -> None:
        """Do nothing."""
