"""Processes that outlive the command which started them: remembered by process id, stopped by it.

A process is known by a name within a state directory, which holds `<name>.pid` and `<name>.log`.
Called by control_plane.py, engine.py and ways_in.py.
"""

from __future__ import annotations

import fcntl
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

# Below the range from which Linux takes ports for outgoing connections (32768 and up). From within it a
# client may be given the port of a server that is down, or end up connected to itself while it retries.
SERVER_PORTS = range(20000, 32768)


def start(name: str, command: Sequence[str | Path], state: Path, *, env: Mapping[str, str] | None = None) -> int:
    """Start a process in a session of its own, with its output in a log file, and return its id."""
    state.mkdir(parents=True, exist_ok=True)
    with (state / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True
        )
    # It may outlive us on purpose and is known by its id from here on: the object must not warn when it is dropped.
    process.returncode = 0
    # The start time tells our process from a later one that was given the same id.
    (state / f"{name}.pid").write_text(f"{process.pid} {_started_at(process.pid)}\n")
    return process.pid


def pid_of(name: str, state: Path) -> int | None:
    """Return the id of the named process if it still runs, otherwise None."""
    try:
        pid, started_at = (state / f"{name}.pid").read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return int(pid) if _started_at(int(pid)) == started_at else None


def stop(name: str, state: Path, *, seconds: float = 20.0) -> None:
    """Stop the named process: SIGTERM, then SIGKILL after the given time. Not running is no error."""
    _signal(name, state, signal.SIGTERM, seconds)
    kill(name, state)


def kill(name: str, state: Path) -> None:
    """End the named process at once (SIGKILL), as a crash would. Not running is no error."""
    _signal(name, state, signal.SIGKILL, 10.0)
    (state / f"{name}.pid").unlink(missing_ok=True)


def log_tail(name: str, state: Path, lines: int = 15) -> str:
    """Return the last lines of the named process's log."""
    try:
        return "\n".join((state / f"{name}.log").read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return "(no log)"


def free_port() -> int:
    """Return a TCP port of the loopback address that nobody listens on at this moment."""
    return next(port for port in random.sample(SERVER_PORTS, len(SERVER_PORTS)) if is_free(port))


def is_free(port: int) -> bool:
    """Say whether a server could listen on this TCP port of the loopback address at this moment."""
    with socket.socket() as probe:
        # As servers do: a connection that is only closing does not keep the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@contextmanager
def exclusively(lock: Path) -> Iterator[None]:
    """Hold a lock file, so that a second command waits until the first has finished; freed when it dies."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _started_at(pid: int) -> str | None:
    """Return the start time of a live process in clock ticks since boot (proc(5), field 22), else None."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, threads, started_at = after_name[0], int(after_name[17]), after_name[19]
    # The main thread may be a zombie while others still hold the process's ports and files.
    return None if state == "Z" and threads <= 1 else started_at


def _signal(name: str, state: Path, signal_number: signal.Signals, patience: float) -> None:
    """Send a signal to the named process, if it runs, and wait the given seconds for its end."""
    pid = pid_of(name, state)
    if pid is None:
        return
    os.kill(pid, signal_number)
    deadline = time.monotonic() + patience
    while pid_of(name, state) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    _reap(pid)


def _reap(pid: int) -> None:
    """Collect the process if it is our own child, so that it does not stay as a zombie."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
