"""The project installed in a cluster as a user would: definitions, namespace, ServiceAccount and roles as shipped.

Called by sandbox.py and the fixtures of tests/conftest.py.
"""

from __future__ import annotations

from pathlib import Path

from realparts.cluster import Cluster
from realparts.ground import REPOSITORY
from realparts.steps import step

CRDS = REPOSITORY / "crds"
BASE = REPOSITORY / "manifests" / "base"
WITHOUT_DEPLOYMENT = Path(__file__).parent / "installation"
NAMESPACE = "compose-backup-system"
SERVICE_ACCOUNT = "compose-backup-operator"
OURS = "app.kubernetes.io/part-of=compose-backup"


def install(cluster: Cluster) -> None:
    """Apply everything but the Deployment, and wait until the API server serves the new kinds."""
    with step("install definitions and roles"):
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "--kustomize", WITHOUT_DEPLOYMENT)
        established = ("--for=condition=Established", "customresourcedefinitions", "--selector", OURS)
        cluster.kubectl("wait", "--timeout=60s", *established)


def is_installed(cluster: Cluster) -> bool:
    """Say whether the cluster has our namespace."""
    return cluster.kubectl("get", "namespace", NAMESPACE, "--ignore-not-found", "--output=name") != ""


def uninstall(cluster: Cluster) -> None:
    """Delete everything that `install` applied, all objects of our kinds with it."""
    with step("remove definitions and roles"):
        cluster.kubectl("delete", "--ignore-not-found", "--kustomize", WITHOUT_DEPLOYMENT)


def operator_kubeconfig(cluster: Cluster, path: Path) -> Path:
    """Write a kubeconfig with the rights of the shipped ServiceAccount and no others."""
    return cluster.service_account_kubeconfig(NAMESPACE, SERVICE_ACCOUNT, path)
