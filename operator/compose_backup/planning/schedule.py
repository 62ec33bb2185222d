"""When a policy runs: slots of its cron expression in its time zone, put off by jitter, missed ones collapsed into one.

Called by planning/policy.py.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from compose_backup.api.backup_policy import BackupPolicySpec

# A clock that is set back by less than this is no fault worth telling: time servers do it.
SKEW_TOLERANCE = dt.timedelta(minutes=2)
# Longer than any shift of a clock by its time zone, so that a search from so far back is not confused by one.
BEYOND_SHIFTS = dt.timedelta(hours=3)
LONGEST_MAX_AGE = dt.timedelta(days=3660)


@dataclass(frozen=True)
class ScheduleFacts:
    """What the next slot follows from. Slots up to `since` are never made up for."""

    schedule: str
    time_zone: str
    jitter: dt.timedelta
    since: dt.datetime


@dataclass(frozen=True)
class Due:
    """A slot that is to be run now; earlier ones that were missed are part of it."""

    slot: dt.datetime


@dataclass(frozen=True)
class NotYet:
    """Nothing is due. The next slot starts at `starts_at`, jitter included."""

    starts_at: dt.datetime


def problems(spec: BackupPolicySpec) -> list[str]:
    """Return what is wrong with schedule and time zone, one sentence each."""
    found = []
    if wrong := _wrong_with_cron(spec.schedule):
        found.append(
            f"spec.schedule {spec.schedule!r} is not a cron expression of five fields ({wrong}); example: '0 2 * * *'"
        )
    try:
        ZoneInfo(spec.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: `Europe` is a directory
        found.append(f"spec.timeZone {spec.time_zone!r} is not an IANA time zone; example: 'Europe/Paris'")
    max_age = spec.objectives.max_age
    if max_age and _is_too_long(max_age):
        found.append(f"spec.objectives.maxAge {max_age!r} is more than ten years; example: '26h'")
    return found


def _wrong_with_cron(schedule: str) -> str | None:
    """Return what is wrong with a cron expression. The parser would take a sixth field for seconds."""
    if (fields := len(schedule.split())) != 5:
        return f"it has {fields}"
    try:
        CronSim(schedule, dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    except CronSimError as error:
        return str(error)
    return None


def _is_too_long(duration: str) -> bool:
    try:
        return parse_duration(duration) > LONGEST_MAX_AGE
    except OverflowError:
        return True


def jitter_of(uid: str, jitter_seconds: int) -> dt.timedelta:
    """Return the constant delay of a policy, from nothing to its jitter: a hash, so that a restart does not move it."""
    if jitter_seconds == 0:
        return dt.timedelta()
    share = int.from_bytes(hashlib.sha256(uid.encode()).digest()[:8], "big")
    return dt.timedelta(seconds=share % (jitter_seconds + 1))


def anchor_of(spec: BackupPolicySpec) -> str:
    """Return the text that changes when the schedule means something else, or rests, or goes on."""
    return f"{spec.schedule} {spec.time_zone} jitter={spec.jitter_seconds} suspend={str(spec.suspend).lower()}"


def decide(facts: ScheduleFacts, now: dt.datetime) -> Due | NotYet:
    """Return the latest slot that has begun since `facts.since`, or when the next one begins."""
    latest = slot_at_or_before(facts, now - facts.jitter)
    if latest is not None and latest > facts.since:
        return Due(latest)
    following = slot_after(facts, max(facts.since, now - facts.jitter))
    return NotYet(following + facts.jitter)


def slot_after(facts: ScheduleFacts, moment: dt.datetime) -> dt.datetime:
    """Return the first slot after a moment, in UTC."""
    return next(slot for slot in _slots(facts, moment) if slot > moment)


def slot_at_or_before(facts: ScheduleFacts, moment: dt.datetime) -> dt.datetime | None:
    """Return the last slot that is not later than a moment, in UTC; None where the expression has none.

    Going backwards only finds where to begin: around a shift of summer time the iterator does not see the same slots
    backwards as forwards, and what was told as the next slot must be the one that is due then.
    """
    begin = moment
    while (earlier := _rough_slot_before(facts, begin)) is not None:
        begin = earlier - dt.timedelta(minutes=1)
        passed = list(itertools.takewhile(lambda slot: slot <= moment, _slots(facts, begin)))
        if passed:
            return passed[-1]
    return None


def fresh_until(facts: ScheduleFacts, last_success: dt.datetime, max_age: str | None) -> dt.datetime:
    """Return until when a run of this slot is young enough: its maximum age, else until two more slots have begun."""
    if max_age:
        return last_success + parse_duration(max_age)
    return slot_after(facts, slot_after(facts, last_success)) + facts.jitter


def parse_duration(text: str) -> dt.timedelta:
    """Return `26h`, `8d` or `1d12h30m` as a duration."""
    units = {"d": "days", "h": "hours", "m": "minutes"}
    return dt.timedelta(**{units[unit]: int(number) for number, unit in re.findall(r"(\d+)([dhm])", text)})


def _slots(facts: ScheduleFacts, moment: dt.datetime) -> Iterator[dt.datetime]:
    """Yield slots in UTC, beginning well before a moment: within a repeated hour the iterator would begin wrongly."""
    start = (moment - BEYOND_SHIFTS).astimezone(ZoneInfo(facts.time_zone))
    return (slot.astimezone(dt.UTC) for slot in CronSim(facts.schedule, start))


def _rough_slot_before(facts: ScheduleFacts, moment: dt.datetime) -> dt.datetime | None:
    start = (moment - BEYOND_SHIFTS).astimezone(ZoneInfo(facts.time_zone))
    slot = next(CronSim(facts.schedule, start, reverse=True), None)
    return slot.astimezone(dt.UTC) if slot else None
