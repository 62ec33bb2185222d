"""Engines that answer, but not as they should: proxies that forbid, other servers, cut connections. Run by pytest."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from compose_backup.errors import Stalled, Unreachable
from compose_backup.gateways.engine_pool import EnginePool
from compose_backup.planning.facts import HostAddress
from fakes.recorded_engine import CUT, Recorded, recorded_engine

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def pool() -> AsyncIterator[EnginePool]:
    """The gateway."""
    pool = EnginePool(threads=2)
    yield pool
    await pool.close()


async def test_proxy_that_forbids_is_named_with_the_request(pool: EnginePool, tmp_path: Path) -> None:
    with recorded_engine(tmp_path / "a.sock", {"GET /volumes": Recorded(403, "Forbidden")}) as engine:
        with pytest.raises(Stalled, match=r"srv1 forbids GET /v1.41/volumes"):
            await pool.at(HostAddress("uid", "srv1", engine.endpoint, "1")).inventory()
        await pool.close()


async def test_server_that_is_no_engine_is_told(pool: EnginePool, tmp_path: Path) -> None:
    with recorded_engine(tmp_path / "a.sock", {"GET /version": Recorded(body="Welcome to nginx")}) as engine:
        with pytest.raises(Unreachable, match=r"srv1 .* does not answer as a Docker Engine does"):
            await pool.at(HostAddress("uid", "srv1", engine.endpoint, "1")).look()
        await pool.close()


async def test_agent_that_is_just_being_removed_counts_as_gone(pool: EnginePool, tmp_path: Path) -> None:
    answers = {
        "GET /containers/agent/json": Recorded(body={"Id": "1", "State": {"Status": "removing"}}),
        "GET /containers/agent/logs": Recorded(409, {"message": "can not get logs from container which is dead"}),
    }
    with recorded_engine(tmp_path / "a.sock", answers) as engine:
        assert await pool.at(HostAddress("uid", "srv1", engine.endpoint, "1")).look_at_agent("agent") is None
        await pool.close()


async def test_connection_that_is_cut_is_tried_again(pool: EnginePool, tmp_path: Path) -> None:
    with recorded_engine(tmp_path / "a.sock", {"GET /info": CUT}) as engine:
        host = pool.at(HostAddress("uid", "srv1", engine.endpoint, "1"))
        with pytest.raises(Unreachable, match="srv1"):
            await host.look()
        engine.answers["GET /info"] = Recorded(body={"ID": "back"})
        assert (await host.look()).id == "back"
        await pool.close()
