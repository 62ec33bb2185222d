"""The settings of the contract suites: a cluster from both of its sides, and a bench with real restic.

Run by pytest.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from compose_backup.gateways import cluster as gateway
from contracts.cluster_setting import Kubectl, Setting
from contracts.restic_bench import Bench, restic_program
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


@pytest.fixture(scope="session")
def program() -> str:
    """The real restic."""
    return restic_program()


@pytest.fixture(scope="session")
def template(program: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new repository, made once by the agent; tests copy it."""
    bench = Bench(tmp_path_factory.mktemp("template"), program)
    report = bench.probe(create=True)
    assert report.probe is not None and report.probe.created
    return bench.repository


@pytest.fixture
def bench(program: str, template: Path, tmp_path: Path) -> Bench:
    """A repository and volumes of its own for each test."""
    bench = Bench(tmp_path / "bench", program)
    shutil.rmtree(bench.repository)
    shutil.copytree(template, bench.repository)
    return bench
