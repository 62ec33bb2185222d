"""Who may run when: each rule by itself, and what one that waits says. Run by pytest."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from typing import Any

import pytest

from compose_backup.api import reasons
from compose_backup.planning import turns
from compose_backup.planning.turns import HEAD_START, InLine, Party, Room, turn
from fakes import objects
from fakes.objects import status

NOON = dt.datetime(2026, 10, 13, 12, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
ONE, TWO, MANY = (Room(limit, "ComposeHost prod/srv1") for limit in (1, 2, 9))


def run(name: str, minute: float = 0, *volumes: str, **changes: Any) -> Party:
    """Return a run of a policy of its own that came some minutes after noon and waits."""
    given = Party("BackupRun", "prod", name, "e1", NOON + minute * MINUTE, "in line", policy=f"prod/{name}")
    return replace(given, volumes=frozenset(volumes), **changes)


def restore(name: str, minute: float = 0, *volumes: str, **changes: Any) -> Party:
    return replace(run(name, minute, *volumes, **changes), kind="RestoreRequest", policy=None)


def working(party: Party) -> Party:
    return replace(party, standing="at work", began=party.policy is not None)


def aside(party: Party) -> Party:
    return replace(party, standing="aside")


ME = run("me", 0, "data", services=frozenset({"shop/db"}))
MY_RESTORE = restore("me", 0, "data")
DB = {"services": frozenset({"shop/db"})}
LATER, EARLIER = 5, -5


@pytest.mark.parametrize(
    ("asking", "others", "room", "reason", "words"),
    [
        pytest.param(
            ME,
            [working(run("x", LATER, "data"))],
            MANY,
            reasons.VOLUMES_BUSY,
            "BackupRun prod/x is at work on data",
            id="its volume is read",
        ),
        pytest.param(
            ME,
            [working(restore("x", LATER, "data"))],
            MANY,
            reasons.RESTORE_ACTIVE,
            "RestoreRequest prod/x is at work on data",
            id="its volume is written",
        ),
        pytest.param(
            ME,
            [working(run("x", LATER, "logs", **DB))],
            MANY,
            reasons.SERVICES_BUSY,
            "BackupRun prod/x is at work, and has to do with shop/db as well",
            id="its service is down for another volume",
        ),
        pytest.param(
            ME,
            [working(run("x", LATER, policy=ME.policy))],
            MANY,
            reasons.PENDING,
            "BackupRun prod/x of the same policy is not finished",
            id="its policy is at work",
        ),
        pytest.param(
            ME,
            [working(run("x", LATER, policy=ME.policy, engine="e2"))],
            MANY,
            reasons.PENDING,
            "same policy",
            id="its policy is at work on another engine, where its host was before",
        ),
        pytest.param(
            ME,
            [aside(run("x", LATER, policy=ME.policy, began=True))],
            MANY,
            reasons.PENDING,
            "same policy",
            id="its policy is between two attempts",
        ),
        pytest.param(
            ME,
            [working(run("x", LATER)), working(run("y", LATER))],
            TWO,
            reasons.HOST_BUSY,
            "BackupRun prod/x, BackupRun prod/y at work on the engine; maxConcurrentRuns of ComposeHost prod/srv1 is 2",
            id="the engine is full",
        ),
        pytest.param(
            ME, [run("x", EARLIER)], ONE, reasons.HOST_BUSY, "x", id="an older one may begin and does at once"
        ),
        pytest.param(
            run("me", 0, "data"),
            [working(run("w", 0, "logs")), run("x", EARLIER, "logs", "data")],
            MANY,
            reasons.VOLUMES_BUSY,
            "BackupRun prod/x comes first on data",
            id="an older one waits for another volume, and has this one reserved",
        ),
        pytest.param(ME, [run("a", 0, "data")], MANY, reasons.VOLUMES_BUSY, "a", id="of one moment, the first by name"),
        pytest.param(ME, [restore("x", 1439, "data")], MANY, reasons.RESTORE_ACTIVE, "x", id="a restore goes first"),
        pytest.param(
            MY_RESTORE,
            [aside(restore("x", EARLIER, "data"))],
            MANY,
            reasons.RESTORE_ACTIVE,
            "RestoreRequest prod/x comes first on data",
            id="restores of one target keep their order, whatever holds the first up",
        ),
        pytest.param(
            MY_RESTORE,
            [replace(aside(restore("x", EARLIER)), volumes=None)],
            MANY,
            reasons.RESTORE_ACTIVE,
            "RestoreRequest prod/x comes first on volumes that it still looks for",
            id="an older restore still looks for its source",
        ),
    ],
)
def test_it_waits(asking: Party, others: list[Party], room: Room, reason: str, words: str) -> None:
    said = turn(asking, others, room)
    assert said is not None and said.reason == reason and words in said.message
    assert said.then == "wait" and said.behind == re.search(r"\w+ prod/\w+", said.message)[0]  # type: ignore[index]


@pytest.mark.parametrize(
    ("asking", "others", "room"),
    [
        pytest.param(ME, [], ONE, id="nobody is there"),
        pytest.param(ME, [working(run("x", EARLIER))], TWO, id="there is room, and nobody competes"),
        pytest.param(ME, [run("x", LATER, "data")], ONE, id="who came later waits"),
        pytest.param(ME, [working(run("x", EARLIER, "data", engine="e2"))], ONE, id="another engine"),
        pytest.param(ME, [aside(run("x", EARLIER, "data"))], ONE, id="who stands aside reserves nothing"),
        pytest.param(ME, [aside(restore("x", EARLIER, "data"))], ONE, id="nor does a restore that waits for a person"),
        pytest.param(
            ME,
            [working(run("w", 0, "logs")), run("x", EARLIER, "logs")],
            TWO,
            id="an older one waits for another volume",
        ),
        pytest.param(ME, [restore("x", 1441, "data")], ONE, id="a day is waited for no restore"),
        pytest.param(
            replace(ME, began=True),
            [run("x", EARLIER, "data", policy=ME.policy)],
            ONE,
            id="a run that comes back is not held up by one of its policy, whatever the clock said",
        ),
        pytest.param(
            ME,
            [aside(run("p", -9, policy="prod/x", began=True)), run("x", EARLIER, "data")],
            ONE,
            id="who waits for its own policy reserves nothing",
        ),
        pytest.param(MY_RESTORE, [aside(restore("x", EARLIER, "logs"))], ONE, id="another target"),
        pytest.param(MY_RESTORE, [aside(restore("x", LATER, "data"))], ONE, id="a younger restore"),
    ],
)
def test_it_may_begin(asking: Party, others: list[Party], room: Room) -> None:
    assert turn(asking, others, room) is None


def test_a_reservation_is_never_overtaken_for_ever() -> None:
    """Two volumes by turns in use, and one that wants both: it begins as soon as both are free."""
    both = run("both", 0, "data", "logs")
    at_work = {"data": working(run("d", EARLIER, "data")), "logs": working(run("l", EARLIER, "logs"))}
    for hour in range(1, 50):
        volume = ("data", "logs")[hour % 2]
        at_work.pop(volume, None)  # its user ends, and a younger one asks for it before anybody else
        younger = run(f"n{hour}", hour, volume)
        if turn(younger, [*at_work.values(), both], MANY) is None:
            at_work[volume] = working(younger)
        if turn(both, [*at_work.values(), younger], MANY) is None:
            return
    pytest.fail("it was overtaken for ever")


def test_the_place_counts_those_who_wait_before_it() -> None:
    line = [run(str(number), number, "data") for number in range(30)]
    said = [turn(one, [working(run("w", EARLIER, "data")), *line], MANY) for one in line]
    assert [one.place for one in said if one] == list(range(1, 31))
    last = said[29]
    assert last and last.queue == "over 20, after BackupRun prod/28"
    assert last.message == "place over 20 in the queue: BackupRun prod/28 comes first on data"
    assert said[0] and said[0].queue == "1, after BackupRun prod/w"


def test_nobody_is_written_each_time_the_queue_moves() -> None:
    """Hundreds that wait for one volume: what the last one says while one after the other begins."""
    line = [run(f"{number:04}", number, "data") for number in range(300)]
    told = set()
    for done in range(299):
        said = turn(line[-1], [working(line[done]), *line[done + 1 : -1]], ONE)
        assert said is not None
        told.add((said.reason, said.message, said.queue))
    assert len(told) <= 16


@pytest.mark.parametrize(
    ("place", "expected"), [(1, "1"), (10, "10"), (11, "over 10"), (20, "over 10"), (21, "over 20"), (999, "over 640")]
)
def test_far_back_a_place_is_told_roughly(place: int, expected: str) -> None:
    assert turns.told(place) == expected


def test_two_hosts_on_one_engine_share_the_smaller_number() -> None:
    roomy, narrow = objects.host(maxConcurrentRuns=5), objects.host("twin", maxConcurrentRuns=2)
    elsewhere = status(objects.host("far"), engine=objects.ENGINE.model_copy(update={"id": "engine-2"}))
    assert turns.room_of(roomy, [roomy, narrow, elsewhere]) == Room(2, "ComposeHost prod/twin")


def test_a_head_start_ends() -> None:
    waiting = run("me", 0, "data")
    younger = replace(restore("x", 0, "data"), came=NOON + HEAD_START + MINUTE)
    assert turn(waiting, [younger], ONE) is None and isinstance(turn(younger, [waiting], ONE), InLine)
