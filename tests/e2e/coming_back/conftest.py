"""One shop on the shared engine for the tests of this folder, and one on an engine that may be killed.

Run by pytest.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.operator_process import OperatorProcess
from e2e.scene import Scene
from e2e.shop import Shop, opened
from e2e.stage import Stage
from realparts.cluster import Cluster
from realparts.engine import Engine
from realparts.ground import Ground


@pytest.fixture(scope="module")
def open_shop(
    shared_scene: Scene,
    session_operator: OperatorProcess,
    prepared: Ground,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shop]:
    """A shop that the tests of a module share."""
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
    cluster.kubectl("create", "namespace", namespace)
    scene = Scene(cluster, second_engine, operator, namespace, tmp_path)
    with opened(Stage(scene, prepared.small_image, prepared.restic), tmp_path, prepared.images.agent) as shop:
        yield shop
    scene.close()
