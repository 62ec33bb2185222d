"""The operator of the session and a scene for each test.

Run by pytest.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.operator_process import OperatorProcess
from e2e.scene import Scene, markers
from e2e.stage import Stage
from realparts.cluster import Cluster
from realparts.engine import Engine
from realparts.ground import Ground


@pytest.fixture(scope="session")
def session_operator(
    cluster: Cluster, prepared: Ground, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """The one operator of the cluster: it looks after every namespace, so that there is never a second one."""
    operator = OperatorProcess(cluster, tmp_path_factory.mktemp("operator"), prepared.images.agent)
    yield operator
    operator.stop()
    for marker in markers(prepared.engine, f"path:{tmp_path_factory.getbasetemp()}/"):  # nobody makes them anew now
        prepared.engine.docker("volume", "rm", marker, check=False)


@pytest.fixture
def operator(session_operator: OperatorProcess) -> OperatorProcess:
    """The operator, running, whatever an earlier test has done to it."""
    session_operator.start()
    return session_operator


@pytest.fixture
def scene(cluster: Cluster, engine: Engine, operator: OperatorProcess, tmp_path: Path) -> Iterator[Scene]:
    """A namespace and a directory that nobody else uses, removed at the end with everything made in them."""
    namespace = f"e2e-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", namespace)
    scene = Scene(cluster, engine, operator, namespace, tmp_path)
    yield scene
    scene.close()


@pytest.fixture(scope="module")
def shared_scene(
    cluster: Cluster, prepared: Ground, session_operator: OperatorProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """A namespace that the tests of a module share, with a directory."""
    namespace = f"e2e-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", namespace)
    scene = Scene(cluster, prepared.engine, session_operator, namespace, tmp_path_factory.mktemp("repositories"))
    yield scene
    scene.close()


@pytest.fixture
def stage(shared_scene: Scene, operator: OperatorProcess, prepared: Ground) -> Iterator[Stage]:
    """The host and the repository of a module, and whatever a test puts beside them; that goes with the test."""
    stage = Stage(shared_scene, prepared.small_image, prepared.restic)
    yield stage
    stage.clear()


@pytest.fixture
def own_stage(scene: Scene, prepared: Ground) -> Iterator[Stage]:
    """A stage that a test has to itself, its namespace included."""
    stage = Stage(scene, prepared.small_image, prepared.restic)
    yield stage
    stage.clear()
