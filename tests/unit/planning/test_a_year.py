"""A year of slots, played: each one runs once, or it is known why not.

The decisions are the real ones: of a policy about its slot, of a run about its start. Everything else is played, and
chance decides over it: how long runs take, when the host is away, when the operator is down or dies between two writes,
edits, suspensions, and a clock that is set forward and back. An operator that starts knows nothing but the objects.

Which slots there are is worked out by the clock on the wall of Paris, without the code under test. Run by pytest.
"""

from __future__ import annotations

import datetime as dt
import heapq
import itertools
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from compose_backup.api.backup_run import Failure
from compose_backup.api.resources import Host, Policy, Run
from compose_backup.planning import backup, competitors, schedule
from compose_backup.planning.checks import Objection
from compose_backup.planning.competitors import NOTHING_SEEN, Place
from compose_backup.planning.conditions import conditions, still_waiting
from compose_backup.planning.facts import Inventory, Volume
from compose_backup.planning.policy import NewRun, PolicyFacts, plan
from fakes import objects
from fakes.objects import spec, status

PARIS = ZoneInfo("Europe/Paris")
HOUR, MINUTE = dt.timedelta(hours=1), dt.timedelta(minutes=1)
BEGINNING = dt.datetime(2026, 1, 10, 9, 17, tzinfo=dt.UTC)
END = BEGINNING + dt.timedelta(days=366)
LONGEST_LOOK = 12 * HOUR
"""A running operator looks at each policy more often; the rarer, the more has to be made up for."""
VOLUMES = Inventory((Volume("data"), Volume("logs")))
HOST, REPOSITORY = objects.host(), objects.repository()


@dataclass(frozen=True)
class Times:
    """When a policy runs, as a person would say it."""

    minute: int
    hours: tuple[int, ...]
    weekday: int | None = None
    """0 is Monday; None for every day."""

    @property
    def cron(self) -> str:
        day = "*" if self.weekday is None else str((self.weekday + 1) % 7)
        return f"{self.minute} {','.join(map(str, self.hours))} * * {day}"

    def slots(self, after: dt.datetime, until: dt.datetime) -> list[dt.datetime]:
        """Return the moments after one and up to another, by the clock on the wall."""
        first = after.astimezone(PARIS).date() - dt.timedelta(days=1)
        days = (first + dt.timedelta(days=number) for number in itertools.count())
        wanted = itertools.takewhile(lambda day: day <= until.astimezone(PARIS).date(), days)
        on = (day for day in wanted if self.weekday in (None, day.weekday()))
        moments = {self._on_the_wall(day, hour) for day in on for hour in self.hours}
        return sorted(moment for moment in moments if after < moment <= until)

    def _on_the_wall(self, day: dt.date, hour: int) -> dt.datetime:
        """Return when the clock shows this time first; in the night in which it never does, when the gap is over."""
        local = dt.datetime.combine(day, dt.time(hour, self.minute), PARIS)
        moment = local.astimezone(dt.UTC)
        if moment.astimezone(PARIS).hour == hour:
            return moment
        return moment.replace(minute=0)  # the gap begins and ends on a full hour


NIGHTLY = Times(30, (2,))
CHOICES = (NIGHTLY, Times(0, (2, 14)), Times(45, (1, 3)), Times(30, (2,), weekday=6))


@dataclass
class Slots:
    """What became of the slots of one policy."""

    times: Times
    seen_until: dt.datetime
    pending: set[dt.datetime] = field(default_factory=set)
    fate: dict[dt.datetime, str] = field(default_factory=dict)

    def come(self, now: dt.datetime) -> None:
        """Take in the slots that have come by now."""
        if now > self.seen_until:
            self.pending |= {slot for slot in self.times.slots(self.seen_until, now) if slot not in self.fate}
            self.seen_until = now

    def change(self, times: Times, now: dt.datetime) -> None:
        """Go by other times from now on; what a clock that was ahead has shown of the old ones never comes."""
        self.come(now)
        self.times, self.seen_until = times, now
        self.pending = {slot for slot in self.pending if slot <= now}

    def settle(self, policy: Policy, created: NewRun | None, now: dt.datetime) -> None:
        """Find out what became of those that have come, after a look at the policy. Some lie ahead once more."""
        told = policy.status
        assert told.schedule_anchor_time
        if created and created.trigger == "Schedule":
            self.fate[created.slot] = "fired"
            self.pending.discard(created.slot)
        for slot in sorted(slot for slot in self.pending if slot <= now):
            if slot <= told.schedule_anchor_time:
                fate = "before the anchor"
            elif told.last_schedule_time and slot <= told.last_schedule_time:
                fate = "coalesced"
            elif policy.spec.suspend:
                fate = "suspended"
            else:
                assert told.active_run, f"{policy.name}: nothing keeps {slot} from running"
                continue
            self.fate[slot] = fate
            self.pending.discard(slot)


