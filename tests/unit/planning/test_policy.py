"""What a pass over a policy does: runs made and forgotten, restore points, freshness, and what is said."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compose_backup.api import reasons
from compose_backup.api.backup_policy import RUN_REQUESTED_ANNOTATION, RestorePoint, RunSummary
from compose_backup.api.backup_run import TERMINAL_PHASES, Failure, VolumeResult
from compose_backup.api.resources import Policy, Run
from compose_backup.planning.facts import Inventory, Volume
from compose_backup.planning.policy import NewRun, PolicyFacts, PolicyPlan, belongs_to, plan, wants_catalog
from compose_backup.planning.schedule import anchor_of
from fakes import objects
from fakes.objects import REPOSITORY_ID, resolved_run, spec, status

HOUR = dt.timedelta(hours=1)
SLOT = dt.datetime(2026, 10, 13, 2, 0, tzinfo=dt.UTC)
NOON = SLOT + 10 * HOUR
POLICY = status(
    objects.policy(),
    schedule_anchor=anchor_of(objects.policy_spec()),
    schedule_anchor_time=SLOT - 14 * HOUR,
    last_schedule_time=SLOT,
    catalog_of=REPOSITORY_ID,
)
BASELINE = PolicyFacts(
    policy=POLICY,
    host=objects.host(),
    repository=objects.repository(),
    inventory=Inventory((Volume("shop_data"),)),
    repository_volumes=(),
    runs=(),
    catalog=None,
    now=NOON,
)


def ended(number: int, phase: str = "Succeeded", repository_id: str = REPOSITORY_ID) -> Run:
    """Return the run of the night `number` nights ago, as it ended ten minutes after its slot."""
    slot = SLOT - number * 24 * HOUR
    resolved = resolved_run("shop_data", slot=slot)
    place = resolved.repository.model_copy(update={"repository_id": repository_id})
    return status(
        objects.run(f"nightly-{slot:%Y%m%d%H%M}", slot),
        phase=phase,
        completion_time=slot + dt.timedelta(minutes=10),
        resolved=resolved.model_copy(update={"repository": place}),
        record=f"record-{number}" if phase in ("Succeeded", "PartiallyFailed") else None,
        consistency="Stopped",
        failure=None if phase == "Succeeded" else Failure(reason="AgentLost", message="the agent is gone"),
    )


def point(number: int) -> RestorePoint:
    slot = SLOT - number * 24 * HOUR
    name = f"nightly-{slot:%Y%m%d%H%M}"
    return RestorePoint(
        run=name, run_uid=f"uid-of-{name}", time=slot, volumes=0, consistency="Stopped", record=f"record-{number}"
    )


def changed(**policy_changes: Any) -> Policy:
    return spec(POLICY, **policy_changes)


def asked(value: str, **status_changes: Any) -> Policy:
    return status(replace(POLICY, annotations={RUN_REQUESTED_ANNOTATION: value}), **status_changes)


def claim(made: PolicyPlan, name: str) -> tuple[str, str]:
    found = {claim.type: (claim.status, claim.reason) for claim in made.claims}
    return found.get(name, ("absent", ""))


ACTIVE = status(objects.run("nightly-202610120200", SLOT - 24 * HOUR), phase="Running")
SLOT_RUN = NewRun("nightly-202610130200", SLOT, "Schedule")
YESTERDAY = {"last_schedule_time": SLOT - 24 * HOUR}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(BASELINE, None, id="a slot that was run is not run again"),
        pytest.param(replace(BASELINE, policy=status(POLICY, **YESTERDAY)), SLOT_RUN, id="a due slot makes a run"),
        pytest.param(
            replace(BASELINE, policy=status(POLICY, last_schedule_time=SLOT - 96 * HOUR)),
            SLOT_RUN,
            id="missed slots make one run, of the latest",
        ),
        pytest.param(
            replace(BASELINE, policy=status(POLICY, **YESTERDAY), runs=(ACTIVE,)), None, id="a due slot waits for a run"
        ),
        pytest.param(
            replace(BASELINE, policy=status(POLICY, **YESTERDAY), runs=(ended(0),)),
            None,
            id="a run that was made before a crash and has ended is not made again",
        ),
        pytest.param(
            replace(BASELINE, policy=status(changed(suspend=True), **YESTERDAY)), None, id="a suspended schedule rests"
        ),
        pytest.param(
            replace(BASELINE, policy=status(changed(schedule="0 3 * * *"), **YESTERDAY)),
            None,
            id="an edited schedule fires nothing at once",
        ),
        pytest.param(
            replace(BASELINE, policy=status(POLICY, schedule_anchor="0 2 * * * UTC suspended", **YESTERDAY)),
            None,
            id="a resumed schedule fires nothing at once",
        ),
        pytest.param(
            replace(BASELINE, policy=objects.policy()), SLOT_RUN, id="a slot after creation runs, seen late or not"
        ),
        pytest.param(
            replace(BASELINE, policy=replace(objects.policy(), created=SLOT + HOUR)), None, id="none before creation"
        ),
        pytest.param(
            replace(BASELINE, policy=asked("now")),
            NewRun("nightly-r08059fc8a8", NOON, "Request"),
            id="a request makes a run, whose name follows from its value",
        ),
        pytest.param(
            replace(BASELINE, policy=asked("now", last_handled_run_request="now")),
            None,
            id="a request is answered once",
        ),
        pytest.param(replace(BASELINE, policy=asked("now"), runs=(ACTIVE,)), None, id="a request waits for a run"),
        pytest.param(
            replace(BASELINE, policy=spec(asked("now"), suspend=True)),
            NewRun("nightly-r08059fc8a8", NOON, "Request"),
            id="a request is answered though the schedule rests",
        ),
        pytest.param(
            replace(BASELINE, policy=status(changed(schedule="0 0 2 * * *"), **YESTERDAY)),
            None,
            id="nothing from nonsense",
        ),
    ],
)
def test_which_run_is_made(facts: PolicyFacts, expected: NewRun | None) -> None:
    made = plan(facts)
    assert made.create == expected
    if made.create:
        assert made.status.active_run == made.create.name


def test_mending_an_invalid_schedule_fires_nothing_at_once() -> None:
    never_valid = spec(objects.policy(), schedule="0 0 2 * * *")
    looked_at = status(objects.policy(), **dict(plan(replace(BASELINE, policy=never_valid)).status))
    assert plan(replace(BASELINE, policy=looked_at)).create is None


@pytest.mark.parametrize("ahead", ["last_schedule_time", "schedule_anchor_time"])
def test_a_moment_ahead_is_a_clock_fault_that_is_said_and_clamped(ahead: str) -> None:
    made = plan(replace(BASELINE, policy=status(POLICY, **{ahead: NOON + 48 * HOUR})))
    assert getattr(made.status, ahead) == NOON
    assert claim(made, "Ready") == ("True", reasons.CLOCK_SKEW)
    tomorrow = plan(replace(BASELINE, policy=replace(POLICY, status=made.status), now=NOON + 24 * HOUR))
    assert tomorrow.create == NewRun("nightly-202610140200", SLOT + 24 * HOUR, "Schedule")
    assert claim(tomorrow, "Ready") == ("True", reasons.SCHEDULED)


def test_a_clock_set_back_a_little_does_not_run_a_slot_twice() -> None:
    made = plan(replace(BASELINE, now=SLOT - dt.timedelta(seconds=90)))
    assert made.create is None and made.status.last_schedule_time == SLOT
    assert plan(replace(BASELINE, policy=replace(POLICY, status=made.status), now=SLOT)).create is None


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 90), max_size=70, unique=True), st.lists(st.integers(0, 90), max_size=20, unique=True))
def test_restore_points_are_bounded_sorted_and_keep_the_newest(known: list[int], new: list[int]) -> None:
    policy = status(POLICY, restore_points=tuple(point(number) for number in known))
    points = plan(replace(BASELINE, policy=policy, runs=tuple(ended(number) for number in new))).status.restore_points
    assert [one.time for one in points] == sorted((SLOT - n * 24 * HOUR for n in {*known, *new}), reverse=True)[:50]


ELSEWHERE = "07" * 32


@pytest.mark.parametrize(
    ("facts", "names"),
    [
        pytest.param(replace(BASELINE, runs=(ended(0), ended(1))), [point(0), point(1)], id="good runs are points"),
        pytest.param(
            replace(BASELINE, runs=(ended(0, "PartiallyFailed"), ended(1, "Failed"))), [], id="other runs are none"
        ),
        pytest.param(
            replace(BASELINE, runs=(status(ended(0), record=None),)), [], id="without a record there is no point"
        ),
        pytest.param(
            replace(BASELINE, policy=status(POLICY, restore_points=(point(7),))), [point(7)], id="points outlive runs"
        ),
        pytest.param(
            replace(BASELINE, policy=status(POLICY, restore_points=(point(7),)), catalog=(point(3),)),
            [point(3)],
            id="the catalog replaces what was known",
        ),
        pytest.param(
            replace(BASELINE, policy=status(POLICY, restore_points=(point(7),), catalog_of=ELSEWHERE)),
            [],
            id="points in the repository of before are none of the new one",
        ),
        pytest.param(
            replace(BASELINE, runs=(ended(0, repository_id=ELSEWHERE), ended(1))),
            [point(1)],
            id="a run into another repository is no point",
        ),
        pytest.param(
            replace(BASELINE, repository=None, policy=status(POLICY, restore_points=(point(7),))),
            [point(7)],
            id="a missing repository takes nothing away",
        ),
    ],
)
def test_restore_points(facts: PolicyFacts, names: list[RestorePoint]) -> None:
    assert list(plan(facts).status.restore_points) == names


@pytest.mark.parametrize(
    ("policy", "catalog", "expected"),
    [
        pytest.param(status(POLICY, last_success_time=SLOT), None, SLOT, id="known success stays without its point"),
        pytest.param(status(POLICY, last_success_time=SLOT), (), None, id="an empty catalog knows better"),
        pytest.param(status(POLICY, last_success_time=SLOT, catalog_of=ELSEWHERE), None, None, id="moved elsewhere"),
        pytest.param(POLICY, (point(2),), SLOT - 48 * HOUR, id="the newest point tells it"),
    ],
)
def test_last_success(policy: Policy, catalog: tuple[RestorePoint, ...] | None, expected: dt.datetime | None) -> None:
    assert plan(replace(BASELINE, policy=policy, catalog=catalog)).status.last_success_time == expected


HISTORY = tuple(ended(number, phase) for number, phase in enumerate(["Succeeded", "Failed"] * 8))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 10), st.integers(1, 10), st.permutations(HISTORY))
def test_history_keeps_the_newest_of_each(succeeded: int, failed: int, runs: list[Run]) -> None:
    policy = changed(history=POLICY.spec.history.model_copy(update={"succeeded": succeeded, "failed": failed}))
    gone = {run.name for run in plan(replace(BASELINE, policy=policy, runs=tuple(runs))).forget}
    good, bad = HISTORY[::2], HISTORY[1::2]
    assert gone == {run.name for run in (*good[succeeded:], *bad[failed:])}


def test_history_never_takes_an_active_run() -> None:
    active = tuple(status(objects.run(f"nightly-{number}"), phase="Pending") for number in range(9))
    assert plan(replace(BASELINE, runs=active)).forget == ()


@pytest.mark.parametrize("phase", sorted(TERMINAL_PHASES))
def test_every_end_is_told_on_the_policy(phase: str) -> None:
    made = plan(replace(BASELINE, runs=(ended(0, phase),)))
    expected = {"Succeeded": ("True", "Succeeded"), "Skipped": ("Unknown", "Skipped")}.get(phase, ("False", phase))
    assert claim(made, "LastRunSucceeded") == expected
    assert made.status.last_run and made.status.last_run.phase == phase


def test_a_skipped_run_leaves_the_verdict_before_it() -> None:
    told = objects.ready("False", "Failed")[0].model_copy(update={"type": "LastRunSucceeded"})
    policy = status(POLICY, conditions=(told,))
    assert claim(plan(replace(BASELINE, policy=policy, runs=(ended(0, "Skipped"),))), "LastRunSucceeded")[0] == "False"


def test_the_last_run_stays_told_when_its_object_is_gone() -> None:
    last = RunSummary(name="nightly-x", phase="Failed", completion_time=SLOT + HOUR, message="disk full")
    made = plan(replace(BASELINE, policy=status(POLICY, last_run=last), runs=(ended(3),)))
    assert made.status.last_run == last


@pytest.mark.parametrize(
    ("last_success", "now", "expected"),
    [
        pytest.param(SLOT, NOON, ("True", reasons.YOUNG_ENOUGH), id="young"),
        pytest.param(SLOT, SLOT + 48 * HOUR, ("False", reasons.TOO_OLD), id="two slots later it is too old"),
        pytest.param(None, NOON, ("Unknown", reasons.NEVER_SUCCEEDED), id="the first one is still expected"),
        pytest.param(None, SLOT + 48 * HOUR, ("False", reasons.NEVER_SUCCEEDED), id="the first one is overdue"),
    ],
)
def test_freshness(last_success: dt.datetime | None, now: dt.datetime, expected: tuple[str, str]) -> None:
    made = plan(replace(BASELINE, policy=status(POLICY, last_success_time=last_success), now=now))
    assert claim(made, "Fresh") == expected


def test_an_invalid_policy_grows_old_like_any_other() -> None:
    known = status(changed(schedule="nonsense!"), last_success_time=SLOT, fresh_until=NOON + HOUR)
    young = plan(replace(BASELINE, policy=known))
    assert (claim(young, "Ready")[0], claim(young, "Fresh")[0], young.look_again_at) == ("False", "True", NOON + HOUR)
    assert claim(plan(replace(BASELINE, policy=known, now=NOON + HOUR)), "Fresh")[0] == "False"


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(BASELINE, ("True", reasons.SCHEDULED), id="scheduled"),
        pytest.param(
            replace(BASELINE, policy=changed(suspend=True)), ("True", reasons.SUSPENDED), id="suspended is fine"
        ),
        pytest.param(replace(BASELINE, host=None), ("False", reasons.HOST_NOT_FOUND), id="no host"),
        pytest.param(replace(BASELINE, repository=None), ("False", reasons.REPOSITORY_NOT_FOUND), id="no repository"),
        pytest.param(
            replace(BASELINE, repository=objects.repository(hostRef={"name": "srv2"})),
            ("False", reasons.WRONG_HOST),
            id="a repository on another host",
        ),
        pytest.param(
            replace(BASELINE, policy=changed(time_zone="Mars/Base")), ("False", reasons.INVALID_SPEC), id="unknown zone"
        ),
        pytest.param(
            replace(BASELINE, runs=(ACTIVE,)), ("True", reasons.SCHEDULED), id="a run at work changes nothing"
        ),
    ],
)
def test_ready(facts: PolicyFacts, expected: tuple[str, str]) -> None:
    assert claim(plan(facts), "Ready") == expected


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        pytest.param(POLICY, SLOT + 24 * HOUR, id="at the next slot"),
        pytest.param(status(changed(suspend=True), last_success_time=SLOT), SLOT + 48 * HOUR, id="else when it is old"),
    ],
)
def test_next_look(policy: Policy, expected: dt.datetime) -> None:
    assert plan(replace(BASELINE, policy=policy)).look_again_at == expected


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        pytest.param(objects.run(), True, id="owned"),
        pytest.param(replace(objects.run(), owner_uids=frozenset()), True, id="made by hand"),
        pytest.param(
            replace(objects.run(), owner_uids=frozenset({"uid-of-another"})), False, id="of an earlier policy"
        ),
        pytest.param(
            status(objects.run(), resolved=resolved_run(policy_uid="x")), False, id="started with another one"
        ),
        pytest.param(replace(objects.run(), namespace="test"), False, id="in another namespace"),
        pytest.param(objects.run(policyRef={"name": "weekly"}), False, id="of another name"),
    ],
)
def test_belongs_to(run: Run, expected: bool) -> None:
    assert belongs_to(run, POLICY) is expected


@pytest.mark.parametrize(
    ("repository_changes", "catalog_of", "expected"),
    [
        pytest.param({"snapshots": 3}, None, True, id="never listed"),
        pytest.param({"snapshots": 3}, ELSEWHERE, True, id="listed from another repository"),
        pytest.param({"snapshots": 3}, REPOSITORY_ID, False, id="listed once"),
        pytest.param({"snapshots": 0}, None, False, id="nothing to list"),
        pytest.param({"snapshots": 3, "conditions": ()}, None, False, id="not to be opened"),
    ],
)
def test_wants_catalog(repository_changes: dict[str, Any], catalog_of: str | None, expected: bool) -> None:
    repository = status(objects.repository(), **repository_changes)
    assert wants_catalog(status(POLICY, catalog_of=catalog_of), repository) is expected


ARCHIVED = VolumeResult(name="shop_data", phase="Succeeded", snapshot_id="aa")


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        pytest.param({}, True, id="a service does not run again"),
        pytest.param(
            {"failure": Failure(reason=reasons.HOOK_FAILED, message="x"), "phase": "PartiallyFailed"},
            True,
            id="a post hook failed",
        ),
        pytest.param({"failure": Failure(reason=reasons.AGENT_LOST, message="gone")}, False, id="another failure"),
        pytest.param({"volumes": (ARCHIVED.model_copy(update={"phase": "Failed"}),)}, False, id="a volume failed"),
        pytest.param({"volumes": ()}, False, id="no volume"),
        pytest.param({"record": None}, False, id="no record"),
    ],
)
def test_whole_data_can_be_restored_although_the_run_failed(changes: dict[str, Any], counts: bool) -> None:
    down = Failure(reason=reasons.SERVICE_NOT_RESUMED, message="shop/db: port taken")
    told: dict[str, Any] = {"failure": down, "volumes": (ARCHIVED,), "record": "record-0"} | changes
    made = plan(replace(BASELINE, runs=(status(ended(0, "Failed"), **told),)))
    assert bool(made.status.restore_points) is counts
    assert claim(made, "LastRunSucceeded")[0] == "False"


def test_hooks_that_the_host_does_not_allow_are_said_before_the_night() -> None:
    hooks = {"pre": [{"project": "shop", "service": "db", "command": ["true"]}]}
    policy = spec(POLICY, hooks=objects.policy_spec(hooks=hooks).hooks)
    assert claim(plan(replace(BASELINE, policy=policy)), "Stalled") == ("True", reasons.NOT_PERMITTED)
