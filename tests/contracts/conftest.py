"""The two sides of a cluster for the contract suite: what people do to it, and what the operator sees through the port.

Run by pytest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from compose_backup.gateways import cluster as gateway
from contracts.cluster_setting import Kubectl, Setting
from fakes.cluster import FakeCluster
from realparts import installed
from realparts.cluster import Cluster as RealCluster


@pytest.fixture(scope="session")
def real_cluster(cluster: RealCluster) -> RealCluster:
    """The real API server, by the name that tells it from the port."""
    return cluster


@pytest_asyncio.fixture
async def real_setting(real_cluster: RealCluster, operator_kubeconfig: Path) -> AsyncIterator[Setting]:
    """The real API server, seen with the operator's rights."""
    cluster = await gateway.connect(installed.NAMESPACE, str(operator_kubeconfig))
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
