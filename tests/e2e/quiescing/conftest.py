"""One shop for the tests of this folder: each leaves it as it was, which is what they are about.

Run by pytest.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.operator_process import OperatorProcess
from e2e.scene import Scene
from e2e.shop import Shop, opened
from e2e.stage import Stage
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
    open_shop.scene.kubectl("delete", "rr,brun,bpol", "--all", "--timeout=30s", check=False)
    open_shop.wait_until_tidy()
