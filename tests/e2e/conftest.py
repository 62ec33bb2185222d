"""The operator of the session, a scene for each test, and the shop of those that are about services.

Run by pytest.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.operator_process import OperatorProcess
from e2e.scene import Scene, markers
from e2e.shop import Shop, opened
from e2e.stage import Stage
from realparts import installed
from realparts.cluster import Cluster
from realparts.control_plane import ControlPlane
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
    cluster.create_namespace(namespace)
    scene = Scene(cluster, engine, operator, namespace, tmp_path)
    yield scene
    scene.close()


@pytest.fixture(scope="module")
def shared_scene(
    cluster: Cluster, prepared: Ground, session_operator: OperatorProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """A namespace that the tests of a module share, with a directory."""
    namespace = f"e2e-{uuid.uuid4().hex[:8]}"
    cluster.create_namespace(namespace)
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


@pytest.fixture(scope="module")
def open_shop(
    shared_scene: Scene,
    session_operator: OperatorProcess,
    prepared: Ground,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shop]:
    """A Compose project with services that write, shared by the tests of a module."""
    session_operator.start()
    stage = Stage(shared_scene, prepared.small_image, prepared.restic)
    with opened(stage, tmp_path_factory.mktemp("shop"), prepared.images.agent) as shop:
        yield shop


@pytest.fixture
def shop(open_shop: Shop, operator: OperatorProcess) -> Iterator[Shop]:
    """The shop, with all services up before and after."""
    open_shop.wait_until_back()
    yield open_shop
    operator.start()
    open_shop.scene.kubectl("delete", "rr,brun,bpol", "--all", "--timeout=30s", check=False)
    open_shop.wait_until_tidy()


@pytest.fixture
def own_shop(scene: Scene, prepared: Ground, tmp_path: Path) -> Iterator[Shop]:
    """A shop whose namespace may be deleted."""
    with opened(Stage(scene, prepared.small_image, prepared.restic), tmp_path, prepared.images.agent) as shop:
        yield shop


@pytest.fixture
def fragile_shop(
    cluster: Cluster, second_engine: Engine, operator: OperatorProcess, prepared: Ground, tmp_path: Path
) -> Iterator[Shop]:
    """A shop on an engine that may be killed."""
    namespace = f"e2e-{uuid.uuid4().hex[:8]}"
    cluster.create_namespace(namespace)
    scene = Scene(cluster, second_engine, operator, namespace, tmp_path)
    with opened(Stage(scene, prepared.small_image, prepared.restic), tmp_path, prepared.images.agent) as shop:
        yield shop
    scene.close()


@pytest.fixture(scope="module")
def other_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Another API server, with the project installed: another UID of the operator's namespace."""
    plane = ControlPlane.start(tmp_path_factory.mktemp("other-control-plane"))
    installed.install(plane)
    yield plane
    plane.stop()


@pytest.fixture(scope="module")
def other_operator(
    other_cluster: Cluster, prepared: Ground, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """The operator of the other cluster."""
    operator = OperatorProcess(other_cluster, tmp_path_factory.mktemp("other-operator"), prepared.images.agent)
    yield operator
    operator.stop()
