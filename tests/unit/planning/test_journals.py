"""When the journal of another run or restore is in the way."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from compose_backup.api.journal import JournalPlan, PlannedService
from compose_backup.planning.facts import Container, Inventory, Mount, Volume
from compose_backup.planning.journals import in_the_way, volume_of
from compose_backup.planning.labels import Owner

NOW = dt.datetime(2026, 10, 13, 2, 0, tzinfo=dt.UTC)
HOUR, SECOND = dt.timedelta(hours=1), dt.timedelta(seconds=1)


def plan(uid: str, purpose: Any = "run", at: dt.datetime = NOW, container: str = "db") -> JournalPlan:
    service = PlannedService(container_id=container, name=container, method="Stop", started_at="t1", level=0)
    return JournalPlan(
        purpose=purpose, owner=uid, agent=f"compose-backup-{purpose}-{uid}", made_at=at, method="Stop",
        services=(service,),
    )  # fmt: skip


def engine(other: JournalPlan, db: str = "running", agent: str | None = None, started_at: str = "t1") -> Inventory:
    """Return an engine with somebody else's journal, its agent in this state, and the container in that one."""
    mounts = (Mount("data", "/x", writable=True),)
    found = [Container("db", "db", "i", db, started_at, mounts=mounts), Container("web", "web", "i", "running", "t1")]
    if agent:
        found.append(Container("agent", other.agent, "i", agent))
    journal = volume_of(other, Owner("BackupRun", "n", other.owner, other.owner), "theirs")
    return Inventory((Volume("data"), journal), tuple(found))


EARLIER, LATER = plan("b", at=NOW - HOUR), plan("b", at=NOW + SECOND)
RESTORE = plan("b", "restore", at=NOW - HOUR)


@pytest.mark.parametrize(
    ("look", "only_older", "forbids"),
    [
        pytest.param(engine(EARLIER, agent="running"), False, True, id="it is at work"),
        pytest.param(engine(EARLIER, agent="running"), True, True, id="it is at work, just before the stop"),
        pytest.param(engine(LATER, agent="running"), False, True, id="whoever is there comes first"),
        pytest.param(engine(LATER, agent="running"), True, False, id="it is younger, just before the stop"),
        pytest.param(engine(LATER, db="exited", agent="running"), True, True, id="it is younger, but has stopped it"),
        pytest.param(engine(plan("b"), agent="running"), True, False, id="of the same moment, the second by name"),
        pytest.param(engine(plan("0"), agent="running"), True, True, id="of the same moment, the first by name"),
        pytest.param(engine(plan("b", at=NOW - SECOND)), False, True, id="its agent is about to be made"),
        pytest.param(engine(LATER), False, True, id="made by a clock that is ahead"),
        pytest.param(engine(plan("b", at=NOW - SECOND), agent="created"), False, True, id="its agent was just made"),
        pytest.param(engine(plan("b", at=NOW - SECOND), agent="exited"), False, False, id="its agent has ended"),
        pytest.param(engine(EARLIER), False, False, id="it has been left over, and nothing is owed"),
        pytest.param(engine(EARLIER, db="exited"), False, False, id="a backup has left it down"),
        pytest.param(engine(RESTORE, db="exited"), False, True, id="a restore keeps it down"),
        pytest.param(engine(RESTORE, db="exited", started_at="t2"), False, False, id="a person has stopped it since"),
        pytest.param(engine(plan("b", container="web"), agent="running"), False, False, id="of other containers"),
        pytest.param(engine(plan("a"), agent="running"), False, False, id="our own"),
    ],
)
def test_in_the_way_of_a_backup(look: Inventory, only_older: bool, forbids: bool) -> None:
    found = in_the_way(plan("a"), ("data",), look, only_older=only_older)
    assert (found is not None) is forbids


def test_a_restore_takes_over_what_a_restore_keeps_down() -> None:
    assert in_the_way(plan("a", "restore"), ("data",), engine(RESTORE, db="exited")) is None
    assert in_the_way(plan("a", "restore"), ("data",), engine(RESTORE, db="exited", agent="running")) == RESTORE


def test_containers_that_use_our_volumes_count_although_they_are_not_in_our_plan() -> None:
    mine = plan("a").model_copy(update={"services": ()})
    assert in_the_way(mine, ("data",), engine(EARLIER, agent="running")) == EARLIER
    assert in_the_way(mine, ("other",), engine(EARLIER, agent="running")) is None