@dataclass
class Year:
    """The objects, the clocks, and what is going to happen."""

    chance: random.Random
    now: dt.datetime = BEGINNING
    skew: dt.timedelta = dt.timedelta()
    """How far the operator's clock is ahead of the truth, which is the API server's."""
    policies: dict[str, Policy] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    slots: dict[str, Slots] = field(default_factory=dict)
    created: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    is_up: bool = True
    host_answers: bool = True
    ends: dict[str, dt.datetime] = field(default_factory=dict)
    """When the agent of a run is done, whether anybody looks or not."""
    looks: dict[str, dt.datetime] = field(default_factory=dict)
    """When each policy is looked at next: all that an operator has in mind."""
    coming: list[tuple[dt.datetime, int, str, str]] = field(default_factory=list)
    count: Iterator[int] = field(default_factory=itertools.count)

    @property
    def clock(self) -> dt.datetime:
        """What the operator takes for the present."""
        return self.now + self.skew

    def plan(self, after: dt.timedelta, what: str, name: str = "") -> None:
        heapq.heappush(self.coming, (self.now + after, next(self.count), what, name))

    def plan_look(self, name: str, after: dt.timedelta) -> None:
        self.looks[name] = self.now + after
        self.plan(after, "look", name)

    def apply(self, name: str, times: Times, **changes: Any) -> None:
        given = objects.policy(name, schedule=times.cron, timeZone="Europe/Paris", **changes)
        self.policies[name] = replace(given, created=self.now)
        self.slots[name] = Slots(times, self.now)

    def play(self) -> None:
        for name in self.policies:
            self.plan_look(name, dt.timedelta())
        for what, days in (("down", 9), ("edit", 24), ("suspend", 30), ("clock", 20), ("away", 12)):
            self.plan(self.in_days(days), what)
        while self.coming and self.now < END:
            self.now, _, what, name = heapq.heappop(self.coming)
            getattr(self, f"on_{what}")(name)
            if self.is_up:
                self.look_at_runs()

    def in_days(self, days: float) -> dt.timedelta:
        return dt.timedelta(minutes=1 + int(self.chance.expovariate(1 / (days * 1440))))

    def on_down(self, _: str) -> None:
        if not self.is_up:
            return
        self.is_up = False
        self.looks = {}
        self.plan(dt.timedelta(minutes=self.chance.choice((1, 5, 90, 3000))), "up")

    def on_up(self, _: str) -> None:
        self.is_up = True
        for name in self.policies:
            self.look(name)
        if all(what != "down" for _, _, what, _ in self.coming):
            self.plan(self.in_days(9), "down")

    def on_edit(self, _: str) -> None:
        name = self.chance.choice(sorted(self.policies))
        times = self.chance.choice(CHOICES)
        self.slots[name].change(times, self.clock)
        self.policies[name] = spec(self.policies[name], schedule=times.cron)
        self.changed(name)
        self.plan(self.in_days(24), "edit")

    def on_suspend(self, _: str) -> None:
        resting = [one for one in sorted(self.policies) if self.policies[one].spec.suspend]
        name = self.chance.choice(resting or sorted(self.policies))
        self.slots[name].come(self.clock)
        self.policies[name] = spec(self.policies[name], suspend=not self.policies[name].spec.suspend)
        self.changed(name)
        self.plan(self.in_days(3 if self.policies[name].spec.suspend else 30), "suspend")

    def changed(self, name: str) -> None:
        if self.is_up:
            self.look(name)

    def on_clock(self, _: str) -> None:
        self.skew = self.chance.choice((dt.timedelta(), -20 * HOUR, 26 * HOUR, -90 * MINUTE, 3 * HOUR))
        self.plan(self.in_days(20), "clock")

    def on_away(self, _: str) -> None:
        self.host_answers = not self.host_answers
        self.plan(self.in_days(12 if self.host_answers else 0.3), "away")

    def on_look(self, name: str) -> None:
        if self.is_up and self.looks.get(name) == self.now:  # only the latest plan counts, as in the work queue
            self.look(name)

    def on_ended(self, _: str) -> None:
        """An agent is done: look_at_runs sees it, if somebody looks."""

    def look(self, name: str) -> None:
        """Make a pass over a policy: create what is due, forget what is old, then write the status."""
        policy = self.policies[name]
        mine = tuple(run for run in self.runs.values() if run.spec.policy_ref.name == name)
        made = plan(PolicyFacts(policy, self.host(), REPOSITORY, VOLUMES, (), mine, None, self.clock))
        due = self.clock - schedule.jitter_of(policy.uid, policy.spec.jitter_seconds)
        self.slots[name].come(due)
        for run in made.forget:
            del self.runs[run.name]
        if made.create and made.create.name not in self.runs:
            self.create(name, made.create)
            if self.chance.random() < 0.05:  # the operator dies before it has written down what it has done
                self.slots[name].fate[made.create.slot] = "fired"
                self.slots[name].pending.discard(made.create.slot)
                self.on_down("")
                return
        self.policies[name] = replace(policy, status=made.status)
        self.slots[name].settle(self.policies[name], made.create, due)
        wait = made.look_again_at - self.clock if made.look_again_at else LONGEST_LOOK
        self.plan_look(name, min(max(wait, dt.timedelta()), LONGEST_LOOK))

    def create(self, policy: str, new: NewRun) -> None:
        self.created[new.name] += 1
        run = objects.run(new.name, new.slot, policyRef={"name": policy}, trigger=new.trigger)
        self.runs[new.name] = replace(run, created=self.now, owner_uids=frozenset({self.policies[policy].uid}))

    def host(self) -> Host:
        return HOST if self.host_answers else status(HOST, conditions=objects.ready("False", "Unreachable"))

    def look_at_runs(self) -> None:
        """Make a pass over each run that is not finished, in any order, until nothing happens any more."""
        happened = True
        while happened and self.is_up:
            happened = any(self.pass_over(run) for run in self.shuffled())

    def shuffled(self) -> list[Run]:
        active = [run for run in self.runs.values() if not run.finished]
        self.chance.shuffle(active)
        return active

    def pass_over(self, run: Run) -> bool:
        if run.status.resolved is None:
            return self.admit(run)
        if self.now < self.ends[run.name]:
            return False
        good = self.chance.random() < 0.9
        self.end(run, "Succeeded" if good else "Failed")
        return True

    def admit(self, run: Run) -> bool:
        verdict = backup.admit(self.facts(run))
        if isinstance(verdict, Objection) and verdict.then == "wait":
            said = conditions(still_waiting(verdict), run.status.conditions, 1, self.clock)
            self.runs[run.name] = status(run, phase="Pending", conditions=said, observed_generation=1)
            return False
        if isinstance(verdict, Objection):
            assert verdict.then == "skip", verdict
            self.skipped += 1
            self.end(run, "Skipped", Failure(reason=verdict.reason, message=verdict.message))
            return True
        assert not any(one.status.phase == "Running" for one in self.runs.values()), "two at a time"
        self.runs[run.name] = status(run, phase="Running", resolved=verdict)
        takes = self.chance.choice((3 * MINUTE, 3 * MINUTE, 20 * MINUTE, 20 * MINUTE, 2 * HOUR, 9 * HOUR, 40 * HOUR))
        self.ends[run.name] = self.now + takes
        self.plan(takes, "ended")
        return True

    def facts(self, run: Run) -> backup.RunFacts:
        host = self.host()
        place = Place(host, REPOSITORY)
        others = (one for one in self.runs.values() if not one.finished and one.name != run.name)
        return backup.RunFacts(
            run=run,
            policy=self.policies[run.spec.policy_ref.name],
            host=host,
            hosts=(host,),
            repository=REPOSITORY,
            inventory=VOLUMES,
            repository_volumes=(),
            others=tuple(
                competitors.of_run(one, self.policies[one.spec.policy_ref.name], place, self.clock) for one in others
            ),
            usage=NOTHING_SEEN,
            now=self.clock,
        )

    def end(self, run: Run, phase: str, failure: Failure | None = None) -> None:
        self.runs[run.name] = status(run, phase=phase, completion_time=self.clock, failure=failure)
        self.look(run.spec.policy_ref.name)


@pytest.mark.parametrize("seed", range(3))
def test_each_slot_runs_once_or_it_is_known_why_not(seed: int) -> None:
    year = Year(random.Random(seed))
    year.apply("nightly", NIGHTLY)
    year.apply("twice", Times(0, (2, 14)), jitterSeconds=1800)
    year.apply("weekly", Times(30, (2,), weekday=6), startingDeadlineSeconds=14400)
    year.play()
    fates: Counter[str] = Counter()
    for name, slots in year.slots.items():
        slots.come(year.clock)
        late = [slot for slot in slots.pending if slot < year.clock - dt.timedelta(days=10)]
        assert not late, f"{name}: nothing became of {late}"
        fates.update(slots.fate.values())
        fired = {f"{name}-{slot:%Y%m%d%H%M}" for slot, fate in slots.fate.items() if fate == "fired"}
        made = {run for run in year.created if run.startswith(f"{name}-")}
        assert made == fired
    assert set(year.created.values()) == {1}, year.created.most_common(3)
    assert all(fates[fate] > 3 for fate in ("fired", "coalesced", "before the anchor", "suspended")), fates
    assert year.skipped > 0
