"""Days of waiting, played: whatever comes in whatever order, everybody begins in time and nobody gets in another's way.

An hour is one step. In each step those end whose time is over, then all who wait ask, in a random order as passes do.
Run by pytest.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from compose_backup.api.resources import Host
from compose_backup.planning.turns import HEAD_START, InLine, Party, Room, room_of, turn
from fakes import objects
from fakes.objects import status

HOUR = dt.timedelta(hours=1)
BEGINNING = dt.datetime(2026, 10, 13, tzinfo=dt.UTC)
LAST_HOUR = 5000
ENGINES = ("engine-1", "engine-2")
VOLUMES = ("data", "db", "logs", "mail")
SERVICES = ("shop/db", "shop/web", "blog/db")


@dataclass(frozen=True)
class Wants:
    """What a policy or a restore works on."""

    engine: str
    volumes: frozenset[str]
    services: frozenset[str]


@dataclass(frozen=True)
class Wish:
    """A run of a policy, or a restore where `policy` is None. Times in hours."""

    wants: Wants
    policy: int | None
    comes: int
    held_up: int
    """So long after its coming it waits for something else than its turn."""
    attempts: tuple[int, ...]
    pause: int


wants = st.builds(
    Wants,
    st.sampled_from(ENGINES),
    st.frozensets(st.sampled_from(VOLUMES), min_size=1, max_size=3),
    st.frozensets(st.sampled_from(SERVICES), max_size=2),
)
wishes = st.tuples(
    st.integers(0, 6),  # which policy; above the number of policies it is a restore
    st.integers(0, 60),
    st.sampled_from((0, 0, 0, 3, 40)),
    st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple),
    st.integers(0, 9),
    wants,
)
days = st.builds(
    lambda policies, given: [
        Wish(policies[which] if which < len(policies) else own, which if which < len(policies) else None, *rest)
        for which, *rest, own in given
    ],
    st.lists(wants, min_size=1, max_size=5),
    st.lists(wishes, min_size=1, max_size=16),
)


def declared_hosts(limits: tuple[int, int, int]) -> list[Host]:
    """Return a ComposeHost for each limit; the last names the first engine once more."""
    engines = [objects.ENGINE.model_copy(update={"id": name}) for name in (*ENGINES, ENGINES[0])]
    hosts = [objects.host(f"srv{number}", maxConcurrentRuns=limit) for number, limit in enumerate(limits)]
    return [status(host, engine=engine) for host, engine in zip(hosts, engines, strict=True)]


hosts = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)).map(declared_hosts)


@dataclass
class Actor:
    """A wish on its way. Hours."""

    number: int
    wish: Wish
    asked_since: int = 0
    attempt: int = 0
    works_until: int | None = None
    pauses_until: int | None = None
    ended: bool = False
    longest_wait: int = 0

    def party(self, now: int) -> Party:
        wish = self.wish
        away = now < (self.pauses_until or wish.comes + wish.held_up)
        return Party(
            kind="RestoreRequest" if wish.policy is None else "BackupRun",
            namespace="prod",
            name=f"{self.number:02}",
            engine=wish.wants.engine,
            came=BEGINNING + wish.comes * HOUR,
            standing="at work" if self.works_until is not None else "aside" if away else "in line",
            policy=None if wish.policy is None else f"prod/{wish.policy}",
            began=wish.policy is not None and (self.attempt > 0 or self.works_until is not None),
            volumes=wish.wants.volumes,
            services=wish.wants.services,
        )

    def begin(self, now: int) -> None:
        self.longest_wait = max(self.longest_wait, now - self.asked_since)
        self.works_until, self.pauses_until = now + self.attempts[self.attempt], None

    def go_on(self, now: int) -> None:
        """End an attempt whose time is over."""
        if self.works_until is None or now < self.works_until:
            return
        self.works_until, self.attempt = None, self.attempt + 1
        self.ended = self.attempt == len(self.attempts)
        self.pauses_until = self.asked_since = now + self.wish.pause

    @property
    def attempts(self) -> tuple[int, ...]:
        """Hours of each attempt: a restore has only one."""
        return self.wish.attempts if self.wish.policy is not None else self.wish.attempts[:1]


@dataclass
class Play:
    """All actors, and the rooms of the engines."""

    actors: list[Actor]
    rooms: dict[str, Room]
    order: random.Random
    now: int = 0

    def present(self) -> list[Actor]:
        return [one for one in self.actors if one.wish.comes <= self.now and not one.ended]

    def said(self, actor: Actor) -> InLine | None:
        others = [one.party(self.now) for one in self.present() if one is not actor]
        self.order.shuffle(others)
        return turn(actor.party(self.now), others, self.rooms[actor.wish.wants.engine])

    def in_line(self) -> list[Actor]:
        return [one for one in self.present() if one.party(self.now).standing == "in line"]

    def step(self) -> None:
        for actor in self.present():
            actor.go_on(self.now)
        asking = self.in_line()
        self.order.shuffle(asking)
        for actor in asking:
            if self.said(actor) is None:
                actor.begin(self.now)
        self.check()
        self.now += 1

    def check(self) -> None:
        for engine, room in self.rooms.items():
            at_work = [one for one in self.present() if one.works_until is not None and one.wish.wants.engine == engine]
            assert len(at_work) <= room.limit
            assert_apart([one.party(self.now) for one in at_work])
            waiting = [one for one in self.in_line() if one.wish.wants.engine == engine]
            waiting.sort(key=lambda one: one.party(self.now).rank)
            said = [self.said(one) for one in waiting]
            assert [one.place for one in said if one] == list(range(1, len(waiting) + 1))
            names = {one.party(self.now).title for one in self.present()}
            assert all(one.behind in names for one in said if one)

    def bound(self, actor: Actor) -> int:
        """Return the most hours that one waits, each time that it is in line.

        With every attempt of one before it, it waits once until that may begin and once until it has ended; one at work
        takes the longest attempt at most. What those before it spend elsewhere comes on top.
        """
        rank, engine = actor.party(self.now).rank, actor.wish.wants.engine
        before = [one for one in self.actors if one.wish.wants.engine == engine and one.party(self.now).rank < rank]
        longest = max(max(one.attempts) for one in self.actors if one.wish.wants.engine == engine)
        attempts = sum(len(one.attempts) for one in before)
        away = sum(one.wish.held_up + one.wish.pause * len(one.attempts) for one in before)
        return longest * (2 * attempts + 2) + away


def assert_apart(parties: Collection[Party]) -> None:
    """Fail when two have something in common that only one may have."""
    policies = [party.policy for party in parties if party.policy]
    volumes = [name for party in parties for name in party.volumes or ()]
    services = [name for party in parties for name in party.services]
    for taken in (policies, volumes, services):
        assert len(taken) == len(set(taken)), parties


def played(wishes: list[Wish], rooms: dict[str, Room], seed: int) -> Iterator[Play]:
    play = Play([Actor(number, wish) for number, wish in enumerate(wishes)], rooms, random.Random(seed))
    for actor in play.actors:
        actor.asked_since = actor.wish.comes + actor.wish.held_up
    while not all(actor.ended for actor in play.actors):
        assert play.now < LAST_HOUR, "somebody waits for ever"
        play.step()
        yield play


@settings(max_examples=100, deadline=None)
@given(days, hosts, st.integers(0, 2**32))
def test_everybody_begins_in_time_and_apart_from_others(wishes: list[Wish], declared: list[Host], seed: int) -> None:
    rooms = {host.status.engine.id: room_of(host, declared) for host in declared if host.status.engine}
    *_, end = played(wishes, rooms, seed)
    for actor in end.actors:
        assert actor.longest_wait <= end.bound(actor), (actor, end.bound(actor))


def test_a_stream_of_younger_ones_starves_nobody() -> None:
    """Each hour another one comes for one of two volumes; the one that wants both came first, and has its turn."""
    both = Wish(Wants("engine-1", frozenset({"data", "logs"}), frozenset()), 99, 1, 0, (2,), 0)
    stream = [
        Wish(Wants("engine-1", frozenset({("data", "logs")[hour % 2]}), frozenset()), hour, hour, 0, (2,), 0)
        for hour in range(48)
    ]
    rooms = {"engine-1": Room(4, "ComposeHost prod/srv1")}
    *_, end = played([*stream, both], rooms, 7)
    assert end.actors[-1].longest_wait <= 2


def test_a_stream_of_restores_holds_a_backup_up_for_a_day_at_most() -> None:
    wants = Wants("engine-1", frozenset({"data"}), frozenset())
    stream = [Wish(wants, None, hour, 0, (1,), 0) for hour in range(100)]
    *_, end = played([*stream, Wish(wants, 1, 10, 0, (1,), 0)], {"engine-1": Room(1, "ComposeHost prod/srv1")}, 7)
    assert end.actors[-1].longest_wait <= HEAD_START / HOUR + 1
