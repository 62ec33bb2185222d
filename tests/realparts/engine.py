"""Docker Engines: the machine's own or one that we start, and a second one for tests of faults and ways in.

Called by images.py, the command line and the fixtures of tests/conftest.py.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from realparts import cache
from realparts.certificates import Authority
from realparts.daemon import Daemon, answers
from realparts.debian import install, unpack_from_suite
from realparts.processes import free_port
from realparts.steps import StepFailed, run, say

MACHINE_ENGINE = "unix:///var/run/docker.sock"
COMPOSE_PLUGIN = Path("usr/libexec/docker/cli-plugins/docker-compose")


@dataclass(frozen=True)
class TlsAccess:
    """The way to an engine by TCP with mutual TLS. Both directories hold ca.crt, tls.crt and tls.key."""

    endpoint: str  # tcp://127.0.0.1:<port>
    client: Path
    foreign: Path  # of another authority: neither side may take the other's word


@dataclass(frozen=True)
class Engine:
    """An engine that answers, with the client to talk to it."""

    docker_host: str
    docker_path: Path
    config: Path  # the client's configuration directory; it holds the Compose plugin
    daemon: Daemon | None = None  # None: the engine is the machine's, and we neither stop nor change it
    tls: TlsAccess | None = None  # only a second engine that was asked for it

    @property
    def client_environment(self) -> dict[str, str]:
        """Return the variables that lead docker, docker compose and every client library to this engine."""
        ours = {"DOCKER_HOST": self.docker_host, "DOCKER_CONFIG": str(self.config)}
        # What leads elsewhere is emptied, which clients take as not set. The machine's engine may need it.
        return ours if self.daemon is None else ours | {"DOCKER_TLS_VERIFY": "", "DOCKER_CONTEXT": ""}

    @property
    def pid(self) -> int | None:
        """Return the daemon's process id; None when it is not ours or does not run."""
        return self.daemon.pid if self.daemon else None

    def docker(self, *arguments: str | Path, check: bool = True, stdin: bytes | None = None) -> str:
        """Run `docker …` against this engine and return its output without the last newline."""
        title = f"docker {' '.join(map(str, arguments[:2]))}"
        remedy = f"try it by hand with DOCKER_HOST={self.docker_host}"
        command = [self.docker_path, *arguments]
        try:
            output = run(title, command, remedy=remedy, env=os.environ | self.client_environment, stdin=stdin)
        except StepFailed:
            if check:
                raise
            return ""
        return output.decode(errors="replace").rstrip("\n")

    def stop(self) -> None:
        """Stop the engine if it is ours; its data stays."""
        if self.daemon:
            self.daemon.stop()

    def kill(self) -> None:
        """Kill the engine's daemon, as a fault."""
        if self.daemon is None:
            raise StepFailed("kill the engine", "it is the machine's", "take second_engine() for faults")
        self.daemon.kill()

    def start(self) -> None:
        """Start the daemon again after kill() or stop()."""
        if self.daemon:
            self.daemon.start()

    def remove(self) -> None:
        """Stop the engine if it is ours and delete its data."""
        if self.daemon:
            self.daemon.remove()


def main_daemon(state: Path) -> Daemon:
    """Return the daemon that main_engine() starts, without starting it: to stop or remove it."""
    return Daemon(state, has_network=True)


def main_engine(state: Path) -> Engine:
    """Return the engine to use: ours if it runs, else the one that answers, else ours, started."""
    running = running_engine(state)
    if running:
        return running
    install("docker.io")
    # Where a service manager started the engine that was just installed, that one is taken.
    if answers(MACHINE_ENGINE):
        return _engine(MACHINE_ENGINE, None, state)
    daemon = main_daemon(state)
    daemon.start()
    return _engine(daemon.docker_host, daemon, state)


def running_engine(state: Path) -> Engine | None:
    """Return the engine that main_engine() would use, if it runs already: ours, else the one that answers."""
    daemon = main_daemon(state)
    if daemon.pid is not None:
        daemon.start()  # it may have been started a moment ago
        return _engine(daemon.docker_host, daemon, state)
    answering = _answering_engine()
    return _engine(answering, None, state) if answering else None


def second_engine(state: Path, *, tls: bool = False) -> Engine:
    """Start an engine beside any other, without container network, that may be killed at any moment."""
    install("docker.io")
    access = _tls_access(state) if tls else None
    arguments = _tls_arguments(state, access) if access else ()
    daemon = Daemon(state, has_network=False, live_restore=True, extra_arguments=arguments)
    daemon.start()
    return replace(_engine(daemon.docker_host, daemon, state), tls=access)


def _tls_access(state: Path) -> TlsAccess:
    """Make the certificates and choose the port on first use: a killed engine comes back as it was."""
    for authority in (Authority(state / "tls"), Authority(state / "foreign-tls")):
        authority.client("tls", "/CN=compose-backup-operator")
    port = state / "tls-port"
    if not port.exists():
        port.write_text(str(free_port()))
    return TlsAccess(f"tcp://127.0.0.1:{port.read_text()}", state / "tls", state / "foreign-tls")


def _tls_arguments(state: Path, access: TlsAccess) -> tuple[str, ...]:
    authority = Authority(state / "tls")
    server = authority.server("server", ["127.0.0.1", "localhost"])
    files = ("--tlscacert", authority.certificate, "--tlscert", server.certificate, "--tlskey", server.key)
    return ("-H", access.endpoint, "--tlsverify", *map(str, files))


def _answering_engine() -> str | None:
    """Return the address of the engine that the machine offers, None when there is none."""
    wanted = os.environ.get("DOCKER_HOST")
    for address in filter(None, (wanted, MACHINE_ENGINE)):
        if answers(address):
            return address
    if wanted:
        say(f"DOCKER_HOST={wanted} does not answer: an engine of our own is used")
    return None


def _engine(docker_host: str, daemon: Daemon | None, state: Path) -> Engine:
    if shutil.which("docker") is None:
        install("docker.io")
    docker = shutil.which("docker")
    if docker is None:
        raise StepFailed("find the docker client", "docker.io brought none", "install a docker client")
    engine = Engine(docker_host, Path(docker), state / "docker-config", daemon)
    _link_plugins(engine)
    return engine


def _link_plugins(engine: Engine) -> None:
    """Give the client Compose v2 unless it has one already: Debian 12 has only the old v1."""
    if engine.docker("compose", "version", check=False).startswith("Docker Compose version"):
        return
    tree = unpack_from_suite("trixie", ["docker-compose"], cache.root() / "debian")
    plugins = engine.config / "cli-plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    (plugins / "docker-compose").unlink(missing_ok=True)
    (plugins / "docker-compose").symlink_to(tree / COMPOSE_PLUGIN)
