"""The real parts of a test session, each started when the first test asks for it and stopped at the end.

Tests below tests/unit use none of them. Run by pytest.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from realparts import ground, installed, ways_in
from realparts import images as project_images
from realparts.cluster import Cluster
from realparts.control_plane import open_cluster
from realparts.engine import Engine
from realparts.engine import second_engine as start_second_engine
from realparts.ground import Ground
from realparts.images import Images
from realparts.ways_in import SshWay


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Kubernetes API server with the project installed as a user would; USE_EXISTING_CLUSTER=true takes that one."""
    opened = open_cluster(tmp_path_factory.mktemp("control-plane"))
    was_installed = installed.is_installed(opened)
    installed.install(opened)
    yield opened
    if not was_installed:
        installed.uninstall(opened)
    opened.stop()


@pytest.fixture(scope="session")
def operator_kubeconfig(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig with the rights of the shipped ServiceAccount and no others."""
    return installed.operator_kubeconfig(cluster, tmp_path_factory.mktemp("operator") / "kubeconfig")


@pytest.fixture(scope="session")
def prepared() -> Iterator[Ground]:
    """The sandbox's engine with all images, so that they are built once; it is stopped if it did not run before."""
    with ground.lent(ground.state_directory()) as lent:
        yield lent


@pytest.fixture(scope="session")
def engine(prepared: Ground) -> Engine:
    """The Docker Engine that services and agents run on. It is shared: no test harms it."""
    return prepared.engine


@pytest.fixture(scope="session")
def images(prepared: Ground) -> Images:
    """The operator's and the agent's image, on `engine`."""
    return prepared.images


@pytest.fixture(scope="session")
def restic(prepared: Ground) -> Path:
    """Plain restic, which knows nothing of the project."""
    return prepared.restic


@pytest.fixture(scope="session")
def second_engine(prepared: Ground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine without container network that may be killed; whoever kills it starts it again."""
    engine = start_second_engine(tmp_path_factory.mktemp("second-engine"))
    _copy_images(prepared, engine)
    yield engine
    engine.remove()


@pytest.fixture(scope="session")
def tls_engine(prepared: Ground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that is reached by TCP with mutual TLS."""
    engine = start_second_engine(tmp_path_factory.mktemp("tls-engine"), tls=True)
    _copy_images(prepared, engine)
    yield engine
    engine.remove()


@pytest.fixture(scope="session")
def ssh_way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshWay]:
    """A way to this machine by SSH."""
    way = ways_in.ssh_way(tmp_path_factory.mktemp("sshd"))
    yield way
    way.remove()


def _copy_images(prepared: Ground, target: Engine) -> None:
    for image in (prepared.images.agent, prepared.small_image, project_images.BUSYBOX):
        project_images.copy(image, prepared.engine, target)
