"""The operator as a process of this machine, under the rights of the shipped ServiceAccount, never more.

Called by the fixtures of conftest.py and by tests that kill it.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from realparts import installed, processes
from realparts.cluster import Cluster
from realparts.ground import REPOSITORY
from realparts.steps import StepFailed, wait_until

NAME = "operator"
READY_SECONDS = 60.0


@dataclass(frozen=True)
class OperatorProcess:
    """One operator, known by its state directory, running or not."""

    cluster: Cluster
    state: Path
    agent_image: str
    settings: Mapping[str, str] = field(default_factory=dict)
    """Further variables, for example `COMPOSE_BACKUP_CLUSTER_NAME`."""

    def start(self) -> None:
        """Start it unless it runs, and wait until it has seen all objects."""
        if self.pid is None:
            self._port_file.parent.mkdir(parents=True, exist_ok=True)
            self._port_file.write_text(str(processes.free_port()))
            processes.start(NAME, self._command(), self.state, env=self._environment())
        wait_until("wait for the operator", self._is_ready, seconds=READY_SECONDS, remedy=f"read {self.log_file}")

    def kill(self) -> None:
        """End it at once (SIGKILL), as a crash would."""
        processes.kill(NAME, self.state)

    def stop(self) -> None:
        """End it as Kubernetes would: SIGTERM, and SIGKILL after a while."""
        processes.stop(NAME, self.state)

    def restart(self) -> None:
        """Kill it and start the next one."""
        self.kill()
        self.start()

    @property
    def pid(self) -> int | None:
        """Return its process id, None when it does not run."""
        return processes.pid_of(NAME, self.state)

    @property
    def is_healthy(self) -> bool:
        """Say whether it would be left alive by Kubernetes."""
        return self._is_ready()

    @property
    def log_file(self) -> Path:
        """Be where it logs; every restart goes on at the end."""
        return self.state / f"{NAME}.log"

    @property
    def rss_bytes(self) -> int:
        """Return the memory that it holds."""
        return self._pages("VmRSS") * 1024

    @property
    def cpu_seconds(self) -> float:
        """Return the processor time that it has used since it was started."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _pages(self, name: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith(f"{name}:"))

    @property
    def _port_file(self) -> Path:
        return self.state / "port"

    def _command(self) -> list[str | Path]:
        liveness = f"--liveness=http://127.0.0.1:{self._port_file.read_text()}/healthz"
        run = ("run", "--standalone", "--all-namespaces", liveness, "--module=compose_backup.handlers")
        return [sys.executable, "-m", "kopf", *run]

    def _environment(self) -> dict[str, str]:
        """Return an environment that holds nothing of the developer's: no admin's kubeconfig, no way to an engine."""
        kubeconfig = installed.operator_kubeconfig(self.cluster, self.state / "kubeconfig")
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.state),
            "PYTHONPATH": str(REPOSITORY / "operator"),
            "KUBECONFIG": str(kubeconfig),
            "COMPOSE_BACKUP_AGENT_IMAGE": self.agent_image,
            "COMPOSE_BACKUP_ALLOW_LOCAL_ENDPOINTS": "true",
            **self.settings,
        }

    def _is_ready(self) -> bool:
        if self.pid is None:
            cause = f"it ended:\n{processes.log_tail(NAME, self.state)}"
            raise StepFailed("start the operator", cause, f"read {self.log_file}")
        connection = http.client.HTTPConnection("127.0.0.1", int(self._port_file.read_text()), timeout=5)
        try:
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            return answer.status == http.HTTPStatus.OK and json.loads(answer.read()).get("work") == "ready"
        except (OSError, http.client.HTTPException, ValueError):
            return False
        finally:
            connection.close()
