"""The way to an engine by TCP with mutual TLS, which is always verified. Called by gateways/engine_pool.py."""

from __future__ import annotations

import ssl
from pathlib import Path
from threading import Lock

from compose_backup.api import reasons
from compose_backup.errors import Stalled
from compose_backup.gateways.engine_link import Access, TlsFiles
from compose_backup.gateways.private_files import PrivateFiles
from compose_backup.planning.facts import HostAddress

CERTIFICATE, KEY, AUTHORITY = "tls.crt", "tls.key", "ca.crt"


class TlsLink:
    """A TCP endpoint and the files that the TLS library needs for it."""

    def __init__(self, address: HostAddress, scratch: Path | None) -> None:
        self._address = address
        self._files = PrivateFiles(address, scratch)
        self._access: Access | None = None
        self._lock = Lock()

    def open(self) -> Access:
        """Write and check the files once, and return how to connect."""
        with self._lock:
            if self._access is None:
                directory = self._files.fill(CERTIFICATE, KEY, AUTHORITY)
                files = TlsFiles(directory / AUTHORITY, directory / CERTIFICATE, directory / KEY)
                self._check(files)
                self._access = Access(self._address.endpoint, files)
            return self._access

    def said(self) -> str:
        """Say nothing: errors of the connection tell all."""
        return ""

    def close(self) -> None:
        """Delete the files."""
        with self._lock:
            self._access = None
            self._files.remove()

    def _check(self, files: TlsFiles) -> None:
        """Load the files once by themselves: in a handshake nobody could tell which of them is damaged."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(files.authority)
        except ssl.SSLError as error:
            raise self._damaged("ca.crt is no PEM certificate", error) from error
        try:
            context.load_cert_chain(files.certificate, files.key)
        except ssl.SSLError as error:
            raise self._damaged("tls.crt and tls.key are no PEM certificate with its key", error) from error

    def _damaged(self, what: str, error: ssl.SSLError) -> Stalled:
        message = f"host {self._address.name}: in its Secret, {what} ({error.reason or error}); replace them"
        return Stalled(reasons.CERTIFICATE_REFUSED, message)
