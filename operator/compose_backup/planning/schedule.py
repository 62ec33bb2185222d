"""When a policy runs: slots of its cron expression in its time zone, put off by jitter, missed ones collapsed into one.

Called by planning/policy.py.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from compose_backup.api.backup_policy import BackupPolicySpec

# A clock that is set back by less than this is no fault worth telling: time servers do it.
SKEW_TOLERANCE = dt.timedelta(minutes=2)


@dataclass(frozen=True)
class ScheduleFacts:
    """What the next slot follows from. Slots up to `since` are never made up for."""

    schedule: str
    time_zone: str
    jitter: dt.timedelta
    since: dt.datetime


@dataclass(frozen=True)
class Due:
    """This slot is to be run now; earlier ones that were missed are part of it."""

    slot: dt.datetime


@dataclass(frozen=True)
class NotYet:
    """Nothing is due. The next slot starts at `starts_at`, jitter included."""

    starts_at: dt.datetime


def problems(spec: BackupPolicySpec) -> list[str]:
    """Return what is wrong with schedule and time zone, one sentence each."""
    found = []
    try:
        CronSim(spec.schedule, dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    except CronSimError as error:
        found.append(
            f"spec.schedule {spec.schedule!r} is not a cron expression of five fields ({error}); example: '0 2 * * *'"
        )
    try:
        ZoneInfo(spec.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        found.append(f"spec.timeZone {spec.time_zone!r} is not an IANA time zone; example: 'Europe/Paris'")
    return found


def jitter_of(uid: str, jitter_seconds: int) -> dt.timedelta:
    """Return the constant delay of a policy, between nothing and its jitter: a hash, so that a restart does not move it."""
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
    # Within the hour that is repeated when summer time ends, the iterator begins with a slot of the first pass.
    return next(slot for slot in _slots(facts, moment) if slot > moment).astimezone(dt.UTC)


def slot_at_or_before(facts: ScheduleFacts, moment: dt.datetime) -> dt.datetime | None:
    """Return the last slot that is not later than a moment, in UTC; None where the expression has none."""
    # The iterator begins before the moment it is given, and slots fall on whole minutes.
    just_after = moment + dt.timedelta(minutes=1) - dt.timedelta(seconds=moment.second, microseconds=moment.microsecond)
    slot = next((slot for slot in _slots(facts, just_after, reverse=True) if slot <= moment), None)
    return slot.astimezone(dt.UTC) if slot else None


def fresh_until(facts: ScheduleFacts, last_success: dt.datetime, max_age: str | None) -> dt.datetime:
    """Return until when a run of this slot is young enough: its maximum age, else until two more slots have begun."""
    if max_age:
        return last_success + parse_duration(max_age)
    return slot_after(facts, slot_after(facts, last_success)) + facts.jitter


def parse_duration(text: str) -> dt.timedelta:
    """Return `26h`, `8d` or `1d12h30m` as a duration."""
    units = {"d": "days", "h": "hours", "m": "minutes"}
    return dt.timedelta(**{units[unit]: int(number) for number, unit in re.findall(r"(\d+)([dhm])", text)})


def _slots(facts: ScheduleFacts, moment: dt.datetime, *, reverse: bool = False) -> CronSim:
    return CronSim(facts.schedule, moment.astimezone(ZoneInfo(facts.time_zone)), reverse=reverse)
