"""Docker's JSON, as its API answers, turned into facts; nothing is asked here.

Shapes after the Engine API reference (API 1.41: VolumeList, VolumeInspect, ContainerList, ContainerInspect): maps and
lists may be null, names of containers start with a slash, and only inspect tells when a container was started.
Called by gateways/docker_host.py, gateways/engine_containers.py and agent/quiesce/engine.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from compose_backup.api.journal import RestartPolicy
from compose_backup.planning.facts import Container, Mount, Volume

Json = Mapping[str, Any]

NEVER_STARTED = "0001-01-01T00:00:00Z"
JOINING = "container:"
NANOSECONDS = 10**9
# What the engine takes where a health check says nothing (Engine API, HealthConfig).
DEFAULT_INTERVAL = 30 * NANOSECONDS
DEFAULT_RETRIES = 3
MAX_HEALTH_SECONDS = 300
# What the engine waits for a container to stop that says nothing of its own, and what counts where it waits for ever.
DEFAULT_STOP_SECONDS = 10
ENDLESS_STOP_SECONDS = 600


def volume(document: Json) -> Volume:
    """Return the volume of one VolumeInspect answer, or of one entry of VolumeList."""
    return Volume(
        name=document["Name"],
        driver=document.get("Driver") or "local",
        options=dict(document.get("Options") or {}),
        labels=dict(document.get("Labels") or {}),
    )


def volumes(answer: Json) -> tuple[Volume, ...]:
    """Return the volumes of a VolumeList answer, by name."""
    found = (volume(entry) for entry in answer.get("Volumes") or ())
    return tuple(sorted(found, key=lambda one: one.name))


def listed_container(entry: Json) -> Container:
    """Return the container of one entry of ContainerList; when it was started is not in there."""
    return Container(
        id=entry["Id"],
        name=_name_of(entry),
        image=entry.get("Image") or "",
        state=entry.get("State") or "",
        labels=dict(entry.get("Labels") or {}),
        mounts=_mounts(entry),
    )


def listed_containers(answer: list[Json]) -> tuple[Container, ...]:
    """Return the containers of a ContainerList answer, by name."""
    return tuple(sorted((listed_container(entry) for entry in answer), key=lambda one: one.name))


def inspected_container(document: Json) -> Container:
    """Return the container of one ContainerInspect answer."""
    config = document.get("Config") or {}
    state = document.get("State") or {}
    host_config = document.get("HostConfig") or {}
    started_at = state.get("StartedAt")
    return Container(
        id=document["Id"],
        name=(document.get("Name") or "").removeprefix("/"),
        image=config.get("Image") or "",
        state=state.get("Status") or "",
        started_at=None if started_at in (None, "", NEVER_STARTED) else started_at,
        labels=dict(config.get("Labels") or {}),
        mounts=_mounts(document),
        health=_health(state),
        health_seconds=_health_seconds(config.get("Healthcheck") or {}),
        restart_policy=_restart_policy(host_config.get("RestartPolicy") or {}),
        joined=_joined(host_config),
        stop_seconds=_stop_seconds(config.get("StopTimeout")),
        removed_when_stopped=bool(host_config.get("AutoRemove")),
    )


def _health(state: Json) -> Literal["starting", "healthy", "unhealthy"] | None:
    said: Any = (state.get("Health") or {}).get("Status")
    return said if said in ("starting", "healthy", "unhealthy") else None


def _health_seconds(check: Json) -> int:
    """Return how long a health check may take to pass: start period and all retries, bounded."""
    if not check.get("Test") or check["Test"] == ["NONE"]:
        return 0
    interval = check.get("Interval") or DEFAULT_INTERVAL
    retries = check.get("Retries") or DEFAULT_RETRIES
    seconds = -(-((check.get("StartPeriod") or 0) + retries * interval) // NANOSECONDS)
    return int(min(MAX_HEALTH_SECONDS, seconds))


def _stop_seconds(said: int | None) -> int:
    seconds = DEFAULT_STOP_SECONDS if said is None else said
    return seconds if seconds >= 0 else ENDLESS_STOP_SECONDS


def _restart_policy(policy: Json) -> RestartPolicy:
    return RestartPolicy(name=policy.get("Name") or "no", maximum_retry_count=int(policy.get("MaximumRetryCount") or 0))


def _joined(host_config: Json) -> tuple[str, ...]:
    """Return the containers that one cannot do without: `container:<id>`, or `<id>:ro` of volumes_from."""
    modes = [host_config.get(kind) or "" for kind in ("NetworkMode", "PidMode", "IpcMode")]
    joined = [mode.removeprefix(JOINING) for mode in modes if mode.startswith(JOINING)]
    lent = [entry.partition(":")[0] for entry in host_config.get("VolumesFrom") or ()]
    return tuple(dict.fromkeys([*joined, *lent]))


def _name_of(entry: Json) -> str:
    """Return the container's own name; links add names of the form `/other/alias`."""
    names: list[str] = [name.removeprefix("/") for name in entry.get("Names") or ()]
    return next((name for name in names if "/" not in name), names[0] if names else str(entry["Id"])[:12])


def _mounts(document: Json) -> tuple[Mount, ...]:
    return tuple(_mount(entry) for entry in document.get("Mounts") or ())


def _mount(entry: Json) -> Mount:
    """Return one mount. An entry without `RW` counts as writable: that errs on the side of saying `Live`."""
    named = entry.get("Type", "volume") == "volume"
    return Mount(
        volume=(entry.get("Name") or None) if named else None,
        source=entry.get("Source") or "",
        writable=bool(entry.get("RW", True)),
    )
