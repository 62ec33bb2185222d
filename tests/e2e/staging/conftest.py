"""A shop on an engine whose volumes lie on a file system that clones.

Run by pytest.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from e2e.operator_process import OperatorProcess
from e2e.scene import Scene
from e2e.shop import Shop, opened
from e2e.stage import Stage
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
def open_shop(
    cluster: Cluster,
    cloning_engine: Engine,
    session_operator: OperatorProcess,
    prepared: Ground,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shop]:
    """A shop that the tests of this folder share."""
    namespace = f"e2e-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", namespace)
    session_operator.start()
    directory = tmp_path_factory.mktemp("shop")
    scene = Scene(cluster, cloning_engine, session_operator, namespace, directory)
    with opened(Stage(scene, prepared.small_image, prepared.restic), directory, prepared.images.agent) as shop:
        yield shop
    scene.close()


@pytest.fixture
def shop(open_shop: Shop, operator: OperatorProcess) -> Iterator[Shop]:
    """The shop, with all services up before and after, and nothing of ours left on the host."""
    open_shop.wait_until_back()
    yield open_shop
    open_shop.wait_until_back()
    open_shop.scene.kubectl("delete", "rr,brun,bpol", "--all", "--timeout=30s", check=False)
    open_shop.wait_until_tidy()
