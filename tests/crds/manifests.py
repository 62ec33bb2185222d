"""One valid manifest per kind, changes to it, and a namespace to apply them in.

Used by the tests of this folder.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compose_backup.api.base import API_VERSION
from realparts.cluster import Cluster

Manifest = dict[str, Any]

SPECS: Mapping[str, Mapping[str, Any]] = {
    "ComposeHost": {"endpoint": "ssh://backup@srv1", "credentialsSecretRef": {"name": "srv1"}},
    "ArchiveRepository": {
        "restic": {"passwordSecretRef": {"name": "main"}},
        "storage": {"hostPath": {"path": "/srv/backups"}},
        "hostRef": {"name": "srv1"},
    },
    "BackupPolicy": {"hostRef": {"name": "srv1"}, "repositoryRef": {"name": "main"}, "schedule": "0 2 * * *"},
    "BackupRun": {"policyRef": {"name": "nightly"}},
    "RestoreRequest": {"source": {"runRef": {"name": "nightly-202610130200"}}},
}


def manifest(kind: str, name: str = "main", **changes: Any) -> Manifest:
    """Return a valid manifest with some fields of its spec replaced; None takes a field out."""
    spec = copy.deepcopy({**SPECS[kind], **changes})
    kept = {key: value for key, value in spec.items() if value is not None}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": kept}


@dataclass(frozen=True)
class Kinds:
    """Objects of our kinds in one namespace of a real API server."""

    cluster: Cluster
    namespace: str

    def apply(self, document: Manifest) -> Manifest:
        """Create or change an object and return it."""
        applied: Manifest = json.loads(self._kubectl("apply", "-f", "-", "-o", "json", stdin=json.dumps(document)))
        return applied

    def refusal(self, document: Manifest, *options: str) -> str:
        """Return what kubectl says when it is to apply this; nothing is kept."""
        arguments = ("apply", "-f", "-", "--dry-run=server", *options)
        return self._kubectl(*arguments, stdin=json.dumps(document), check=False)

    def status(self, document: Manifest, status: Mapping[str, Any], *, check: bool = True) -> str:
        """Write a status as the operator does, and return what kubectl says."""
        written = {**document, "status": status}
        del written["spec"]
        options = ("--server-side", "--subresource=status", "--force-conflicts", "--field-manager=operator")
        return self._kubectl("apply", *options, "-f", "-", stdin=json.dumps(written), check=check)

    def get(self, kind: str, name: str = "main") -> Manifest:
        """Return an object."""
        found: Manifest = json.loads(self._kubectl("get", kind, name, "-o", "json"))
        return found

    def table(self, resource: str, *options: str) -> list[str]:
        """Return the lines that `kubectl get` prints."""
        return self._kubectl("get", resource, *options).splitlines()

    def wait(self, *arguments: str) -> str:
        """Return what `kubectl wait` says."""
        return self._kubectl("wait", *arguments)

    def explain(self, path: str) -> str:
        """Return what `kubectl explain` says."""
        return self._kubectl("explain", path)

    def _kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, stdin=stdin, check=check)
