"""What runs and restores mean to others: how they stand, and what they want, as far as known. Run by pytest."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from compose_backup.api import reasons
from compose_backup.api.backup_policy import Quiesce, ServiceQuiesce
from compose_backup.api.journal import JournalPlan, PlannedService
from compose_backup.api.resources import Restore, Run
from compose_backup.planning import competitors, journals
from compose_backup.planning.competitors import NOTHING_SEEN, Place, Usage
from compose_backup.planning.facts import PROJECT_LABEL, SERVICE_LABEL, Container, Inventory, Mount, Volume
from compose_backup.planning.labels import PURPOSE, Owner, agent_name
from fakes import objects
from fakes.objects import resolved_restore, resolved_run, status

NOW = dt.datetime(2026, 10, 13, 2, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
PLACE = Place(objects.host(), objects.repository())
RUN, RESTORE = objects.run(), objects.restore()
BEGUN = status(RUN, resolved=resolved_run("shop_data"), phase="Running")
FOUND = status(RESTORE, resolved=resolved_restore("shop_data"), phase="Pending")


def said(reason: str) -> dict[str, Any]:
    return {"conditions": objects.ready("Unknown", reason, "so it is")}


@pytest.mark.parametrize(
    ("run", "place", "expected"),
    [
        pytest.param(RUN, PLACE, "in line", id="not looked at yet"),
        pytest.param(status(RUN, **said(reasons.HOST_BUSY)), PLACE, "in line", id="it waits for its turn"),
        pytest.param(status(RUN, **said(reasons.HOST_NOT_READY)), PLACE, "in line", id="its host is ready by now"),
        pytest.param(
            status(RUN, **said(reasons.HOST_BUSY)),
            replace(PLACE, repository=None),
            "aside",
            id="no repository any more",
        ),
        pytest.param(status(RUN, **said(reasons.SECRET_NOT_FOUND)), PLACE, "aside", id="it lacks its Secret"),
        pytest.param(BEGUN, replace(PLACE, host=None), "at work", id="at work, whatever became of its host"),
        pytest.param(status(BEGUN, phase="Resuming"), PLACE, "at work", id="it starts its services again"),
        pytest.param(
            status(BEGUN, retry_at=NOW + MINUTE, **said(reasons.RUNNING)), PLACE, "aside", id="between two attempts"
        ),
        pytest.param(
            status(BEGUN, retry_at=NOW, **said(reasons.RUNNING)), PLACE, "in line", id="its next attempt is due"
        ),
        pytest.param(
            status(BEGUN, retry_at=NOW, phase="Pending", **said(reasons.STOPPED_BY_ANOTHER)),
            PLACE,
            "aside",
            id="another installation has its services down",
        ),
    ],
)
def test_how_a_run_stands(run: Run, place: Place, expected: str) -> None:
    assert competitors.of_run(run, objects.policy(), place, NOW).standing == expected


@pytest.mark.parametrize(
    ("restore", "expected"),
    [
        pytest.param(FOUND, "in line", id="found"),
        pytest.param(status(FOUND, **said(reasons.VOLUME_IN_USE)), "aside", id="it waits for a person"),
        pytest.param(status(FOUND, phase="Running"), "at work", id="at work"),
        pytest.param(status(RESTORE, **said(reasons.PROGRESSING)), "aside", id="it searches"),
        pytest.param(status(RESTORE, **said(reasons.REPOSITORY_NOT_READY)), None, id="it cannot even search"),
    ],
)
def test_how_a_restore_stands(restore: Restore, expected: str | None) -> None:
    party = competitors.of_restore(restore, PLACE)
    assert (party.standing if party else None) == expected


def test_a_run_that_waits_wants_what_its_policy_matched_last() -> None:
    matched = status(objects.policy(), volumes=("shop_data", "shop_db"))
    assert competitors.of_run(RUN, matched, PLACE, NOW).volumes == frozenset({"shop_data", "shop_db"})
    assert competitors.of_run(RUN, objects.policy(), PLACE, NOW).volumes is None
    assert competitors.of_run(BEGUN, matched, PLACE, NOW).volumes == frozenset({"shop_data"})


def test_a_restore_that_searches_wants_what_it_names_or_anything() -> None:
    named = objects.restore(target={"volumes": [{"source": "a", "target": "b"}, {"source": "c"}]})
    wanted = [competitors.of_restore(one, PLACE) for one in (named, RESTORE)]
    assert [one.volumes if one else "none" for one in wanted] == [frozenset({"b", "c"}), None]


def container(service: str, *mounts: Mount, purpose: str | None = None) -> Container:
    marks = {PROJECT_LABEL: "shop", SERVICE_LABEL: service} | ({PURPOSE: purpose} if purpose else {})
    return Container(service, f"shop-{service}-1", "i", "exited", labels=marks, mounts=mounts)


ON_DISK = Volume("on_disk", options={"type": "none", "o": "bind", "device": "/srv/shop"})
USAGE = Usage(
    Inventory(
        (Volume("shop_data"), ON_DISK),
        (
            container("db", Mount("shop_data", "/x", writable=True)),
            container("reader", Mount("shop_data", "/x", writable=False)),
            container("disk", Mount(None, "/srv", writable=True)),
            container("agent", Mount("shop_data", "/x", writable=True), purpose="run"),
        ),
    )
)
DB_GOES_ON = Quiesce(services=(ServiceQuiesce(project="shop", service="db", method="None"),))
AND_CACHE = Quiesce(services=(ServiceQuiesce(project="shop", service="cache"),))


@pytest.mark.parametrize(
    ("purpose", "volumes", "quiesce", "expected"),
    [
        pytest.param("run", ["shop_data"], Quiesce(), {"shop/db"}, id="who writes"),
        pytest.param("restore", ["shop_data"], Quiesce(), {"shop/db", "shop/reader"}, id="who uses"),
        pytest.param("run", ["on_disk"], Quiesce(), {"shop/disk"}, id="who mounts the disk behind"),
        pytest.param("run", ["shop_data"], Quiesce(method="None"), set(), id="a live copy"),
        pytest.param("run", ["shop_data"], DB_GOES_ON, set(), id="one that goes on"),
        pytest.param("run", ["shop_data"], AND_CACHE, {"shop/db", "shop/cache"}, id="one that is named"),
        pytest.param("run", ["gone"], Quiesce(), set(), id="a volume that nobody has seen"),
    ],
)
def test_services(purpose: competitors.Purpose, volumes: list[str], quiesce: Quiesce, expected: set[str]) -> None:
    assert USAGE.services(purpose, volumes, quiesce) == expected
    assert not NOTHING_SEEN.services(purpose, volumes, Quiesce())


def test_one_at_work_holds_what_its_journal_names() -> None:
    joined = PlannedService(container_id="p", name="proxy", method="Stop", started_at="", level=0)
    plan = JournalPlan(
        purpose="run",
        owner="BackupRun prod/x",
        agent=agent_name("run", BEGUN.uid),
        made_at=NOW,
        method="Stop",
        services=(joined,),
    )
    journal = journals.volume_of(plan, Owner("BackupRun", "prod", "x", BEGUN.uid), "installation")
    place = replace(PLACE, usage=Usage(Inventory((journal,))))
    assert competitors.of_run(BEGUN, None, place, NOW).services == {"proxy"}
    assert (
        competitors.of_run(status(objects.run("other"), resolved=BEGUN.status.resolved), None, place, NOW).services
        == set()
    )
