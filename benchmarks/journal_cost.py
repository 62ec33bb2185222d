"""What the journal costs a run: its volume with the plan in a label, what the agent writes to it, and its end.

The volume is made and removed through the operator's gateway on a real engine. The agent's writes are those for three
services, each synced to the disk. Run alone, or by run.py.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compose_backup.agent.quiesce.journal import Journal
from compose_backup.api.journal import JournalPlan, Step
from compose_backup.api.kinds import BACKUP_RUN
from compose_backup.gateways.engine_pool import EnginePool
from compose_backup.planning.facts import HostAddress
from compose_backup.planning.journals import volume_of
from compose_backup.planning.labels import Owner
from figures import Figure, main, median_of
from realparts import ground
from realparts.engine import Engine
from stage import STATE
from unit.agent.quiesce_scene import plan

RUNS = 11
MUST_MILLISECONDS = 300.0
OF_A_SERVICE: tuple[Step, ...] = ("going-down", "down", "coming-up", "up")


@dataclass(frozen=True)
class Cost:
    """Milliseconds of one run."""

    created: float
    written: float
    removed: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.created + self.written + self.removed


def measure() -> Sequence[Figure]:
    """Make one journal after the other. The first one is not counted: it opens the connection."""
    with ground.lent(STATE) as basis:
        costs = asyncio.run(_costs(basis.engine))[1:]
    return (
        median_of("journal_of_a_run", [one.total for one in costs], "ms", MUST_MILLISECONDS),
        median_of("journal_volume_created", [one.created for one in costs], "ms"),
        median_of("journal_written", [one.written for one in costs], "ms"),
        median_of("journal_volume_removed", [one.removed for one in costs], "ms"),
    )


async def _costs(engine: Engine) -> list[Cost]:
    pool = EnginePool(threads=2)
    try:
        return [await _cost(engine, pool) for _ in range(RUNS + 1)]
    finally:
        await pool.close()


async def _cost(engine: Engine, pool: EnginePool) -> Cost:
    host = pool.at(HostAddress("benchmark", "srv1", engine.docker_host, "1"))
    planned = plan()
    owner = Owner(BACKUP_RUN.name, "benchmark", "run", f"benchmark-{uuid.uuid4()}")
    volume = volume_of(planned, owner, "benchmark")
    began = time.perf_counter()
    await host.create_volume(volume)
    created = time.perf_counter() - began
    try:
        directory = engine.docker("volume", "inspect", "--format", "{{.Mountpoint}}", volume.name)
        began = time.perf_counter()
        _write(Path(directory), planned)
        written = time.perf_counter() - began
    finally:
        began = time.perf_counter()
        await host.remove_volume(volume.name)
        removed = time.perf_counter() - began
    return Cost(1000 * created, 1000 * written, 1000 * removed)


def _write(directory: Path, planned: JournalPlan) -> None:
    """Write what an agent writes that takes services down and brings them back, one after the other."""
    journal = Journal(str(directory), lambda _: None)
    journal.open(planned)
    for step in OF_A_SERVICE:
        for service in planned.services:
            journal.write(step, container=service.container_id)
    journal.write("resumed")
    journal.write("closed")


if __name__ == "__main__":
    main(measure)
