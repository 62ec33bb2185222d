"""Our kinds on the real API server, in a namespace per test.

Run by pytest.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from crds.manifests import Kinds
from realparts.cluster import Cluster


@pytest.fixture(scope="session")
def dry(cluster: Cluster) -> Kinds:
    """Our kinds where nothing is kept: for dry runs and for reading."""
    return Kinds(cluster, "default")


@pytest.fixture
def kinds(cluster: Cluster) -> Iterator[Kinds]:
    """Our kinds in a namespace that nobody else uses."""
    namespace = f"crds-{uuid.uuid4().hex[:8]}"
    cluster.create_namespace(namespace)
    yield Kinds(cluster, namespace)
    cluster.delete_namespace(namespace)
