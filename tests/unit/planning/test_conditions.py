"""Conditions, held against kstatus as kubectl, Argo CD and Flux compute it."""

from __future__ import annotations

import datetime as dt
from typing import Any, get_args

import pytest

from compose_backup.api import reasons
from compose_backup.api.backup_run import TERMINAL_PHASES, Failure
from compose_backup.api.compose_host import Unresumed
from compose_backup.api.kinds import KINDS
from compose_backup.planning.conditions import (
    Claim,
    Standing,
    State,
    claims,
    conditions,
    ended,
    services_resumed,
    unfinished,
)

NOW = dt.datetime(2026, 10, 13, 2, 0, 0, 500, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(hours=1)


def kstatus(generation: int, status: dict[str, Any]) -> str:
    """Return what cli-utils computes (pkg/kstatus/status/generic.go, in its order)."""
    if status.get("observedGeneration") != generation:
        return "InProgress"
    found = {condition["type"]: condition["status"] for condition in status.get("conditions", ())}
    for condition in status.get("conditions", ()):
        if condition["type"] == "Reconciling" and condition["status"] == "True":
            return "InProgress"
        if condition["type"] == "Stalled" and condition["status"] == "True":
            return "Failed"
    return "Current" if found.get("Ready", "True") == "True" else "InProgress"


def written(wanted: tuple[Claim, ...], kind_index: int = 0) -> dict[str, Any]:
    made = conditions(wanted, (), 3, NOW)
    return KINDS[kind_index].status(observed_generation=3, conditions=made).to_wire()


SEEN_AS = {
    "good": "Current",
    "working": "InProgress",
    "waiting": "InProgress",
    "stalled": "Failed",
    "ended-well": "Current",
    "ended-badly": "Failed",
}


@pytest.mark.parametrize("kind", range(len(KINDS)), ids=[kind.name for kind in KINDS])
@pytest.mark.parametrize("state", get_args(State))
def test_each_standing_is_seen_as_it_is_meant(kind: int, state: State) -> None:
    status = written(claims(Standing(state, "Because", "it is so")), kind)
    assert kstatus(3, status) == SEEN_AS[state]
    assert kstatus(4, status) == "InProgress"
    types = [condition["type"] for condition in status["conditions"]]
    assert "Ready" in types and len(types) == len(set(types)) and not {"Reconciling", "Stalled"} <= set(types)
    assert all(condition["observedGeneration"] == 3 for condition in status["conditions"])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_an_object_that_nobody_has_seen_is_in_progress(kind: Any) -> None:
    assert kstatus(1, kind.status().to_wire()) == "InProgress"


@pytest.mark.parametrize("phase", sorted(TERMINAL_PHASES))
def test_every_end_is_finished(phase: str) -> None:
    good = phase in ("Succeeded", "Skipped")
    failure = None if phase == "Succeeded" else Failure(reason="Why", message="m")
    status = written(ended(phase, failure, "done"), 3)
    finished = next(c for c in status["conditions"] if c["type"] == "Finished")
    assert (finished["status"], finished["reason"]) == ("True", phase)
    assert kstatus(3, status) == ("Current" if good else "Failed")


def test_what_works_is_not_finished() -> None:
    status = written(unfinished(Standing("working", "Running", "m")), 3)
    assert [c["status"] for c in status["conditions"] if c["type"] == "Finished"] == ["False"]
    assert kstatus(3, status) == "InProgress"


@pytest.mark.parametrize(
    ("second", "moved"),
    [
        pytest.param(Claim("Ready", "False", "Other", "other words"), False, id="other words are no transition"),
        pytest.param(Claim("Ready", "True", "Because", "it is so"), True, id="another status is one"),
    ],
)
def test_transition_time(second: Claim, moved: bool) -> None:
    first = conditions((Claim("Ready", "False", "Because", "it is so"),), (), 1, NOW)
    (after,) = conditions((second,), first, 2, LATER)
    assert after.last_transition_time == (LATER if moved else NOW).replace(microsecond=0)
    assert (after.observed_generation, after.reason) == (2, second.reason)


def test_a_long_message_is_cut_to_what_the_schema_takes() -> None:
    (made,) = conditions((Claim("Ready", "True", "R", "x" * 9000),), (), 1, NOW)
    assert len(made.message) == 4096


STUCK = Unresumed(
    container="shop-db-1",
    container_id="aa",
    service="shop/db",
    journal="j",
    owner="BackupRun prod/n",
    error="port taken",
)
KEPT = STUCK.model_copy(update={"service": "shop/web", "kept_stopped": True, "owner": "RestoreRequest prod/rescue"})


@pytest.mark.parametrize(
    ("unresumed", "status", "reason", "words"),
    [
        pytest.param((), "True", reasons.ALL_RESUMED, (), id="nothing is owed"),
        pytest.param(
            (STUCK,),
            "False",
            reasons.SERVICE_NOT_RESUMED,
            ("shop/db (shop-db-1)", "BackupRun prod/n", "port taken"),
            id="one does not run",
        ),
        pytest.param((STUCK,) * 5, "False", reasons.SERVICE_NOT_RESUMED, ("2 more",), id="many do not run"),
        pytest.param((KEPT,), "False", reasons.KEPT_STOPPED, ("shop/web", "rescue", "restore again"), id="kept"),
        pytest.param((KEPT, STUCK), "False", reasons.SERVICE_NOT_RESUMED, ("port taken", "kept stopped"), id="both"),
    ],
)
def test_services_resumed(unresumed: tuple[Unresumed, ...], status: str, reason: str, words: tuple[str, ...]) -> None:
    claim = services_resumed(unresumed)
    assert (claim.type, claim.status, claim.reason) == ("ServicesResumed", status, reason)
    assert all(word in claim.message for word in words)
