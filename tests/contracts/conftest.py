"""The two sides of a cluster for the contract suite: what people do to it, and what the operator sees through the port.

Run by pytest.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

import shipped
from compose_backup.gateways import cluster as gateway
from contracts.cluster_setting import Kubectl, Setting
from fakes.cluster import FakeCluster
from realparts.cluster import Cluster as RealCluster
from realparts.control_plane import open_cluster

OPERATOR_NAMESPACE = "compose-backup-system"
OPERATOR = "compose-backup-operator"


@pytest.fixture(scope="session")
def real_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    """A real API server with everything that manifests/base holds."""
    with warnings.catch_warnings():
        # The servers outlive the objects that started them, on purpose: they are stopped by process id.
        warnings.simplefilter("ignore", ResourceWarning)
        real = open_cluster(tmp_path_factory.mktemp("control-plane"))
    shipped.install(real)
    yield real
    real.stop()


@pytest.fixture(scope="session")
def operator_kubeconfig(real_cluster: RealCluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig with the rights of the shipped ServiceAccount and no others."""
    path = tmp_path_factory.mktemp("operator") / "kubeconfig"
    return real_cluster.service_account_kubeconfig(OPERATOR_NAMESPACE, OPERATOR, path)


@pytest_asyncio.fixture
async def real_setting(real_cluster: RealCluster, operator_kubeconfig: Path) -> AsyncIterator[Setting]:
    """The real API server, seen with the operator's rights."""
    cluster = await gateway.connect(OPERATOR_NAMESPACE, str(operator_kubeconfig))
    setting = Setting(cluster, Kubectl(real_cluster))
    real_cluster.kubectl("create", "namespace", setting.namespace)
    yield setting
    await cluster.close()
    real_cluster.kubectl("delete", "namespace", setting.namespace, "--wait=false", check=False)


@pytest.fixture(params=["fake", "real"])
def setting(request: pytest.FixtureRequest) -> Setting:
    """Each implementation of the port in turn."""
    if request.param == "fake":
        fake = FakeCluster()
        return Setting(fake, fake)
    real: Setting = request.getfixturevalue("real_setting")
    return real
