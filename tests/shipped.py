"""Puts what we ship into a cluster, as `kubectl apply -k` does for a user.

Called by the fixtures that need a cluster with our kinds in it.
"""

from __future__ import annotations

from pathlib import Path

from compose_backup.api.base import GROUP
from compose_backup.api.kinds import KINDS
from realparts.cluster import Cluster

ROOT = Path(__file__).parents[1]
BASE = ROOT / "manifests" / "base"
CRDS = ROOT / "crds"


def install(cluster: Cluster) -> None:
    """Apply manifests/base, and return when the API server serves our kinds."""
    cluster.kubectl("apply", "-k", BASE)
    definitions = [f"crd/{kind.plural}.{GROUP}" for kind in KINDS]
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", *definitions)
