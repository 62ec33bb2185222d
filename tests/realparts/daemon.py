"""A dockerd of our own: started, stopped, killed and removed with everything that it keeps.

Its data stays below the caller's state directory; its sockets, whose paths must be short, below /run.
Called by engine.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from realparts import processes
from realparts.debian import install
from realparts.processes import exclusively
from realparts.steps import StepFailed, run, say, step, wait_until

READY_SECONDS = 60.0
SYSTEM_PATHS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Daemon:
    """One dockerd, known by its state directory, running or not."""

    state: Path
    # An engine of its own network needs a bridge of its own: on docker0 two engines break each other.
    has_network: bool
    # With live restore, containers survive the death of the daemon: what fault tests are about.
    live_restore: bool = False
    extra_arguments: tuple[str, ...] = ()

    @cached_property
    def key(self) -> str:
        """Name this engine among all engines of the machine."""
        return hashlib.sha256(str(self.state.resolve()).encode()).hexdigest()[:8]

    @property
    def runtime(self) -> Path:
        """Hold the sockets. A socket's path has at most 107 characters, a checkout's may be long."""
        return Path("/run/compose-backup-operator") / self.key

    @property
    def socket(self) -> Path:
        """Be where the engine is reached."""
        return self.runtime / "docker.sock"

    @property
    def docker_host(self) -> str:
        """Write the socket as DOCKER_HOST wants it."""
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int | None:
        """Return the process id, None when it does not run."""
        return processes.pid_of("dockerd", self.state)

    @property
    def bridge(self) -> str:
        """Name the network bridge."""
        return f"cbo-{self.key}"

    def start(self) -> None:
        """Start the daemon unless it runs, and wait until it answers."""
        with exclusively(self.state / "dockerd.lock"):
            if self.pid is None:
                with step("start dockerd"):
                    self._launch()
                    self._wait_until_ready()
            else:
                self._wait_until_ready()

    def stop(self) -> None:
        """Stop the containers, then the daemon. The data stays, so that the next start has all images."""
        if self.pid is None and self._has_orphans():
            self.start()  # only a daemon can end what a killed one left
        if self.live_restore and self.pid is not None:
            self._stop_containers()
        processes.stop("dockerd", self.state, seconds=60)
        self._remove_network()

    def kill(self) -> None:
        """End the daemon without warning (SIGKILL); start() brings it back with the same data."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
            processes.stop("dockerd", self.state)

    def remove(self) -> None:
        """Stop, then delete data and sockets."""
        self.stop()
        for directory in (self.state, self.runtime):
            _unmount_below(directory)
            if directory.exists():
                remove: list[str | Path] = ["rm", "-rf", "--one-file-system", directory]
                run(f"remove {directory}", remove, remedy="look at findmnt and fuser")
        _remove_if_empty(self.runtime.parent)

    def _launch(self) -> None:
        install("iproute2")
        self._add_network()
        for directory in (self.state, self.runtime):
            directory.mkdir(parents=True, exist_ok=True)
        self._forget_dead()
        # The file takes the place of the machine's. An engine of 20.10 knows itself by this key: without it,
        # all engines of a machine have one identity.
        settings = {"deprecated-key-path": str(self.state / "key.json")}
        self._settings.write_text(json.dumps(settings))
        path = f"{os.environ.get('PATH', '')}:{SYSTEM_PATHS}"
        processes.start("dockerd", self._command(path), self.state, env=os.environ | {"PATH": path})

    def _command(self, path: str) -> list[str]:
        dockerd = shutil.which("dockerd", path=path)
        if dockerd is None:
            raise StepFailed("start dockerd", "dockerd is not installed", "apt-get install docker.io")
        network = ["--bridge", self.bridge] if self.has_network else ["--bridge", "none", "--iptables=false"]
        return [
            *(dockerd, "-H", self.docker_host, *network, *self.extra_arguments),
            *("--data-root", str(self.state / "data"), "--exec-root", str(self.runtime / "exec")),
            *("--config-file", str(self._settings)),
            *("--pidfile", str(self.runtime / "pid"), f"--live-restore={str(self.live_restore).lower()}"),
            # Where a containerd of the machine is shared, names keep the engines apart.
            *("--containerd-namespace", self.bridge, "--containerd-plugins-namespace", f"{self.bridge}-p"),
        ]

    @property
    def _settings(self) -> Path:
        return self.state / "daemon.json"

    def _wait_until_ready(self) -> None:
        wait_until("wait for dockerd", self._answers, seconds=READY_SECONDS, remedy=self._see_log())

    def _answers(self) -> bool:
        if self.pid is None:
            tail = processes.log_tail("dockerd", self.state)
            raise StepFailed("start dockerd", f"it ended by itself:\n{tail}", self._see_log())
        return answers(self.docker_host)

    def _see_log(self) -> str:
        return f"read {self.state / 'dockerd.log'}; dockerd needs root, cgroups and iptables"

    def _has_orphans(self) -> bool:
        """Say whether containers outlived a killed daemon: each has a shim that names our namespace."""
        ours = b"\0-namespace\0%b\0" % self.bridge.encode()
        return any(ours in _read(process / "cmdline") for process in Path("/proc").glob("[0-9]*"))

    def _forget_dead(self) -> None:
        """Remove what a killed daemon left and what would look alive to the next one.

        A containerd that died with its daemon but was not collected yet by process 1 counts as running.
        """
        self.socket.unlink(missing_ok=True)
        (self.runtime / "pid").unlink(missing_ok=True)
        containerd = self.runtime / "exec/containerd/containerd.pid"
        if not Path("/proc", _read(containerd).decode().strip() or "none", "exe").exists():
            containerd.unlink(missing_ok=True)

    def _stop_containers(self) -> None:
        """Stop the containers, which outlive a stopped daemon just as they outlive a killed one."""
        running = self._docker("ps", "--quiet").split()
        if running:
            self._docker("stop", "--time", "2", *running)

    def _docker(self, *arguments: str) -> str:
        env = os.environ | {"DOCKER_HOST": self.docker_host, "DOCKER_TLS_VERIFY": "", "DOCKER_CONTEXT": ""}
        return run(f"docker {arguments[0]}", ["docker", *arguments], remedy=self._see_log(), env=env).decode()

    def _add_network(self) -> None:
        if not self.has_network or Path("/sys/class/net", self.bridge).exists():
            return
        second, third = bytes.fromhex(self.key)[:2]
        address = f"10.{128 + second % 64}.{third}.1/24"
        for change in (
            ["link", "add", "name", self.bridge, "type", "bridge"],
            ["address", "add", address, "dev", self.bridge],
            ["link", "set", self.bridge, "up"],
        ):
            run("make a network bridge", [_ip(), *change], remedy="run as root, where bridges may be added")

    def _remove_network(self) -> None:
        if self.has_network and Path("/sys/class/net", self.bridge).exists():
            run("remove the bridge", [_ip(), "link", "delete", self.bridge], remedy="look at `ip link`")


def answers(docker_host: str) -> bool:
    """Say whether an engine answers there within a few seconds."""
    env = os.environ | {"DOCKER_HOST": docker_host, "DOCKER_CONTEXT": ""}
    if docker_host.startswith("unix:"):
        env["DOCKER_TLS_VERIFY"] = ""
    try:
        asked = subprocess.run(["docker", "version"], capture_output=True, timeout=10, env=env, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def _read(file: Path) -> bytes:
    """Return a file's content, nothing when it is not there (any more)."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _remove_if_empty(directory: Path) -> None:
    try:
        directory.rmdir()
    except OSError:
        return  # other engines still live there


def _unmount_below(directory: Path) -> None:
    """Unmount what containers left, the innermost first."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if Path(m).is_relative_to(directory.resolve())), reverse=True):
        say(f"unmount {mount}")
        run(f"unmount {mount}", ["umount", "-l", mount], remedy="see what holds it: fuser -m")


def _ip() -> str:
    return shutil.which("ip", path=f"{os.environ.get('PATH', '')}:{SYSTEM_PATHS}") or "ip"
