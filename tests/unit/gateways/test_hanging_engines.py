"""Engines that accept and never answer: their callers are freed in time, and nobody else waits.

Run by pytest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from compose_backup.api import reasons
from compose_backup.errors import Stalled, Unreachable
from compose_backup.gateways.docker_host import EngineHost
from compose_backup.gateways.engine_pool import EnginePool
from compose_backup.gateways.engine_session import Limits
from compose_backup.planning.facts import AgentContainer, AgentMount, HostAddress
from fakes.recorded_engine import HANGS, Recorded, RecordedEngine, recorded_engine

pytestmark = pytest.mark.asyncio
AGENT = AgentContainer(
    name="agent",
    hostname="agent",
    image="agent:test",
    pull_policy="Never",
    labels={},
    mounts=(AgentMount("volume", "nfs", "/volumes/nfs", read_only=True),),
    capabilities=(),
    memory_bytes=2**28,
    cpus=1,
    network="none",
)
STARTABLE = {
    "GET /volumes/nfs": Recorded(body={"Name": "nfs"}),
    "POST /containers/create": Recorded(201, {"Id": "abc"}),
    "POST /containers/abc/attach": Recorded(101),
    "POST /containers/abc/start": Recorded(204),
    "DELETE /containers/abc": Recorded(204),
}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes the recorded engines in the end."""
    with ExitStack() as stack:
        yield stack


@pytest_asyncio.fixture
async def patient(stack: ExitStack) -> AsyncIterator[EnginePool]:
    """A gateway whose time limits never pass during a test; closed before the engines are."""
    del stack
    pool = EnginePool(threads=6)
    yield pool
    await pool.close()


@pytest_asyncio.fixture
async def impatient(stack: ExitStack) -> AsyncIterator[EnginePool]:
    """A gateway that gives up soon; closed before the engines are."""
    del stack
    pool = EnginePool(threads=2, limits=Limits(answer=0.2, work=0.4, pull=1))
    yield pool
    await pool.close()


def at(pool: EnginePool, engine: RecordedEngine) -> EngineHost:
    """Return the engine as the gateway shows it."""
    return pool.at(HostAddress(str(engine.socket), engine.socket.stem, engine.endpoint, "1"))


async def seen(engine: RecordedEngine, request: str) -> None:
    """Wait until the engine has got a request."""
    assert await asyncio.to_thread(engine.wait_for, request)


async def test_others_answer_while_some_hang(patient: EnginePool, stack: ExitStack, tmp_path: Path) -> None:
    dead = [
        stack.enter_context(recorded_engine(tmp_path / f"dead{number}.sock", {"GET /version": HANGS}))
        for number in range(5)
    ]
    alive = stack.enter_context(recorded_engine(tmp_path / "alive.sock"))
    waiting = [asyncio.create_task(at(patient, engine).look()) for engine in dead]
    for engine in dead:
        await seen(engine, "GET /version")
    facts = await at(patient, alive).look()
    assert facts.id == "recorded"
    assert not any(task.done() for task in waiting)
    for task in waiting:
        task.cancel()


async def test_caller_is_freed_and_told_which_host_hangs(
    impatient: EnginePool, stack: ExitStack, tmp_path: Path
) -> None:
    engine = stack.enter_context(recorded_engine(tmp_path / "srv1.sock", {"GET /info": HANGS}))
    with pytest.raises(Unreachable, match=r"host srv1 at unix://.* does not answer in time"):
        await at(impatient, engine).look()


async def test_calls_to_a_hanging_host_do_not_pile_up(impatient: EnginePool, stack: ExitStack, tmp_path: Path) -> None:
    engine = stack.enter_context(recorded_engine(tmp_path / "srv1.sock", {"GET /version": HANGS}))
    host = at(impatient, engine)
    results = await asyncio.gather(*(host.look() for _ in range(12)), return_exceptions=True)
    assert all(isinstance(result, Unreachable) for result in results)
    # Two at a time, each 0.2 s, for 0.6 s: the others gave up without ever being sent.
    assert len(engine.seen) < 12


async def test_host_that_answers_again_is_taken_at_once(
    impatient: EnginePool, stack: ExitStack, tmp_path: Path
) -> None:
    engine = stack.enter_context(recorded_engine(tmp_path / "srv1.sock", {"GET /info": HANGS}))
    with pytest.raises(Unreachable):
        await at(impatient, engine).look()
    engine.answers["GET /info"] = Recorded(body={"ID": "back"})
    assert (await at(impatient, engine).look()).id == "back"


async def test_start_that_hangs_is_a_mount_that_hangs(impatient: EnginePool, stack: ExitStack, tmp_path: Path) -> None:
    answers = {**STARTABLE, "POST /containers/abc/start": HANGS}
    engine = stack.enter_context(recorded_engine(tmp_path / "srv1.sock", answers))
    with pytest.raises(Stalled, match=r"host srv1 cannot mount .* mounting nfs did not end within") as raised:
        await at(impatient, engine).start_agent(AGENT, b"job")
    assert raised.value.reason == reasons.VOLUME_MOUNT_FAILED
    assert "DELETE /containers/abc" in engine.seen


async def test_host_can_be_looked_at_while_starts_hang(patient: EnginePool, stack: ExitStack, tmp_path: Path) -> None:
    answers = {**STARTABLE, "POST /containers/abc/start": HANGS}
    engine = stack.enter_context(recorded_engine(tmp_path / "srv1.sock", answers))
    starts = [asyncio.create_task(at(patient, engine).start_agent(AGENT, b"job")) for _ in range(3)]
    assert await asyncio.to_thread(engine.wait_for, "POST /containers/abc/start", 2)
    assert (await at(patient, engine).look()).id == "recorded"
    for start in starts:
        start.cancel()


async def test_agent_that_gets_no_job_is_removed(impatient: EnginePool, stack: ExitStack, tmp_path: Path) -> None:
    answers = {**STARTABLE, "POST /containers/abc/start": Recorded(500, {"message": "OCI runtime create failed"})}
    engine = stack.enter_context(recorded_engine(tmp_path / "srv1.sock", answers))
    with pytest.raises(Stalled, match="OCI runtime create failed") as raised:
        await at(impatient, engine).start_agent(AGENT, b"job")
    assert raised.value.reason == reasons.ENGINE_ERROR
    assert engine.seen[-1] == "DELETE /containers/abc"
