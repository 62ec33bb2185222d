"""The way to an engine by SSH: an sshd of our own on a loopback port, its own host key, one login key.

The way by TCP with TLS is second_engine(tls=True) of engine.py. Called by the fixtures of tests/conftest.py.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from realparts import processes
from realparts.debian import install
from realparts.processes import exclusively
from realparts.steps import StepFailed, run, step, wait_until

SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


@dataclass(frozen=True)
class SshWay:
    """What a client needs to log in. The user is the one who runs this, so it may use what that one may."""

    state: Path
    port: int
    user: str
    host: str = "127.0.0.1"

    @property
    def private_key(self) -> Path:
        """Be the one key that may log in."""
        return self.state / "client"

    @property
    def known_hosts(self) -> str:
        """Return the line of known_hosts that names this server's key."""
        return self._known_hosts("host")

    @property
    def wrong_known_hosts(self) -> str:
        """Return a line that names another key, as after a server was replaced or somebody listens in."""
        return self._known_hosts("other-host")

    @property
    def other_private_key(self) -> Path:
        """Be a key that may not log in."""
        return self.state / "other-client"

    @property
    def pid(self) -> int | None:
        """Return the process id of the sshd, None when it does not run."""
        return processes.pid_of("sshd", self.state)

    def stop(self) -> None:
        """Stop the sshd. Logins that are open stay: each is a process of its own, as after a restart."""
        processes.stop("sshd", self.state)

    def remove(self) -> None:
        """Stop the sshd and delete its keys."""
        self.stop()
        shutil.rmtree(self.state, ignore_errors=True)

    def _known_hosts(self, key: str) -> str:
        kind, value = (self.state / f"{key}.pub").read_text().split()[:2]
        return f"[{self.host}]:{self.port} {kind} {value}\n"


def ssh_way(state: Path) -> SshWay:
    """Return a running sshd; keys and port are made on first use and kept."""
    install("openssh-server", "openssh-client")
    with exclusively(state / "sshd.lock"):
        way = SshWay(state, _port(state), getpass.getuser())
        for key in ("host", "other-host", "client", "other-client"):
            _make_key(state / key)
        if way.pid is None:
            with step("start sshd"):
                _start(way)
    return way


def _port(state: Path) -> int:
    file = state / "port"
    if not file.exists():
        file.write_text(str(processes.free_port()))
    return int(file.read_text())


def _make_key(path: Path) -> None:
    if not path.exists():
        generate: list[str | Path] = [
            "ssh-keygen",
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            path.name,
            "-f",
            path,
        ]
        run(f"make the key {path.name}", generate, remedy="apt-get install openssh-client")


def _start(way: SshWay) -> None:
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd drops its privileges; a service makes it
    config = way.state / "sshd_config"
    config.write_text(_config(way))
    # sshd starts itself anew for each login and therefore wants to be called by its full path.
    processes.start("sshd", [_sshd(), "-D", "-e", "-f", config], way.state)
    remedy = f"read {way.state / 'sshd.log'}"
    wait_until("wait for sshd", lambda: _answers(way, remedy), seconds=20, remedy=remedy)


def _config(way: SshWay) -> str:
    settings = {
        "ListenAddress": f"{way.host}:{way.port}",
        "HostKey": way.state / "host",
        "AuthorizedKeysFile": way.state / "client.pub",
        "PidFile": "none",
        "PermitRootLogin": "prohibit-password",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        # Without PAM, sshd refuses an account whose password is locked, even to a key.
        "UsePAM": "yes",
        # The state directory may lie below one that others may write.
        "StrictModes": "no",
        "AllowTcpForwarding": "yes",
        "AllowStreamLocalForwarding": "yes",
    }
    return "".join(f'{name} "{value}"\n' for name, value in settings.items())


def _sshd() -> str:
    sshd = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:{SBIN}")
    if sshd is None:
        raise StepFailed("start sshd", "sshd is not installed", "apt-get install openssh-server")
    return sshd


def _answers(way: SshWay, remedy: str) -> bool:
    """Say whether the server greets on its port."""
    if way.pid is None:
        raise StepFailed("start sshd", f"it ended by itself:\n{processes.log_tail('sshd', way.state)}", remedy)
    try:
        with socket.create_connection((way.host, way.port), timeout=2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
