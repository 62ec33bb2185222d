"""A real API server with our kinds, and a namespace per test.

Run by pytest.
"""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Iterator

import pytest

import shipped
from crds.manifests import Kinds
from realparts.cluster import Cluster
from realparts.control_plane import open_cluster


@pytest.fixture(scope="session")
def real_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real API server with everything that manifests/base holds."""
    with warnings.catch_warnings():
        # The servers outlive the objects that started them, on purpose: they are stopped by process id.
        warnings.simplefilter("ignore", ResourceWarning)
        real = open_cluster(tmp_path_factory.mktemp("control-plane"))
    shipped.install(real)
    yield real
    real.stop()


@pytest.fixture(scope="session")
def dry(real_cluster: Cluster) -> Kinds:
    """Our kinds where nothing is kept: for dry runs and for reading."""
    return Kinds(real_cluster, "default")


@pytest.fixture
def kinds(real_cluster: Cluster) -> Iterator[Kinds]:
    """Our kinds in a namespace that nobody else uses."""
    namespace = f"crds-{uuid.uuid4().hex[:8]}"
    real_cluster.kubectl("create", "namespace", namespace)
    yield Kinds(real_cluster, namespace)
    real_cluster.kubectl("delete", "namespace", namespace, "--wait=false")
