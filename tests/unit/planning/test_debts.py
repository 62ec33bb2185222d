"""What the host does about a journal whose run or restore has ended."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from compose_backup.api import reasons
from compose_backup.api.backup_policy import Hook
from compose_backup.api.compose_host import Unresumed
from compose_backup.api.journal import JournalPlan, PlannedService, RestartPolicy
from compose_backup.api.restore_request import RestoredVolume
from compose_backup.planning import debts, wholeness
from compose_backup.planning.debts import Debt, judge, tried
from compose_backup.planning.facts import Container, Inventory
from compose_backup.planning.journals import plan_of, volume_of
from compose_backup.planning.labels import Owner

NOW = dt.datetime(2026, 10, 13, 2, 0, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
OWNER = Owner("BackupRun", "prod", "nightly-1", "uid-1")
ALWAYS = RestartPolicy(name="always")
DB = PlannedService(
    container_id="c-db", name="shop-db-1", project="shop", service="db", method="Stop", started_at="t1", level=1,
    restart_policy=ALWAYS,
)  # fmt: skip
WEB = DB.model_copy(update={"container_id": "c-web", "name": "shop-web-1", "service": "web", "level": 0})
SLOW = DB.model_copy(update={"stop_seconds": 60})
HOOK = Hook(project="shop", service="db", command=("true",))


def plan(purpose: Any = "run", **changes: Any) -> JournalPlan:
    given = {
        "purpose": purpose, "owner": "BackupRun prod/nightly-1", "agent": f"compose-backup-{purpose}-uid-1",
        "made_at": NOW, "method": "Stop", "services": (WEB, DB), "volumes": ("shop_data",),
    }  # fmt: skip
    return JournalPlan.model_validate(given | changes)


def body(phase: str = "Failed", uid: str = "uid-1", **status: Any) -> dict[str, Any]:
    return {"metadata": {"uid": uid}, "status": {"phase": phase} | status}


def debt(purpose: Any = "run", owner: dict[str, Any] | None = None, **changes: Any) -> Debt:
    given: dict[str, Any] = {"journal": "j", "plan": plan(purpose), "owner": OWNER, "body": owner}
    return Debt(**given | changes)


def seen(service: PlannedService, state: str = "exited", started_at: str = "t1", policy: str = "always") -> Container:
    return Container(
        service.container_id, service.name, "i", state, started_at, restart_policy=RestartPolicy(name=policy)
    )


def agent(name: str, state: str) -> Container:
    return Container(name, name, "i", state)


BOTH_DOWN = Inventory(containers=(seen(DB), seen(WEB)))
BOTH_UP = Inventory(containers=(seen(DB, "running", "t2"), seen(WEB, "running", "t2")))


MARK = wholeness.made(wholeness.mark_of(OWNER, "x"), [RestoredVolume(name="shop_data", phase="Succeeded")])
MARKED = replace(BOTH_DOWN, volumes=(MARK,))


def with_agent(name: str, state: str = "running") -> Inventory:
    return Inventory(containers=(*BOTH_DOWN.containers, agent(name, state)))


NEWER = plan("restore", agent="compose-backup-restore-uid-2", services=(DB,))
TAKEN_OVER = replace(
    with_agent("compose-backup-restore-uid-2"), volumes=(volume_of(NEWER, replace(OWNER, uid="uid-2"), "x"),)
)
DOWN = ["shop-db-1", "shop-web-1"]
INCOMPLETE: dict[str, Any] = {"failure": {"reason": reasons.TARGET_INCOMPLETE}}
STUCK: dict[str, Any] = {"failure": {"reason": reasons.SERVICE_NOT_RESUMED}, "volumes": [{"phase": "Succeeded"}]}
SPOILT: dict[str, Any] = {"volumes": [{"phase": "Succeeded"}, {"phase": "TargetIncomplete"}]}


@pytest.mark.parametrize(
    ("wanted", "look", "action", "start"),
    [
        pytest.param(debt(owner=body("Running")), BOTH_DOWN, "wait", [], id="its owner is at work"),
        pytest.param(debt(owner=body("Resuming")), BOTH_DOWN, "wait", [], id="its owner resumes"),
        pytest.param(debt(), with_agent("compose-backup-run-uid-1"), "wait", [], id="its agent lives"),
        pytest.param(debt(), with_agent("compose-backup-cleanup-uid-1"), "wait", [], id="a cleanup is at work"),
        pytest.param(debt(), TAKEN_OVER, "wait", [], id="another agent has them down"),
        pytest.param(debt(), with_agent("compose-backup-run-uid-1", "exited"), "start", DOWN, id="its agent is dead"),
        pytest.param(debt(), BOTH_DOWN, "start", DOWN, id="its owner is gone"),
        pytest.param(debt(owner=body("Running", uid="uid-2")), BOTH_DOWN, "start", DOWN, id="its owner was made anew"),
        pytest.param(debt(owner=body()), BOTH_DOWN, "start", DOWN, id="its owner has ended"),
        pytest.param(debt(), BOTH_UP, "settle", [], id="all run"),
        pytest.param(debt(), Inventory(), "settle", [], id="their containers are gone"),
        pytest.param(debt("restore"), BOTH_DOWN, "keep", [], id="a restore of which nobody knows"),
        pytest.param(debt("restore", body("Running", uid="x")), BOTH_DOWN, "keep", [], id="a restore made anew"),
        pytest.param(debt("restore", body(**INCOMPLETE)), BOTH_DOWN, "keep", [], id="a restore that is incomplete"),
        pytest.param(debt("restore", body(**SPOILT)), BOTH_DOWN, "keep", [], id="a volume that is incomplete"),
        pytest.param(
            debt("restore", body(quiesce={"keptStopped": True})), BOTH_DOWN, "keep", [], id="the agent kept them"
        ),
        pytest.param(debt("restore", body(**STUCK)), BOTH_DOWN, "start", DOWN, id="a whole restore"),
        pytest.param(debt("restore", body("Succeeded")), BOTH_DOWN, "start", DOWN, id="a good restore"),
        pytest.param(debt("restore"), MARKED, "start", DOWN, id="a restore whose agent has marked it as whole"),
        pytest.param(debt("restore"), BOTH_UP, "settle", [], id="a person has started them"),
    ],
)
def test_verdicts(wanted: Debt, look: Inventory, action: str, start: list[str]) -> None:
    verdict = judge(wanted, look, (), NOW)
    assert (verdict.action, [one.name for one in verdict.start]) == (action, start)


def with_journal(purpose: str, at: dt.datetime) -> Inventory:
    """Return both containers down, and the journal of another one, whose agent is dead, that names one of them."""
    other = plan(purpose, agent=f"compose-backup-{purpose}-uid-2", services=(DB,), made_at=at)
    return replace(BOTH_DOWN, volumes=(volume_of(other, replace(OWNER, uid="uid-2"), "x"),))


@pytest.mark.parametrize(
    ("wanted", "look", "start"),
    [
        pytest.param(debt(), with_journal("restore", NOW + SECOND), ["shop-web-1"], id="a restore has taken one over"),
        pytest.param(debt(), with_journal("restore", NOW - SECOND), ["shop-web-1"], id="by a clock that is behind"),
        pytest.param(debt(), with_journal("run", NOW + SECOND), DOWN, id="a backup has taken one over"),
        pytest.param(
            debt("restore", body(**STUCK)), with_journal("restore", NOW + SECOND), ["shop-web-1"], id="a later restore"
        ),
        pytest.param(
            debt("restore", body(**STUCK)), with_journal("restore", NOW - SECOND), DOWN, id="an earlier restore"
        ),
    ],
)
def test_nobody_starts_what_a_restore_has_taken_over(wanted: Debt, look: Inventory, start: list[str]) -> None:
    verdict = judge(wanted, look, (), NOW)
    assert (verdict.action, [one.name for one in verdict.start]) == ("start", start)
    assert [one.container for one in verdict.show] == start


@pytest.mark.parametrize(
    ("status", "start", "policies"),
    [
        pytest.param({}, ["shop-web-1"], [], id="nothing was written"),
        pytest.param(STUCK, DOWN, [], id="the data is whole"),
    ],
)
def test_what_an_earlier_restore_keeps_is_started_only_onto_whole_data(
    status: dict[str, Any], start: list[str], policies: list[str]
) -> None:
    taken = plan("restore", services=(WEB, DB.model_copy(update={"only_when_whole": True})))
    verdict = judge(debt("restore", body(**status), plan=taken), BOTH_DOWN, (), NOW)
    assert [one.name for one in verdict.start] == start
    held = Inventory(containers=(seen(DB, policy="no"), seen(WEB, "running", "t2")))
    settled = judge(debt("restore", body(**status), plan=taken), held, (), NOW)
    assert settled.action == ("start" if status else "settle") and [one.name for one in settled.policies] == policies


@pytest.mark.parametrize(
    ("services", "stop_timeout", "seconds", "action"),
    [
        ((DB,), None, 0, "wait"),
        ((DB,), None, 14, "wait"),
        ((DB,), None, 15, "settle"),
        ((SLOW,), None, 64, "wait"),
        ((SLOW,), 1, 6, "settle"),
        ((DB.model_copy(update={"method": "Pause", "stop_seconds": 60}),), None, 4, "wait"),
        ((DB.model_copy(update={"method": "Pause", "stop_seconds": 60}),), None, 5, "settle"),
    ],
)
def test_what_its_dead_agent_may_have_told_to_stop_is_waited_for(
    services: tuple[PlannedService, ...], stop_timeout: int | None, seconds: int, action: str
) -> None:
    untouched = Inventory(containers=(seen(DB, "running"),))
    abandoned = debt(plan=plan(services=services, stop_timeout_seconds=stop_timeout), abandoned_for=seconds * SECOND)
    found = judge(abandoned, untouched, (), NOW)
    assert (found.action, found.lasting) == (action, action == "wait")


def test_what_is_kept_stopped_is_shown_with_the_way_out() -> None:
    shown = judge(debt("restore"), BOTH_DOWN, (), NOW).show
    assert [one.service for one in shown] == ["shop/db", "shop/web"]
    assert all(one.kept_stopped and one.error and "shop_data" in one.error for one in shown)


@pytest.mark.parametrize(
    ("forgotten", "start"),
    [("shop-web-1", ["shop-db-1"]), ("shop-web-1, shop-db-1", []), ("all", []), ("another", DOWN), (None, DOWN)],
    ids=["one", "both by name", "all", "another", "nothing"],
)
def test_a_person_may_end_a_debt(forgotten: str | None, start: list[str]) -> None:
    verdict = judge(debt(), BOTH_DOWN, debts.forgotten_names(forgotten), NOW)
    assert [one.name for one in verdict.start] == start
    assert verdict.action == ("start" if start else "settle")


def test_settling_gives_back_the_restart_policies_that_a_restore_held() -> None:
    look = Inventory(containers=(seen(DB, "running", "t2", policy="no"), seen(WEB, "running", "t2", policy="always")))
    assert [one.name for one in judge(debt("restore"), look, (), NOW).policies] == ["shop-db-1"]
    assert judge(debt("run"), look, (), NOW).policies == ()


def test_hooks_that_may_be_left_over_are_run_once() -> None:
    wanted = debt(plan=plan(post_hooks=(HOOK,)))
    assert judge(wanted, BOTH_UP, (), NOW).hooks == (HOOK,)
    ended = replace(BOTH_UP, containers=(*BOTH_UP.containers, agent("compose-backup-cleanup-uid-1", "exited")))
    assert judge(wanted, ended, (), NOW).hooks == ()


# --------------------------------------------------------------------------------------------------------- trying again

ENTRY = Unresumed(
    container="shop-db-1", container_id="c-db", service="shop/db", journal="j", owner="BackupRun prod/nightly-1"
)


def after(attempts: int, seconds_ago: int, started_at: str = "t1") -> Unresumed:
    return ENTRY.model_copy(
        update={"attempts": attempts, "last_try_time": NOW - seconds_ago * SECOND, "last_started_at": started_at}
    )


@pytest.mark.parametrize(
    ("entry", "due"),
    [
        pytest.param(after(1, 14), False, id="soon after the first try"),
        pytest.param(after(1, 15), True, id="15 s after the first"),
        pytest.param(after(3, 59), False, id="soon after the third"),
        pytest.param(after(3, 60), True, id="60 s after the third"),
        pytest.param(after(99, 599), False, id="never more than ten minutes"),
        pytest.param(after(99, 600), True, id="but for ever"),
    ],
)
def test_tries_become_rare(entry: Unresumed, due: bool) -> None:
    verdict = judge(debt(plan=plan(services=(DB,)), known=(entry,)), BOTH_DOWN, (), NOW)
    assert (verdict.action, verdict.show) == ("start" if due else "wait", (entry,))
    assert (debts.next_look(verdict.show) or NOW) <= NOW if due else debts.next_look(verdict.show) > NOW  # type: ignore[operator]


@pytest.mark.parametrize(
    ("state", "started_at", "action"),
    [("exited", "t2", "start"), ("exited", "t3", "settle"), ("running", "t3", "settle"), ("running", "t2", "settle")],
    ids=["our start did not last", "somebody has stopped it since", "somebody has started it", "our start lasts"],
)
def test_who_has_started_it_last_decides(state: str, started_at: str, action: str) -> None:
    known = debt(plan=plan(services=(DB,)), known=(after(1, 60, started_at="t2"),))
    assert judge(known, Inventory(containers=(seen(DB, state, started_at),)), (), NOW).action == action


def test_a_try_that_failed_is_told_and_remembered() -> None:
    entry = tried(ENTRY, seen(DB, "exited", "t2"), "port is already allocated", NOW)
    assert (entry.attempts, entry.last_started_at, entry.error) == (1, "t2", "port is already allocated")
    crashed = tried(entry, seen(DB, "exited", "t3"), None, NOW)
    assert (crashed.attempts, crashed.last_started_at, crashed.error) == (2, "t3", "it was started and is exited")


def test_a_try_that_worked_is_looked_at_once_more() -> None:
    entry = tried(ENTRY, seen(DB, "running", "t2"), None, NOW)
    assert (entry.attempts, entry.last_started_at) == (1, "t2") and "once more" in str(entry.error)
    known = debt(plan=plan(services=(DB,)), known=(entry,))
    up = Inventory(containers=(seen(DB, "running", "t2"),))
    soon = judge(known, up, (), NOW + SECOND)
    assert (soon.action, soon.show, soon.lasting) == ("wait", (entry,), True)
    assert judge(known, up, (), NOW + 3 * SECOND).action == "settle"


def test_what_an_agent_or_a_run_has_tried_in_vain_is_still_owed() -> None:
    look = Inventory(containers=(seen(DB, "exited", "t5"),))
    assert judge(debt(plan=plan(services=(DB,))), look, (), NOW).action == "settle"
    assert judge(debt(plan=plan(services=(DB,)), tried={"c-db": "t5"}), look, (), NOW).action == "start"


def test_a_container_is_shown_once() -> None:
    newer = ENTRY.model_copy(update={"journal": "k", "kept_stopped": True})
    assert debts.shown((ENTRY, newer)) == (newer,)
    assert len(debts.shown(ENTRY.model_copy(update={"container_id": str(one)}) for one in range(60))) == 50
    assert debts.of_journal((ENTRY, newer), "k") == (newer,)


# ------------------------------------------------------------------------------------------------------------- journals


def test_only_journals_of_our_own_installation_are_ours() -> None:
    mine = volume_of(plan(), OWNER, "here")
    theirs = replace(volume_of(plan(), OWNER, "there"), name="other")
    found = debts.own_journals(Inventory(volumes=(mine, theirs)), "here")
    assert found == ((mine, plan(), OWNER),)
    assert debts.containers_of(plan()) == ("c-web", "c-db")


def test_a_plan_survives_its_label() -> None:
    whole = plan(
        "restore", pre_hooks=(HOOK,), post_hooks=(HOOK,), left_running=("x",), stop_timeout_seconds=5, attempt=3
    )
    made = volume_of(whole, OWNER, "here")
    assert (made.name, plan_of(made)) == ("compose-backup-journal-uid-1", whole)


def test_a_plan_of_another_version_is_none() -> None:
    volume = volume_of(plan(), OWNER, "here")
    labels = {key: "{}" if key.endswith("/plan") else value for key, value in volume.labels.items()}
    assert plan_of(replace(volume, labels=labels)) is None
    assert plan_of(replace(volume, labels={})) is None
