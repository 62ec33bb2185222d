"""The order of going down and coming up, and what is owed after an interruption anywhere in it.

Run by pytest; most of it over random sets of containers.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compose_backup.api.backup_policy import Quiesce
from compose_backup.api.compose_host import Permit
from compose_backup.api.journal import JournalPlan, PlannedService, RestartPolicy
from compose_backup.planning import ordering
from compose_backup.planning.facts import Container, Inventory, Mount, Volume
from compose_backup.planning.quiescing import Intent, make_plan
from compose_backup.planning.resuming import coming_up, owed

NOW = dt.datetime(2026, 10, 13, 2, 0, tzinfo=dt.UTC)
STATES = ("running", "running", "running", "restarting", "paused", "exited", "created")


def container(number: int, needs: frozenset[int], joins: frozenset[int], state: str, *, writes: bool) -> Container:
    """Return the container of service `s<number>`, which needs the services of lower numbers."""
    depends = ",".join(f"s{one}:service_started:true" for one in sorted(needs))
    labels = {
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": f"s{number}",
        "com.docker.compose.depends_on": depends,
    }
    mounts = (Mount("data", "/x", writable=True),) if writes else ()
    joined = tuple(f"id-{one}" for one in joins)
    return Container(f"id-{number}", f"shop-s{number}-1", "i", state, f"t{number}", labels, mounts, joined=joined)


@st.composite
def projects(draw: Any) -> tuple[Container, ...]:
    """Draw a project whose services need only services of lower numbers."""
    count = draw(st.integers(1, 8))
    found = []
    for number in range(count):
        below = st.frozensets(st.integers(0, number - 1), max_size=3) if number else st.just(frozenset())
        joins = draw(below) if draw(st.integers(0, 3)) == 0 else frozenset()
        state = draw(st.sampled_from(STATES))
        found.append(container(number, draw(below), joins, state, writes=draw(st.booleans())))
    return tuple(draw(st.permutations(found)))


def plan_for(containers: tuple[Container, ...], method: Any) -> JournalPlan:
    quiesce = Quiesce(method=method)
    wanted = Intent("run", "BackupRun prod/n", "compose-backup-run-uid", 1, ("data",), quiesce, Permit())
    made = make_plan(wanted, Inventory((Volume("data"),), containers), containers, NOW)
    assert isinstance(made, JournalPlan), made
    return made


def needs(container: Container, containers: tuple[Container, ...]) -> set[str]:
    """Return everything that a container needs, found in another way than the product does."""
    by_service = {f"s{one.id.removeprefix('id-')}": one for one in containers}
    by_id = {one.id: one for one in containers}
    direct = [by_service[name] for name in container.dependencies] + [by_id[name] for name in container.joined]
    return {one.id for one in direct}.union(*(needs(one, containers) for one in direct))


@settings(max_examples=60, deadline=None)
@given(projects(), st.sampled_from(["Stop", "Pause"]))
def test_dependants_go_down_first_and_come_up_last(containers: tuple[Container, ...], method: str) -> None:
    plan = plan_for(containers, method)
    goes_down = {one.container_id: place for place, one in enumerate(plan.services)}
    comes_up = {one.container_id: place for place, one in enumerate(coming_up(plan.services))}
    level = {one.container_id: one.level for one in plan.services}
    for one in containers:
        for needed in needs(one, containers) & goes_down.keys():
            if one.id in goes_down:
                assert goes_down[one.id] < goes_down[needed] and comes_up[needed] < comes_up[one.id]
                assert level[one.id] < level[needed]


@dataclass
class Engine:
    """The containers of an engine, stopped and started as Docker does it."""

    containers: dict[str, Container]
    starts: int = 0

    def down(self, service: PlannedService) -> None:
        """Stop or pause a container."""
        self._change(service.container_id, state="exited" if service.method == "Stop" else "paused")

    def up(self, service: PlannedService) -> None:
        """Start or unpause a container; only a start changes StartedAt."""
        self.starts += 1
        started = {"started_at": f"start {self.starts}"} if service.method == "Stop" else {}
        self._change(service.container_id, state="running", **started)

    def _change(self, identity: str, **changes: Any) -> None:
        self.containers[identity] = replace(self.containers[identity], **changes)


@settings(max_examples=60, deadline=None)
@given(projects(), st.sampled_from(["Stop", "Pause"]), st.data())
def test_what_is_owed_after_an_interruption_is_what_we_have_stopped(
    containers: tuple[Container, ...], method: str, data: st.DataObject
) -> None:
    plan = plan_for(containers, method)
    engine = Engine({one.id: one for one in containers})
    acts = [(engine.down, one) for one in plan.services] + [(engine.up, one) for one in coming_up(plan.services)]
    down: set[str] = set()
    for act, service in acts[: data.draw(st.integers(0, len(acts)))]:
        act(service)
        down = down | {service.container_id} if act == engine.down else down - {service.container_id}
    left = owed(plan, engine.containers.values())
    assert {one.container_id for one in left} == down and list(left) == list(coming_up(left))
    for service in left:
        engine.up(service)
    assert owed(plan, engine.containers.values()) == ()
    ours = {one.container_id for one in plan.services}
    assert all(engine.containers[one.id] == one for one in containers if one.id not in ours)


def service(method: Any = "Stop", started_at: str = "t1") -> PlannedService:
    return PlannedService(container_id="c", name="db", method=method, started_at=started_at, level=0)


def seen(state: str, started_at: str = "t1", identity: str = "c") -> Container:
    return Container(identity, "db", "i", state, started_at)


@pytest.mark.parametrize(
    ("planned", "container", "tried", "is_owed"),
    [
        pytest.param(service(), seen("exited"), {}, True, id="stopped by us"),
        pytest.param(service(), seen("running"), {}, False, id="not stopped yet"),
        pytest.param(service(), seen("running", "t2"), {}, False, id="started by somebody"),
        pytest.param(service(), seen("exited", "t2"), {}, False, id="started and stopped by somebody"),
        pytest.param(
            service(),
            replace(seen("exited", "t4"), restart_policy=RestartPolicy(name="on-failure", maximum_retry_count=3)),
            {"c": "t2"},
            True,
            id="started by us, and by Docker until it gave up",
        ),
        pytest.param(service(), seen("exited", identity="d"), {}, False, id="made anew"),
        pytest.param(service(), seen("paused"), {}, False, id="paused by somebody before it was stopped"),
        pytest.param(service(), seen("restarting", "t2"), {}, False, id="Docker starts it"),
        pytest.param(service(), seen("removing"), {}, False, id="being removed"),
        pytest.param(service("Pause"), seen("paused"), {}, True, id="paused by us"),
        pytest.param(service("Pause"), seen("running"), {}, False, id="not paused, or let go"),
        pytest.param(service("Pause"), seen("exited"), {}, False, id="stopped by somebody while it was paused"),
        pytest.param(service("Pause"), seen("paused", "t2"), {}, False, id="started and paused by somebody"),
        pytest.param(service(), seen("exited", "t2"), {"c": "t2"}, True, id="a start of ours that did not last"),
        pytest.param(service(), seen("exited", "t3"), {"c": "t2"}, False, id="started by somebody after our try"),
        pytest.param(service(started_at=""), seen("exited", "t7"), {}, True, id="it crashed all the time"),
        pytest.param(service(started_at=""), seen("running", "t7"), {}, False, id="it crashed, and runs"),
    ],
)
def test_who_owes(planned: PlannedService, container: Container, tried: dict[str, str], is_owed: bool) -> None:
    plan = JournalPlan(purpose="run", owner="o", agent="a", made_at=NOW, method="Stop", services=(planned,))
    assert bool(owed(plan, (container,), tried)) is is_owed


def linked(**needs: str) -> list[Container]:
    """Return one container per service, with what it needs."""
    marks = "com.docker.compose."
    return [
        Container(name, name, "i", "running", labels={
            f"{marks}project": "p", f"{marks}service": name, f"{marks}depends_on": depends,
        })
        for name, depends in needs.items()
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("containers", "planned", "expected"),
    [
        pytest.param(linked(web="api", api="db", db=""), "web api db", {"web": 0, "api": 1, "db": 2}, id="a row"),
        pytest.param(linked(web="api", api="db", db=""), "web db", {"web": 0, "db": 1}, id="across one that stays"),
        pytest.param(linked(a="", b=""), "a b", {"a": 0, "b": 0}, id="side by side"),
        pytest.param(linked(a="b", b="a"), "a b", {"a": 0, "b": 1}, id="a circle"),
        pytest.param(linked(a="b", b="a", c="a"), "a b c", {"c": 0, "a": 1, "b": 2}, id="a circle below"),
        pytest.param(linked(a="a"), "a", {"a": 0}, id="on itself"),
        pytest.param(linked(a="gone"), "a", {"a": 0}, id="on nothing"),
        pytest.param(
            linked(web="db:service_healthy:true,redis:service_started:false", db="", redis=""), "web db redis",
            {"web": 0, "db": 1, "redis": 1}, id="with conditions",
        ),
    ],
)  # fmt: skip
def test_levels(containers: list[Container], planned: str, expected: dict[str, int]) -> None:
    wanted = [one for one in containers if one.name in planned.split()]
    assert ordering.levels(wanted, containers) == expected


def test_services_of_one_name_in_two_projects_have_nothing_to_do_with_each_other() -> None:
    web, _ = linked(web="db", db="")
    other = replace(web, id="x", labels=dict(web.labels) | {"com.docker.compose.project": "q"})
    db = replace(linked(db="")[0], labels=dict(linked(db="")[0].labels) | {"com.docker.compose.project": "q"})
    assert ordering.levels([web, db, other], [web, db, other]) == {"web": 0, "db": 1, "x": 0}


def test_replicas_are_of_one_level() -> None:
    web, db = linked(web="db", db="")
    second = replace(db, id="db2", name="db2")
    assert ordering.levels([web, db, second], []) == {"web": 0, "db": 1, "db2": 1}


@pytest.mark.parametrize("reference", ["a" * 64, "a" * 12, "one"], ids=["whole-id", "short-id", "name"])
def test_who_is_joined(reference: str) -> None:
    one = Container("a" * 64, "one", "i", "running")
    two = Container("b" * 64, "two", "i", "running", joined=(reference,))
    assert {c.name for c in ordering.with_joined([one], [one, two])} == {"one", "two"}
    assert ordering.levels([one, two], []) == {two.id: 0, one.id: 1}
