"""Whatever comes back instead of an answer ends in the exception tree.

Run by pytest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from compose_backup.api.kinds import BACKUP_RUN
from compose_backup.errors import Stalled, Unreachable
from compose_backup.gateways import cluster as gateway
from realparts.cluster import write_kubeconfig

pytestmark = pytest.mark.asyncio


class Answering:
    """A server that gives one answer to everything."""

    def __init__(self) -> None:
        self.code, self.content = 200, "{}"

    async def answer(self, _request: web.Request) -> web.Response:
        return web.Response(status=self.code, text=self.content)


@pytest.fixture
def answering() -> Answering:
    return Answering()


@pytest_asyncio.fixture
async def address(answering: Answering) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answering.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield "http://{}:{}".format(*runner.addresses[0])
    await runner.cleanup()


@pytest_asyncio.fixture
async def cluster(address: str, tmp_path: Path) -> AsyncIterator[gateway.KubernetesCluster]:
    write_kubeconfig(tmp_path / "kubeconfig", {"server": address}, {"token": "t"})
    connected = await gateway.connect("compose-backup-system", str(tmp_path / "kubeconfig"))
    yield connected
    await connected.close()


@pytest.mark.parametrize(
    ("code", "content"),
    [
        pytest.param(503, "<html>no backend</html>", id="a proxy in between"),
        pytest.param(500, '{"message": "etcdserver: leader changed"}', id="etcd elects"),
        pytest.param(429, '{"message": "too many requests"}', id="overloaded"),
        pytest.param(410, '{"message": "continue token expired"}', id="a list that took too long"),
        pytest.param(401, '{"message": "Unauthorized"}', id="a token that is renewed"),
        pytest.param(404, '{"message": "not found"}', id="definitions that come later"),
        pytest.param(599, "null", id="an answer without sense"),
    ],
)
async def test_what_passes_by_itself_is_tried_again(
    cluster: gateway.KubernetesCluster, answering: Answering, code: int, content: str
) -> None:
    answering.code, answering.content = code, content
    with pytest.raises(Unreachable, match=rf"list backupruns\.backup\.dockerwarts\.io: {code}"):
        await cluster.list(BACKUP_RUN)


async def test_refused_right_needs_a_person(cluster: gateway.KubernetesCluster, answering: Answering) -> None:
    answering.code, answering.content = 403, '{"message": "quota"}'
    with pytest.raises(Stalled, match="may not get secrets: quota"):
        await cluster.secret("apps", "repository")


async def test_invalid_object_is_our_fault(cluster: gateway.KubernetesCluster, answering: Answering) -> None:
    answering.code, answering.content = 422, '{"message": "spec.schedule: Required value"}'
    with pytest.raises(gateway.Refused, match="Required value"):
        await cluster.create(BACKUP_RUN, {"metadata": {"namespace": "apps"}})


async def test_server_that_is_not_there_is_tried_again(tmp_path: Path) -> None:
    write_kubeconfig(tmp_path / "kubeconfig", {"server": "http://127.0.0.1:1"}, {"token": "t"})
    cluster = await gateway.connect("compose-backup-system", str(tmp_path / "kubeconfig"))
    with pytest.raises(Unreachable, match="does not answer"):
        await cluster.list(BACKUP_RUN)
    await cluster.close()


async def test_no_configuration_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(Stalled, match="set KUBECONFIG"):
        await gateway.connect("compose-backup-system")


async def test_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Stalled, match="absent"):
        await gateway.connect("compose-backup-system", str(tmp_path / "absent"))
