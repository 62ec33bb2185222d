"""The processes of a container, found in /proc by its control group: fast enough to hit a moment, and without Docker.

Called by moments.py and faults.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def processes(container_id: str) -> Iterator[int]:
    """Yield the process ids, on this machine, of everything that runs in a container."""
    if not container_id:
        return
    wanted = container_id.encode()
    for process in Path("/proc").glob("[0-9]*"):
        if wanted in _read(process / "cgroup"):
            yield int(process.name)


def first_process(container_id: str) -> int | None:
    """Return process 1 of a container."""
    return next((pid for pid in processes(container_id) if _inner_pid(pid) == "1"), None)


def restic(container_id: str, *words: str) -> int | None:
    """Return a restic in a container whose command line has all of these words."""
    for pid in processes(container_id):
        command = _read(Path(f"/proc/{pid}/cmdline")).decode(errors="replace")
        if command.partition("\0")[0].endswith("restic") and all(word in command for word in words):
            return pid
    return None


def memory_group(container_id: str) -> Path | None:
    """Return the control group that bounds the memory of a container."""
    pid = first_process(container_id)
    for line in _read(Path(f"/proc/{pid}/cgroup")).decode().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            return Path("/sys/fs/cgroup/memory") / path.lstrip("/")
        if not controllers and Path("/sys/fs/cgroup/cgroup.controllers").exists():
            return Path("/sys/fs/cgroup") / path.lstrip("/")
    return None


def _inner_pid(pid: int) -> str:
    for line in _read(Path(f"/proc/{pid}/status")).decode().splitlines():
        if line.startswith("NSpid:"):
            return line.split()[-1]
    return ""


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
