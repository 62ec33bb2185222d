"""The definitions are deleted, or all of the project, while services are down: they come back all the same.

In a cluster of its own. Run by pytest.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.operator_process import OperatorProcess
from e2e.scene import Document, Scene
from e2e.shop import Shop, opened
from e2e.stage import Stage
from realparts import installed
from realparts.cluster import Cluster
from realparts.engine import Engine
from realparts.ground import Ground


@pytest.fixture
def other_shop(
    other_cluster: Cluster, other_operator: OperatorProcess, engine: Engine, prepared: Ground, tmp_path: Path
) -> Iterator[Shop]:
    """A shop whose cluster may lose the project."""
    installed.install(other_cluster)
    other_operator.start()
    namespace = f"e2e-{uuid.uuid4().hex[:8]}"
    other_cluster.create_namespace(namespace)
    scene = Scene(other_cluster, engine, other_operator, namespace, tmp_path)
    with opened(Stage(scene, prepared.small_image, prepared.restic), tmp_path, prepared.images.agent) as shop:
        yield shop
    scene.close()


def in_the_window(shop: Shop) -> Document:
    """Return a run whose services are down."""
    shop.stage.declare(shop.policy())
    run = shop.scene.request_run("nightly", "interrupted")
    shop.in_the_window("run", run)
    return run


def test_definitions_are_deleted_and_applied_again(other_shop: Shop) -> None:
    """The operator ends, since it has nothing to watch, and all objects are gone: the agent does it alone.

    Once definitions and objects are back, the operator, which Kubernetes starts again, tidies up and goes on.
    """
    scene = other_shop.scene
    agent = other_shop.stage.agent("run", in_the_window(other_shop))
    scene.cluster.kubectl("delete", "customresourcedefinitions", "--selector", installed.OURS, "--timeout=60s")
    agent.allow(2.0)
    other_shop.wait_until_back()
    installed.install(scene.cluster)
    scene.operator.start()
    other_shop.stage.declare(other_shop.policy())  # the host above all: nobody else knows the way to it
    other_shop.wait_until_tidy()
    assert other_shop.stage.locks() == []
    other_shop.stage.archive()


def test_the_project_is_uninstalled(other_shop: Shop) -> None:
    """The operator gets SIGTERM, its rights and its objects are gone: the agent does it alone."""
    agent = other_shop.stage.agent("run", in_the_window(other_shop))
    other_shop.scene.operator.stop()
    installed.uninstall(other_shop.scene.cluster)
    agent.allow(2.0)
    other_shop.wait_until_back()
