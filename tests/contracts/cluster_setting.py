"""A cluster from both sides: what people do to it with kubectl, and what the operator sees through the port.

Made by conftest.py, used by test_cluster.py and test_kubernetes_cluster.py.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from compose_backup.api.base import API_VERSION
from compose_backup.api.kinds import BACKUP_RUN, Kind
from compose_backup.reconcile.ports import Body, Cluster
from realparts.cluster import Cluster as RealCluster


class People(Protocol):
    """What people do with kubectl."""

    def apply(self, kind: Kind, body: Body) -> Body: ...
    def remove(self, kind: Kind, namespace: str, name: str) -> None: ...
    def put_secret(self, namespace: str, name: str, data: Mapping[str, bytes]) -> None: ...


@dataclass(frozen=True)
class Kubectl:
    """People with the administrator's kubeconfig."""

    real: RealCluster

    def apply(self, kind: Kind, body: Body) -> Body:
        document = json.dumps({"apiVersion": API_VERSION, "kind": kind.name, **body})
        applied: Body = json.loads(self.real.kubectl("apply", "-f", "-", "-o", "json", stdin=document))
        return applied

    def remove(self, kind: Kind, namespace: str, name: str) -> None:
        self.real.kubectl("delete", kind.plural, name, "--namespace", namespace)

    def put_secret(self, namespace: str, name: str, data: Mapping[str, bytes]) -> None:
        document: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "stringData": {key: value.decode() for key, value in data.items()},
        }
        self.real.kubectl("apply", "-f", "-", stdin=json.dumps(document))


@dataclass(frozen=True)
class Setting:
    """One cluster from both sides, with a namespace that nobody else uses."""

    cluster: Cluster
    people: People
    namespace: str = field(default_factory=lambda: f"contract-{uuid.uuid4().hex[:8]}")


def run_body(setting: Setting, name: str = "nightly-202610130200") -> Body:
    """Return a BackupRun as the operator creates it."""
    return {
        "apiVersion": API_VERSION,
        "kind": "BackupRun",
        "metadata": {"name": name, "namespace": setting.namespace},
        "spec": {"policyRef": {"name": "nightly"}, "scheduledFor": "2026-10-13T02:00:00Z", "trigger": "Schedule"},
    }


def policy_body(setting: Setting, **spec: Any) -> Body:
    """Return a BackupPolicy as people write it."""
    references = {"hostRef": {"name": "srv1"}, "repositoryRef": {"name": "main"}}
    return {
        "metadata": {"name": "nightly", "namespace": setting.namespace},
        "spec": {**references, "schedule": "0 2 * * *", **spec},
    }


async def created(setting: Setting, name: str = "nightly-202610130200") -> Body:
    """Create a BackupRun through the port and return it."""
    body = await setting.cluster.create(BACKUP_RUN, run_body(setting, name))
    assert body is not None
    return body
