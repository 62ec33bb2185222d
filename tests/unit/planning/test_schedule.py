"""When a policy runs: the rules of a slot, in tables and as properties over zones and shifts of summer time."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compose_backup.planning import schedule
from compose_backup.planning.schedule import Due, NotYet, ScheduleFacts
from fakes.objects import policy_spec

SINCE = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
BASELINE = ScheduleFacts("0 2 * * *", "UTC", dt.timedelta(), since=SINCE)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


ZONES = ("UTC", "Europe/Paris", "America/New_York", "America/Havana", "Australia/Lord_Howe", "Asia/Kathmandu")
SHIFTS = (
    at("2026-03-29T01:00"),  # Paris, an hour is missing
    at("2026-10-25T01:00"),  # Paris, an hour comes twice
    at("2026-03-08T05:00"),  # Havana, midnight is missing
    at("2026-11-01T06:00"),  # New York, an hour comes twice
    at("2026-04-04T15:00"),  # Lord Howe, half an hour comes twice
)


def field(low: int, high: int, *steps: int) -> st.SearchStrategy[str]:
    some = st.lists(st.integers(low, high), min_size=1, max_size=3, unique=True).map(sorted)
    return st.one_of(
        st.just("*"),
        st.sampled_from(steps).map(lambda step: f"*/{step}"),
        some.map(lambda few: ",".join(map(str, few))),
    )


crons = st.builds(
    lambda *fields: " ".join(fields),
    field(0, 59, 7, 15, 30),
    field(0, 23, 2, 6),
    st.sampled_from(("*", "1", "15", "28")),
    st.sampled_from(("*", "3", "10")),
    st.sampled_from(("*", "0", "6")),
)
schedules = st.builds(
    lambda cron, zone: replace(BASELINE, schedule=cron, time_zone=zone), crons, st.sampled_from(ZONES)
)
around_shifts = st.builds(
    lambda shift, seconds: shift + dt.timedelta(seconds=seconds), st.sampled_from(SHIFTS), st.integers(-14400, 14400)
)
any_time = st.datetimes(at("2026-01-01").replace(tzinfo=None), at("2027-01-01").replace(tzinfo=None)).map(
    lambda moment: moment.replace(tzinfo=dt.UTC, microsecond=0)
)
moments = st.one_of(around_shifts, any_time)
few = settings(max_examples=60, deadline=None)


@few
@given(schedules, moments)
def test_next_slot_lies_ahead_and_is_the_latest_one_once_it_has_come(facts: ScheduleFacts, now: dt.datetime) -> None:
    following = schedule.slot_after(facts, now)
    assert following > now
    assert schedule.slot_at_or_before(facts, following) == following


@few
@given(schedules, moments)
def test_no_slot_lies_between_the_latest_and_the_next(facts: ScheduleFacts, now: dt.datetime) -> None:
    latest = schedule.slot_at_or_before(facts, now)
    assert latest is not None and latest <= now
    assert schedule.slot_after(facts, latest) == schedule.slot_after(facts, now)


@few
@given(schedules, moments, st.integers(0, 14400))
def test_the_next_slot_stays_the_same_until_it_comes(facts: ScheduleFacts, now: dt.datetime, seconds: int) -> None:
    following, later = schedule.slot_after(facts, now), now + dt.timedelta(seconds=seconds)
    if later < following:
        assert schedule.slot_after(facts, later) == following


@few
@given(schedules, moments, st.integers(0, 3600))
def test_a_slot_that_was_run_is_never_due_again(facts: ScheduleFacts, now: dt.datetime, jitter: int) -> None:
    facts = replace(facts, jitter=dt.timedelta(seconds=jitter))
    first = schedule.decide(facts, now)
    assert isinstance(first, Due)
    second = schedule.decide(replace(facts, since=first.slot), now)
    assert isinstance(second, NotYet) and second.starts_at > now
    assert schedule.decide(replace(facts, since=first.slot), second.starts_at) == Due(second.starts_at - facts.jitter)


@few
@given(schedules, moments)
def test_an_anchor_of_now_fires_nothing_now(facts: ScheduleFacts, now: dt.datetime) -> None:
    decision = schedule.decide(replace(facts, since=now), now)
    assert isinstance(decision, NotYet) and decision.starts_at > now


@few
@given(st.text(min_size=1, max_size=40), st.integers(0, 86400))
def test_jitter_is_bounded_and_stays_the_same(uid: str, seconds: int) -> None:
    jitter = schedule.jitter_of(uid, seconds)
    assert dt.timedelta() <= jitter <= dt.timedelta(seconds=seconds)
    assert schedule.jitter_of(uid, seconds) == jitter


@pytest.mark.parametrize(
    ("change", "now", "expected"),
    [
        pytest.param(
            {}, "2026-10-13T01:59:59", Due(at("2026-10-12T02:00")), id="the last slot is due until it was run"
        ),
        pytest.param({}, "2026-10-13T02:00:00", Due(at("2026-10-13T02:00")), id="a slot is due on its second"),
        pytest.param(
            {"since": at("2026-10-10T02:00")},
            "2026-10-13T09:00",
            Due(at("2026-10-13T02:00")),
            id="three missed slots collapse into the latest",
        ),
        pytest.param(
            {"since": at("2026-10-13T02:00")}, "2026-10-13T09:00", NotYet(at("2026-10-14T02:00")), id="a slot runs once"
        ),
        pytest.param(
            {"since": at("2026-10-12T02:00"), "jitter": dt.timedelta(minutes=10)},
            "2026-10-13T02:09:59",
            NotYet(at("2026-10-13T02:10")),
            id="jitter puts a slot off",
        ),
        pytest.param(
            {"since": at("2026-10-12T02:00"), "jitter": dt.timedelta(minutes=10)},
            "2026-10-13T02:10",
            Due(at("2026-10-13T02:00")),
            id="after jitter the slot keeps its own time",
        ),
        pytest.param(
            {"since": at("2026-10-14T02:00")}, "2026-10-13T02:00", NotYet(at("2026-10-15T02:00")), id="since lies ahead"
        ),
        pytest.param(
            {"schedule": "30 2 * * *", "time_zone": "Europe/Paris", "since": at("2026-03-28T12:00")},
            "2026-03-29T12:00",
            Due(at("2026-03-29T01:00")),
            id="a slot in the missing hour runs when the hour is over",
        ),
        pytest.param(
            {"schedule": "30 2 * * *", "time_zone": "Europe/Paris", "since": at("2026-10-25T00:30")},
            "2026-10-25T01:45",
            NotYet(at("2026-10-26T01:30")),
            id="a daily slot in the repeated hour runs once",
        ),
        pytest.param(
            {"schedule": "30 * * * *", "time_zone": "Europe/Paris", "since": at("2026-10-25T00:30")},
            "2026-10-25T01:45",
            Due(at("2026-10-25T01:30")),
            id="an hourly slot runs in both passes of the repeated hour",
        ),
        pytest.param(
            {"schedule": "0 0 29 2 *", "since": at("2026-01-01")},
            "2026-10-13T00:00",
            NotYet(at("2028-02-29T00:00")),
            id="a leap day is waited for",
        ),
    ],
)
def test_decide(change: dict[str, object], now: str, expected: Due | NotYet) -> None:
    assert schedule.decide(replace(BASELINE, **change), at(now)) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        pytest.param({}, (), id="a plain schedule is fine"),
        pytest.param({"schedule": "0 0 2 * * *"}, ("spec.schedule", "has 6"), id="six fields would be read as seconds"),
        pytest.param({"schedule": "0\t2 * * * *"}, ("spec.schedule", "has 6"), id="a tab separates, too"),
        pytest.param({"schedule": "whenever you like to"}, ("spec.schedule",), id="nonsense"),
        pytest.param({"schedule": "0 0 30 2 *"}, ("spec.schedule",), id="a day that never comes"),
        pytest.param({"timeZone": "Europe/Atlantis"}, ("spec.timeZone",), id="an unknown zone"),
        pytest.param({"timeZone": "Europe"}, ("spec.timeZone",), id="a directory of zones"),
        pytest.param({"timeZone": "../../etc/passwd"}, ("spec.timeZone",), id="a path out of the zones"),
        pytest.param({"objectives": {"maxAge": "99999999999999d"}}, ("spec.objectives.maxAge",), id="an endless age"),
        pytest.param(
            {"schedule": "x 0 0 0 0", "timeZone": "Mars/Base"}, ("spec.schedule", "spec.timeZone"), id="all at once"
        ),
    ],
)
def test_problems(change: dict[str, object], wrong: tuple[str, ...]) -> None:
    found = "; ".join(schedule.problems(policy_spec(**change)))
    assert all(part in found for part in wrong) and bool(found) == bool(wrong)


@pytest.mark.parametrize(
    ("max_age", "expected"),
    [
        pytest.param("26h", at("2026-10-14T04:00"), id="the objective counts from the slot"),
        pytest.param("1d12h30m", at("2026-10-14T14:30"), id="units add up"),
        pytest.param(None, at("2026-10-15T02:00"), id="without one, until two more slots have begun"),
    ],
)
def test_fresh_until(max_age: str | None, expected: dt.datetime) -> None:
    assert schedule.fresh_until(BASELINE, at("2026-10-13T02:00"), max_age) == expected


@pytest.mark.parametrize("field_name", ["schedule", "time_zone", "jitter_seconds", "suspend"])
def test_the_anchor_changes_with_all_that_changes_the_schedule(field_name: str) -> None:
    spec = policy_spec()
    other = {"schedule": "1 2 * * *", "time_zone": "Asia/Tokyo", "jitter_seconds": 9, "suspend": True}[field_name]
    assert schedule.anchor_of(spec) != schedule.anchor_of(spec.model_copy(update={field_name: other}))
