"""One ward for each module of bad input.

Run by pytest.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from e2e.bad_input.ward import Ward
from e2e.operator_process import OperatorProcess
from e2e.scene import Scene
from realparts.cluster import Cluster
from realparts.engine import Engine


@pytest.fixture(scope="module")
def ward(
    cluster: Cluster,
    engine: Engine,
    session_operator: OperatorProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Ward]:
    """A namespace of its own with a healthy host, repository and policy."""
    session_operator.start()
    namespace = f"bad-{uuid.uuid4().hex[:8]}"
    cluster.create_namespace(namespace)
    scene = Scene(cluster, engine, session_operator, namespace, tmp_path_factory.mktemp("repositories"))
    ward = Ward(scene, session_operator.pid or 0)
    ward.settle_in()
    yield ward
    ward.close()
