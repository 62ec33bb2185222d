"""A Kubernetes cluster as tests and the demo use it, wherever its API server comes from.

Base of control_plane.py and existing_cluster.py; called by the fixtures and by __main__.py through them.
"""

from __future__ import annotations

import json
import os
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from realparts.steps import run


class Cluster(ABC):
    """Access as administrator, and as any ServiceAccount."""

    @property
    @abstractmethod
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig: one file with everything in it."""

    @property
    @abstractmethod
    def kubectl_path(self) -> Path:
        """The kubectl to use."""

    @property
    @abstractmethod
    def has_controllers(self) -> bool:
        """Whether owned objects are collected and deleted namespaces emptied."""

    @abstractmethod
    def kill_api_server(self) -> None:
        """End the API server at once, as a crash would (SIGKILL)."""

    @abstractmethod
    def start_api_server(self) -> None:
        """Start the API server again at the same address, and wait until it serves."""

    @abstractmethod
    def stop(self) -> None:
        """End what was started for this cluster. Nothing runs: no error."""

    @property
    def server(self) -> str:
        """The API server's URL."""
        return str(self._address()["server"])

    def kubectl(self, *arguments: str | Path, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl as administrator and return its output.

        A failure raises StepFailed with kubectl's words; with check=False they are returned after the output.
        """
        command = (self.kubectl_path, "--kubeconfig", self.kubeconfig, *arguments)
        given = None if stdin is None else stdin.encode()
        if check:
            title = " ".join(("kubectl", *map(str, arguments)))
            return run(title, command, stdin=given, env=self._environment(), remedy=self._remedy()).decode()
        done = subprocess.run(command, input=given, capture_output=True, env=self._environment(), check=False)
        return (done.stdout + done.stderr if done.returncode else done.stdout).decode()

    def create_namespace(self, name: str) -> None:
        """Make a namespace."""
        self.kubectl("create", "namespace", name)

    def delete_namespace(self, name: str) -> None:
        """Have a namespace deleted with everything in it, without waiting for it. Gone already: no error."""
        self.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")

    def service_account_kubeconfig(self, namespace: str, name: str, path: Path) -> Path:
        """Write a kubeconfig that acts as the ServiceAccount, with a token valid for 24 hours."""
        token = self.kubectl("create", "token", name, "--namespace", namespace, "--duration", "24h").strip()
        write_kubeconfig(path, self._address(), {"token": token}, namespace)
        return path

    def _address(self) -> dict[str, Any]:
        """Return the `cluster` part of the administrator's kubeconfig: URL and authority."""
        shown = self.kubectl("config", "view", "--raw", "--minify", "--flatten", "--output", "json")
        address: dict[str, Any] = json.loads(shown)["clusters"][0]["cluster"]
        return address

    def _environment(self) -> dict[str, str]:
        # In the home directory kubectl keeps kinds by address: an earlier cluster's, if it had the same port.
        return {**os.environ, "KUBECACHEDIR": str(self.kubeconfig.parent / "kubectl-cache")}

    @abstractmethod
    def _remedy(self) -> str:
        """Say where to look when kubectl fails."""


def write_kubeconfig(path: Path, cluster: dict[str, Any], user: dict[str, Any], namespace: str = "default") -> None:
    """Write a kubeconfig of one cluster and one user (JSON, which is YAML), readable by its owner only."""
    context = {"cluster": "cluster", "user": "user", "namespace": namespace}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "context", "context": context}],
        "current-context": "context",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps(document, indent=2) + "\n")
    unfinished.rename(path)
