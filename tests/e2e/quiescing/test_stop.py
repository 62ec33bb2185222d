"""A run stops what writes, dependants first, and starts it again in reverse; how long that took is what services saw.

Run by pytest.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import pytest

from chaos.project import ASLEEP, SERVICES, WRITERS
from e2e.scene import Document
from e2e.shop import Shop

AS_SEEN_INSIDE = 0.5
GO_DOWN = {name for name, service in SERVICES.items() if service.goes_down}


def at(time: str) -> float:
    """Return a time of the API in seconds since the epoch."""
    return dt.datetime.fromisoformat(time).timestamp()


@dataclass(frozen=True)
class Ran:
    """A good run of the shop, and what was seen meanwhile."""

    shop: Shop
    run: Document
    mark: int
    started_before: dict[str, str]


@pytest.fixture(scope="module")
def ran(open_shop: Shop) -> Ran:
    """One run with the defaults: every test here looks at it from another side."""
    open_shop.stage.declare(open_shop.policy())
    started, mark = open_shop.started_at(), open_shop.watch.mark()
    run = open_shop.stage.archive()
    open_shop.wait_until_back()
    return Ran(open_shop, run, mark, started)


def test_dependants_go_down_first_and_come_up_last(ran: Ran) -> None:
    stops, starts = ran.shop.events(ran.mark, "kill"), ran.shop.events(ran.mark, "start")
    assert set(stops) == set(starts) == GO_DOWN
    for above in ("web", "sidecar"):
        assert stops.index(above) < stops.index("db"), stops
        assert starts.index("db") < starts.index(above), starts
    assert starts.count("worker") == 2


def test_only_what_ran_is_started(ran: Ran) -> None:
    started = ran.shop.started_at()
    changed = {ran.shop.service(name) for name, time in started.items() if time != ran.started_before[name]}
    assert changed == GO_DOWN
    (asleep,) = ran.shop.names(ASLEEP)
    assert not ran.shop.inspected(asleep)["State"]["Running"]


def test_the_downtime_is_what_a_writer_inside_has_seen(ran: Ran) -> None:
    told = {one["container"]: one for one in ran.run["status"]["quiesce"]["services"]}
    assert {ran.shop.service(name) for name in told} == GO_DOWN
    seen = {}
    for name in ran.shop.names("db", "web", "mapped"):
        # The agent counts from its request; on a busy machine the engine takes a while to pass on the signal.
        until_signalled = ran.shop.signalled(ran.mark, name) - at(told[name]["downTime"])
        start, late = ran.shop.starts(name)[-1], max(0.0, until_signalled)
        seen[name] = start.gone_seconds + late
        # Docker calls it started somewhere between its process and its first line of Python.
        least, most = seen[name] - AS_SEEN_INSIDE, start.down_seconds + late + AS_SEEN_INSIDE
        assert least <= told[name]["downtimeSeconds"] <= most, name
    longest = ran.run["status"]["quiesce"]["downtimeSeconds"]
    assert longest == pytest.approx(max(one["downtimeSeconds"] for one in told.values()), abs=0.01)
    assert max(seen.values()) - AS_SEEN_INSIDE <= longest


def test_kubectl_shows_the_downtime(ran: Ran) -> None:
    header, row = ran.shop.scene.kubectl("get", "backuprun", ran.run["metadata"]["name"]).splitlines()[:2]
    at = header.index("DOWNTIME")
    shown = row[at:].split()[0]
    assert shown == ran.run["status"]["downtime"]
    assert abs(_seconds(shown) - ran.run["status"]["quiesce"]["downtimeSeconds"]) <= 1.0


def test_the_copy_is_whole_and_ends_where_services_rested(ran: Ran, tmp_path: Path) -> None:
    assert ran.run["status"]["consistency"] == "Stopped"
    copies = ran.shop.copies(ran.run, tmp_path)
    for name in ran.shop.names(*WRITERS):
        volume = ran.shop.project.volume(SERVICES[ran.shop.service(name)].volume or "")
        assert copies[volume][ran.shop.file(name)] == ran.shop.starts(name)[-1].number, name


def test_nothing_is_left_on_the_host(ran: Ran) -> None:
    ran.shop.wait_until_tidy()


def _seconds(text: str) -> float:
    """Read `12s`, `1m2s` or `1.4s`."""
    minutes, _, rest = text.rpartition("m")
    return 60 * float(minutes or 0) + float(rest.removesuffix("s") or 0)
