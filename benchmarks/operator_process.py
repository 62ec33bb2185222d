"""The operator as a process of this machine, started as its image starts it, and what it takes of memory and CPU.

Made by stage.py, used by every script.
"""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from realparts import processes
from realparts.steps import wait_until

NAME = "operator"
LISTED = "objects are known"
READY_SECONDS = 180.0
TICKS = os.sysconf("SC_CLK_TCK")
QUIET_SHARE = 0.05
QUIET_SPAN_SECONDS = 5.0
QUIET_PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Usage:
    """What a process took over some time. Memory in MB of 10^6 bytes, CPU as a share of one core."""

    memory: float
    memory_peak: float
    cpu: float


@dataclass
class OperatorProcess:
    """One operator, known by its state directory, running or not."""

    state: Path
    python: str
    environment: Mapping[str, str]
    _port: int = 0
    _started: float = 0.0
    _log_start: int = 0

    def start(self) -> None:
        """Start it; it is not ready when this returns."""
        self._port = processes.free_port()
        self._log_start = self._log.stat().st_size if self._log.exists() else 0
        self._started = time.monotonic()
        liveness = f"--liveness=http://127.0.0.1:{self._port}/healthz"
        options = ("--standalone", "--all-namespaces", liveness, "--module=compose_backup.handlers")
        processes.start(NAME, (self.python, "-m", "kopf", "run", *options), self.state, env=self.environment)

    def wait_until_ready(self) -> float:
        """Wait until all objects are listed and the health check says so; return the seconds since the start.

        The log is asked first: kopf gives the same answer to health checks for ten seconds.
        """
        remedy = f"read {self._log}"
        wait_until("wait for the operator's list", self._has_listed, seconds=READY_SECONDS, remedy=remedy)
        wait_until("wait for the health check", self._is_healthy, seconds=READY_SECONDS, remedy=remedy)
        return time.monotonic() - self._started

    def wait_until_quiet(self) -> float:
        """Wait until it takes hardly any CPU for some seconds; return the seconds from the start to the last work."""
        deadline = time.monotonic() + QUIET_PATIENCE_SECONDS
        while self.measure(QUIET_SPAN_SECONDS).cpu > QUIET_SHARE:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the operator is not quiet after {QUIET_PATIENCE_SECONDS:g} s; read {self._log}")
        return time.monotonic() - QUIET_SPAN_SECONDS - self._started

    def measure(self, seconds: float) -> Usage:
        """Let it work for some time and return what it took."""
        before, started = self.cpu_seconds, time.monotonic()
        time.sleep(seconds)
        share = (self.cpu_seconds - before) / (time.monotonic() - started)
        return Usage(self._memory("VmRSS"), self._memory("VmHWM"), share)

    def stop(self) -> None:
        """Stop it. Not running: no error."""
        processes.stop(NAME, self.state)

    @property
    def pid(self) -> int:
        """Its process id."""
        pid = processes.pid_of(NAME, self.state)
        if pid is None:
            raise RuntimeError(f"the operator has ended:\n{processes.log_tail(NAME, self.state, 30)}")
        return pid

    @property
    def cpu_seconds(self) -> float:
        """CPU time that it took so far, in user and in kernel mode (proc(5), fields 14 and 15)."""
        after_name = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / TICKS

    @property
    def log(self) -> str:
        """What it wrote since its last start."""
        return self._log.read_bytes()[self._log_start :].decode(errors="replace")

    @property
    def _log(self) -> Path:
        return self.state / f"{NAME}.log"

    def _memory(self, field: str) -> float:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        kibibytes = next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
        return kibibytes * 1024 / 1e6

    def _has_listed(self) -> bool:
        return self.pid > 0 and LISTED in self.log

    def _is_healthy(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            return answer.status == http.HTTPStatus.OK and "ready" in json.loads(answer.read()).values()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
