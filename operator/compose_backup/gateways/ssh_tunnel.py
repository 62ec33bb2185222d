"""The way to an engine by SSH: one ssh process that forwards a local socket to the Docker socket of the host.

The SDK's own ssh support wants the docker program on the host, or logs in once a request, and hijacked streams hang in
it (docker-py#2966, docker-py#3218). A forwarded socket needs nothing but sshd. Called by gateways/engine_pool.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from compose_backup.api import reasons
from compose_backup.errors import ComposeBackupError, Stalled
from compose_backup.gateways import engine_errors
from compose_backup.gateways.engine_link import Access
from compose_backup.gateways.private_files import PrivateFiles
from compose_backup.planning.facts import HostAddress

PRIVATE_KEY, KNOWN_HOSTS = "ssh-privatekey", "known_hosts"
DEFAULT_SOCKET = "/var/run/docker.sock"
CONNECT_SECONDS = 10
OPEN_SECONDS = 20.0
FRESH_SECONDS = 5.0
LOOK_SECONDS = 0.02
SSH_OPTIONS = {
    "StrictHostKeyChecking": "yes",
    "GlobalKnownHostsFile": "/dev/null",
    "BatchMode": "yes",  # ask nobody for passwords
    "IdentitiesOnly": "yes",
    "IdentityAgent": "none",
    "ConnectTimeout": str(CONNECT_SECONDS),
    "ServerAliveInterval": "15",
    "ServerAliveCountMax": "3",
    "ExitOnForwardFailure": "yes",
    "StreamLocalBindMask": "0177",
}


@dataclass(frozen=True)
class SshTarget:
    """The parts of `ssh://user@host[:port][/path/to/docker.sock]`."""

    destination: str
    port: int
    socket: str

    @staticmethod
    def of(endpoint: str) -> SshTarget:
        """Take an endpoint apart. Raises ValueError for a port that is none."""
        url = urllib.parse.urlsplit(endpoint)
        destination = url.netloc.rpartition(":")[0] if url.port else url.netloc
        return SshTarget(destination, url.port or 22, url.path or DEFAULT_SOCKET)


class SshTunnel:
    """One ssh process for one host, started on demand and again when it has ended."""

    def __init__(self, address: HostAddress, scratch: Path | None, program: str = "ssh") -> None:
        self._address = address
        self._target = SshTarget.of(address.endpoint)
        self._program = program
        self._files = PrivateFiles(address, scratch)
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: Path | None = None
        self._count = 0
        self._lock = Lock()

    def open(self) -> Access:
        """Return the forwarded socket; each new process has a new one, so that no old connection is taken for it."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._end()
                self._directory = self._files.fill(PRIVATE_KEY, KNOWN_HOSTS)
                self._count += 1
                self._process = self._started(self._directory)
                self._await_socket(self._process)
                # Logged in, ssh needs them no more; should the operator be killed, they are not left behind.
                self._files.forget(PRIVATE_KEY, KNOWN_HOSTS)
            return Access(f"unix://{self._socket}")

    def said(self) -> str:
        """Return the last thing that ssh said, if it said it just now: why the far end refused a connection."""
        log = self._log
        if log is None or not log.exists() or time.time() - log.stat().st_mtime > FRESH_SECONDS:
            return ""
        return log.read_text(errors="replace").strip().rpartition("\n")[2]

    def close(self) -> None:
        """End the process and delete socket and keys."""
        with self._lock:
            self._end()
            self._directory = None
            self._files.remove()

    @property
    def _socket(self) -> Path:
        return Path(self._directory or "", f"docker-{self._count}.sock")

    @property
    def _log(self) -> Path | None:
        return self._directory / "ssh.log" if self._directory else None

    def _started(self, directory: Path) -> subprocess.Popen[bytes]:
        # What ssh inherits must not lead it to other keys or agents.
        environment = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "LANG")}
        with (directory / "ssh.log").open("wb") as log:
            try:
                return subprocess.Popen(
                    self._command(directory),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environment,
                    start_new_session=True,
                )
            except FileNotFoundError as error:
                message = (
                    f"host {self._address.name}: there is no ssh program beside the operator; use its shipped image"
                )
                raise Stalled(reasons.ENGINE_ERROR, message) from error

    def _command(self, directory: Path) -> list[str]:
        options = SSH_OPTIONS | {"UserKnownHostsFile": str(directory / KNOWN_HOSTS)}
        return [
            *_ends_with_us(),
            *(self._program, "-F", "/dev/null", "-N", "-T", "-i", str(directory / PRIVATE_KEY)),
            *(word for key, value in options.items() for word in ("-o", f"{key}={value}")),
            *("-L", f"{self._socket}:{self._target.socket}", "-p", str(self._target.port)),
            # What follows is no option, however it begins.
            *("--", self._target.destination),
        ]

    def _await_socket(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until ssh has logged in, which is when it makes the socket."""
        deadline = time.monotonic() + OPEN_SECONDS
        while not self._socket.exists():
            if _ended_within(process, LOOK_SECONDS):
                raise self._failure()
            if time.monotonic() > deadline:
                self._end()
                raise engine_errors.no_answer(self._address.name, self._address.endpoint)

    def _failure(self) -> ComposeBackupError:
        log = self._log.read_text(errors="replace") if self._log else ""
        return engine_errors.of_ssh(self._address.name, self._address.endpoint, log)

    def _end(self) -> None:
        if self._process and not _ended_within(self._process, 0):
            self._process.terminate()
            if not _ended_within(self._process, 2):
                self._process.kill()
                self._process.wait()
        self._process = None
        if self._directory:
            self._socket.unlink(missing_ok=True)


def _ends_with_us() -> tuple[str, ...]:
    """Return the command before ssh that makes it end when the operator is killed (util-linux, so on every Debian)."""
    return ("setpriv", "--pdeathsig", "TERM", "--") if shutil.which("setpriv") else ()


def _ended_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
