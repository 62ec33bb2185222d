"""The operator's settings: environment variables, read and checked once at start, passed along from handlers.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from compose_backup.errors import Stalled

PREFIX = "COMPOSE_BACKUP_"


@dataclass(frozen=True)
class Settings:
    """What an administrator may set for the whole operator."""

    namespace: str
    """`COMPOSE_BACKUP_NAMESPACE`: the namespace that the operator runs in."""
    cluster_name: str
    """`COMPOSE_BACKUP_CLUSTER_NAME` (default `cluster`): first part of the identity of archives; keep it when a cluster
    is rebuilt."""
    agent_image: str
    """`COMPOSE_BACKUP_AGENT_IMAGE`: image of the agent where a ComposeHost names none."""
    allow_local_endpoints: bool
    """`COMPOSE_BACKUP_ALLOW_LOCAL_ENDPOINTS` (default `false`): whether endpoints may be `unix://` or loopback, which
    reach the machine that the operator runs on."""


def read(environment: Mapping[str, str], default_agent_image: str) -> Settings:
    """Return the settings. Raises Stalled with every variable that is wrong or unknown."""
    known = {
        "NAMESPACE": "compose-backup-system",
        "CLUSTER_NAME": "cluster",
        "AGENT_IMAGE": default_agent_image,
        "ALLOW_LOCAL_ENDPOINTS": "false",
    }
    given = {key.removeprefix(PREFIX): value for key, value in environment.items() if key.startswith(PREFIX)}
    wrong = [f"{PREFIX}{key} is not a setting" for key in sorted(given.keys() - known.keys())]
    values = known | given
    if values["ALLOW_LOCAL_ENDPOINTS"] not in ("true", "false"):
        wrong.append(f"{PREFIX}ALLOW_LOCAL_ENDPOINTS is {values['ALLOW_LOCAL_ENDPOINTS']!r}: write 'true' or 'false'")
    wrong += [f"{PREFIX}{key} is empty" for key in ("NAMESPACE", "CLUSTER_NAME", "AGENT_IMAGE") if not values[key]]
    if wrong:
        raise Stalled("InvalidSettings", "the operator's settings are wrong: " + "; ".join(wrong))
    return Settings(
        namespace=values["NAMESPACE"],
        cluster_name=values["CLUSTER_NAME"],
        agent_image=values["AGENT_IMAGE"],
        allow_local_endpoints=values["ALLOW_LOCAL_ENDPOINTS"] == "true",
    )
