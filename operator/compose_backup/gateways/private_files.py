"""Credentials as files, for programs and libraries that read nothing else: in a directory that only we can read.

Called by gateways/engine_tls.py and gateways/ssh_tunnel.py.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from compose_backup.api import reasons
from compose_backup.errors import Stalled
from compose_backup.planning.facts import HostAddress

PREFIX = "cbo-"


def remove_stale(scratch: Path) -> None:
    """Delete what operators that were killed have left.

    In a container each operator has the same process id as the one before it, so what bears our own is stale as well:
    this is called before anything is written.
    """
    for directory in scratch.glob(f"{PREFIX}*-*"):
        pid = directory.name.removeprefix(PREFIX).partition("-")[0]
        if pid == str(os.getpid()) or not Path("/proc", pid).exists():
            shutil.rmtree(directory, ignore_errors=True)


class PrivateFiles:
    """A directory (0700) with some of a host's credentials (0600 each). Made by fill(), deleted by remove()."""

    def __init__(self, address: HostAddress, scratch: Path | None) -> None:
        self._address = address
        self._scratch = scratch
        self._directory: Path | None = None

    def fill(self, *keys: str) -> Path:
        """Write these keys of the Secret, each to a file of its name, and return the directory."""
        contents = {key: self._credential(key) for key in keys}
        if self._directory is None:
            # Short, because the path of a socket in it has at most 107 characters.
            self._directory = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=self._scratch))
        for key, content in contents.items():
            _write(self._directory / key, content)
        return self._directory

    def forget(self, *keys: str) -> None:
        """Delete the files of these keys and keep the directory."""
        if self._directory:
            for key in keys:
                (self._directory / key).unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the directory and all that is in it."""
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)
        self._directory = None

    def _credential(self, key: str) -> bytes:
        content = self._address.credentials.get(key, b"").strip()
        if not content:
            scheme = self._address.endpoint.partition("://")[0]
            message = (
                f"host {self._address.name}: the Secret in spec.credentialsSecretRef has no key {key}, "
                f"which {scheme}:// needs; add it"
            )
            raise Stalled(reasons.SECRET_KEY_MISSING, message)
        # What went through an editor often lacks the last line end, or has carriage returns: ssh refuses such a key.
        return content.replace(b"\r\n", b"\n") + b"\n"


def _write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
