"""The objects that the scripts declare, as a person would write them. Used by every script."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

Body = Mapping[str, Any]

NAMESPACE = "benchmark"
HOST = "srv1"
SECRET = "repository"
PASSWORD = "not a secret"


def namespace(name: str = NAMESPACE) -> Body:
    """Return the namespace of everything here."""
    return {"metadata": {"name": name}}


def secret() -> Body:
    """Return the Secret with the password of every repository."""
    return {"metadata": _metadata(SECRET), "stringData": {"password": PASSWORD}}


def host(name: str, endpoint: str) -> Body:
    """Return a ComposeHost whose engine is reached by a unix socket, and whose agents look through the same."""
    agent = {"dockerSocket": endpoint.removeprefix("unix://"), "imagePullPolicy": "Never"}
    return {"metadata": _metadata(name), "spec": {"endpoint": endpoint, "agent": agent}}


def repository(name: str, volume: str, host_name: str = HOST) -> Body:
    """Return an ArchiveRepository on a volume of the host."""
    spec = {
        "restic": {"passwordSecretRef": {"name": SECRET}},
        "storage": {"volume": {"name": volume}},
        "hostRef": {"name": host_name},
    }
    return {"metadata": _metadata(name), "spec": spec}


def policy(name: str, repository_name: str, volumes: Sequence[str], host_name: str = HOST) -> Body:
    """Return a BackupPolicy for these volumes, with nothing due for half a day."""
    spec = {
        "hostRef": {"name": host_name},
        "repositoryRef": {"name": repository_name},
        "selector": {"volumes": list(volumes)},
        "schedule": f"0 {(time.gmtime().tm_hour + 12) % 24} * * *",
        "retry": {"limit": 0},
    }
    return {"metadata": _metadata(name), "spec": spec}


def run(name: str, policy_name: str) -> Body:
    """Return a BackupRun made by hand."""
    return {"metadata": _metadata(name), "spec": {"policyRef": {"name": policy_name}}}


def restore(name: str, run_name: str, source: str, target: str) -> Body:
    """Return a RestoreRequest of one volume of a run under another name."""
    mapping = {"volumes": [{"source": source, "target": target}]}
    return {"metadata": _metadata(name), "spec": {"source": {"runRef": {"name": run_name}}, "target": mapping}}


def _metadata(name: str) -> dict[str, str]:
    return {"name": name, "namespace": NAMESPACE}
