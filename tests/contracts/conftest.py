"""The settings of the contract suites: a cluster and an engine from both of their sides, and a bench with real restic.

Run by pytest.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from compose_backup.gateways import cluster as gateway
from compose_backup.gateways.engine_pool import EnginePool
from compose_backup.planning.facts import HostAddress
from contracts import engines
from contracts.cluster_setting import Kubectl, Setting
from contracts.restic_bench import PASSWORD, Bench, restic_program
from contracts.shop_bench import open_shop
from fakes.cluster import FakeCluster
from realparts import installed, repositories
from realparts.cluster import Cluster as RealCluster
from realparts.engine import Engine


@pytest.fixture(scope="session")
def real_cluster(cluster: RealCluster) -> RealCluster:
    """The real API server, by the name that tells it from the port."""
    return cluster


@pytest_asyncio.fixture
async def real_setting(real_cluster: RealCluster, operator_kubeconfig: Path) -> AsyncIterator[Setting]:
    """The real API server, seen with the operator's rights."""
    cluster = await gateway.connect(installed.NAMESPACE, str(operator_kubeconfig))
    setting = Setting(cluster, Kubectl(real_cluster))
    real_cluster.create_namespace(setting.namespace)
    yield setting
    await cluster.close()
    real_cluster.delete_namespace(setting.namespace)


@pytest.fixture(params=["fake", "real"])
def setting(request: pytest.FixtureRequest) -> Setting:
    """Each implementation of the port in turn."""
    if request.param == "fake":
        fake = FakeCluster()
        return Setting(fake, fake)
    real: Setting = request.getfixturevalue("real_setting")
    return real


@pytest.fixture(scope="session")
def real_docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, str]]:
    """A real engine and the name of an image that it has."""
    with engines.real_engine(tmp_path_factory.mktemp("engine")) as both:
        yield both


@pytest_asyncio.fixture
async def docker_gateway(tmp_path: Path) -> AsyncIterator[EnginePool]:
    """The real gateway."""
    pool = EnginePool(threads=4, scratch=tmp_path)
    yield pool
    await pool.close()


@pytest.fixture(params=["fake", "real"])
def engine_setting(request: pytest.FixtureRequest) -> engines.Setting:
    """Each implementation of the port DockerHost in turn."""
    prefix = f"contract-{uuid.uuid4().hex[:8]}"
    if request.param == "fake":
        fake = engines.fake_engine("agent:test")
        return engines.Setting(fake, engines.FakeSide(fake), "agent:test", prefix)
    engine, image = request.getfixturevalue("real_docker")
    host = request.getfixturevalue("docker_gateway").at(HostAddress("uid", "srv1", engine.docker_host, "1"))
    return engines.Setting(host, engines.CommandLine(engine, image), image, prefix)


@pytest.fixture(scope="session")
def program() -> str:
    """The real restic."""
    return restic_program()


@pytest.fixture(scope="session")
def template(program: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new repository, made once by the agent; tests copy it, with a key that costs no time."""
    bench = Bench(tmp_path_factory.mktemp("template"), program)
    report = bench.probe(create=True)
    assert report.probe is not None and report.probe.created
    repositories.quicken(bench.repository, PASSWORD)
    return bench.repository


@pytest.fixture
def bench(program: str, template: Path, tmp_path: Path) -> Bench:
    """A repository and volumes of its own for each test."""
    bench = Bench(tmp_path / "bench", program)
    shutil.rmtree(bench.repository)
    shutil.copytree(template, bench.repository)
    return bench


@pytest.fixture
def shop(bench: Bench) -> Bench:
    """A bench with a shop that writes to the volume `data`."""
    return open_shop(bench)
