"""A second cluster with an operator of its own, beside the first one, on the same engine.

Run by pytest.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from e2e.operator_process import OperatorProcess
from e2e.scene import Scene
from e2e.stage import Stage
from realparts.cluster import Cluster
from realparts.engine import Engine
from realparts.ground import Ground


@pytest.fixture
def other_stage(
    other_cluster: Cluster, other_operator: OperatorProcess, engine: Engine, prepared: Ground, own_stage: Stage
) -> Iterator[Stage]:
    """A scene of the other cluster, whose repositories lie in the same directory as those of the first."""
    other_operator.start()
    namespace = f"other-{uuid.uuid4().hex[:8]}"
    other_cluster.create_namespace(namespace)
    scene = Scene(other_cluster, engine, other_operator, namespace, own_stage.scene.directory)
    other = Stage(scene, prepared.small_image, prepared.restic)
    yield other
    other.clear()
    scene.close()


@pytest.fixture
def neighbour(own_stage: Stage) -> Iterator[Stage]:
    """Another namespace of the first cluster, with the same directory."""
    first = own_stage.scene
    namespace = f"{first.namespace}-too"
    first.cluster.create_namespace(namespace)
    scene = Scene(first.cluster, first.engine, first.operator, namespace, first.directory)
    stage = Stage(scene, own_stage.image, own_stage.restic)
    yield stage
    stage.clear()
    scene.close()
