"""The body of `POST /containers/create` for an agent, in the words of the Engine API (1.41, ContainerCreate).

Called by gateways/docker_host.py.
"""

from __future__ import annotations

from typing import Any

from compose_backup.api.job import LIVE_ROOT
from compose_backup.planning.facts import AgentContainer, AgentMount

MIB = 1024 * 1024
MANIFEST_BYTES = 16 * MIB
MAX_PROCESSES = 512
STOP_SECONDS = 300
"""How long `docker stop` by a person waits before it kills: the agent must let restic remove its lock."""


def create_body(wanted: AgentContainer) -> dict[str, Any]:
    """Return the container that is created: stdin open for one job, everything closed that a job does not need."""
    return {
        "Image": wanted.image,
        "Hostname": wanted.hostname,
        "Labels": dict(wanted.labels),
        "Env": [f"{key}={value}" for key, value in wanted.environment.items()],
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        # A terminal would merge events (stdout) and diagnostics (stderr).
        "Tty": False,
        "StopTimeout": STOP_SECONDS,
        "HostConfig": _host_config(wanted),
    }


def volume_names(wanted: AgentContainer) -> tuple[str, ...]:
    """Return the named volumes that must exist before the container is created: Docker makes missing ones silently."""
    return tuple(mount.source for mount in wanted.mounts if mount.kind == "volume")


def _host_config(wanted: AgentContainer) -> dict[str, Any]:
    return {
        # The host's own default may be a driver that cannot be read back.
        "LogConfig": {"Type": "local", "Config": {"max-size": "10m", "max-file": "2"}},
        "ReadonlyRootfs": True,
        # restic builds packs in /tmp. What lies in a tmpfs counts as memory of the container.
        "Tmpfs": {"/tmp": _tmpfs(wanted.memory_bytes // 2), f"{LIVE_ROOT}/manifest": _tmpfs(MANIFEST_BYTES)},
        "SecurityOpt": ["no-new-privileges"],
        "CapDrop": ["ALL"],
        "CapAdd": list(wanted.capabilities),
        "Memory": wanted.memory_bytes,
        "NanoCpus": round(wanted.cpus * 1e9),
        "PidsLimit": MAX_PROCESSES,
        "NetworkMode": wanted.network,
        # The report must outlive the process: it is removed once its report is stored.
        "AutoRemove": False,
        "Mounts": [_mount(mount) for mount in wanted.mounts if mount.kind != "directory"],
        # Only this older form creates a missing source on engines before API 1.42.
        "Binds": [_bind(mount) for mount in wanted.mounts if mount.kind == "directory"],
    }


def _mount(mount: AgentMount) -> dict[str, Any]:
    body: dict[str, Any] = {
        "Type": mount.kind,
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": mount.read_only,
    }
    # Without NoCopy an empty volume is filled with what the image has at that path.
    return body | {"VolumeOptions": {"NoCopy": True}} if mount.kind == "volume" else body


def _bind(mount: AgentMount) -> str:
    return f"{mount.source}:{mount.target}:{'ro' if mount.read_only else 'rw'}"


def _tmpfs(size: int) -> str:
    return f"rw,nosuid,nodev,size={size},mode=1777"
