"""A scene on an engine whose volumes lie on a file system that clones: the shop of these tests stands there.

Run by pytest.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from e2e.operator_process import OperatorProcess
from e2e.scene import Scene
from realparts import images
from realparts.cluster import Cluster
from realparts.engine import Engine, second_engine
from realparts.file_systems import open_file_systems
from realparts.ground import Ground


@pytest.fixture(scope="module")
def cloning_engine(prepared: Ground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine on XFS."""
    with open_file_systems(tmp_path_factory.mktemp("cloning")) as file_systems:
        engine = second_engine(file_systems.mounted("xfs-for-an-engine") / "engine")
        for image in (prepared.images.agent, prepared.small_image):
            images.copy(image, prepared.engine, engine)
        yield engine
        engine.remove()


@pytest.fixture(scope="module")
def shared_scene(
    cluster: Cluster,
    cloning_engine: Engine,
    session_operator: OperatorProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Scene]:
    """The same as elsewhere, on that engine."""
    namespace = f"e2e-{uuid.uuid4().hex[:8]}"
    cluster.create_namespace(namespace)
    scene = Scene(cluster, cloning_engine, session_operator, namespace, tmp_path_factory.mktemp("repositories"))
    yield scene
    scene.close()
