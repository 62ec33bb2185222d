"""Who may run when: the one place that decides between runs and restores, on whatever ComposeHosts they were declared.

1. Never two at a time on one volume, with one service, or of one policy; never more on an engine than its ComposeHosts
   allow: the smallest `maxConcurrentRuns` counts for all that name it.
2. Who comes first goes first. A restore counts as if it had come `HEAD_START` earlier: somebody sits and waits for it,
   so it goes before every backup that only waits and has not done so for a whole day.
3. Who waits reserves its volumes and services: nobody who came later takes them, so they become free in the end.
4. Who competes for none of them may go ahead while the engine has room. That holds nobody up: whoever works in the way
   of an older one gives its room back together with what the older one waits for.
5. Who waits for something else than its turn (a pause between attempts, a repository, a person) stands aside: it
   reserves nothing and holds up nobody, but a younger run of its policy, and a younger restore of its targets.

So the first in line begins when those end that are at work now, and everybody is the first one day: at most those begin
before it that came before it, or, being restores, within `HEAD_START` after it.

Called by planning/backup.py and planning/restore.py.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from compose_backup.api import reasons
from compose_backup.api.resources import Host
from compose_backup.planning import humanize
from compose_backup.planning.checks import Objection

HEAD_START = dt.timedelta(days=1)
EXACT_PLACES = 10
"""Farther back a place is told in steps that double: else all who wait would be written whenever one has ended."""

Standing = Literal["at work", "in line", "aside"]
What = Literal["policy", "volume", "service"]
Thing = tuple[What, str]


@dataclass(frozen=True)
class Party:
    """A run or restore that is not finished, as far as others are concerned."""

    kind: str
    namespace: str
    name: str
    engine: str | None
    """Engine id; None where the host is not known."""
    came: dt.datetime
    standing: Standing
    policy: str | None = None
    """`namespace/name`; None for a restore."""
    began: bool = False
    """Whether a run has had an attempt: nobody else of its policy begins before it has ended."""
    volumes: frozenset[str] | None = None
    """Full names; None while they are not known. Such a restore may want any of them."""
    services: frozenset[str] = frozenset()
    """`project/service` or container name of those that are brought to rest for it, as far as known."""

    @property
    def title(self) -> str:
        """How people know it."""
        return f"{self.kind} {self.namespace}/{self.name}"

    @property
    def is_restore(self) -> bool:
        """Whether it writes to its volumes."""
        return self.policy is None

    @cached_property
    def rank(self) -> tuple[dt.datetime, str, str, str]:
        """Where it stands in line: the smallest first."""
        return self.came - HEAD_START if self.is_restore else self.came, self.kind, self.namespace, self.name

    @cached_property
    def things(self) -> tuple[Thing, ...]:
        """What it does not share with anybody: made out once, since one decision may ask a thousand."""
        return tuple(self._things())

    def _things(self) -> Iterator[Thing]:
        if self.policy is not None:
            yield "policy", self.policy
        yield from (("volume", name) for name in self.volumes or ())
        yield from (("service", name) for name in self.services)


@dataclass(frozen=True)
class Room:
    """How many may be at work on an engine at a time, and the ComposeHost that says so."""

    limit: int
    said_by: str


@dataclass(frozen=True)
class InLine(Objection):
    """It is not its turn: at which place it waits, 1 for the next, and for whom."""

    place: int = 1
    behind: str = ""
    """Kind, namespace and name of the one it waits for."""

    @property
    def queue(self) -> str:
        """Place and predecessor in short, for a column."""
        return f"{told(self.place)}, after {self.behind}"


def room_of(host: Host, hosts: Iterable[Host]) -> Room:
    """Return the room on the engine of a host: of all hosts that name it the smallest number counts."""
    engine = host.status.engine.id if host.status.engine else None
    sharing = [host, *(one for one in hosts if one.status.engine and one.status.engine.id == engine)]
    strictest = min(sharing, key=lambda one: one.spec.max_concurrent_runs)
    return Room(strictest.spec.max_concurrent_runs, f"ComposeHost {strictest.namespace}/{strictest.name}")


def told(place: int) -> str:
    """Return a place as it is told: `7`, and from the eleventh on `over 10`, `over 20`, `over 40` and so on."""
    if place <= EXACT_PLACES:
        return str(place)
    passed = EXACT_PLACES
    while passed * 2 < place:
        passed *= 2
    return f"over {passed}"


def turn(asking: Party, others: Collection[Party], room: Room) -> InLine | None:
    """Return None where one may begin now, else at which place it waits, for whom and for what.

    `others` are all that are not finished, of all engines, in any order. Those before it that may begin themselves
    count as at work already, whoever asks first.
    """
    line = _Line.of([*others, asking], asking.engine, room)
    before, engine = asking.rank, asking.engine
    ahead = [(one.rank, one) for one in others if one.standing == "in line" and one.engine == engine]
    for _, party in sorted((one for one in ahead if one[0] < before), key=lambda one: one[0]):
        line.call(party)
    obstacle = line.obstacle(asking)
    if obstacle is None:
        return None
    reason, why = line.why(obstacle)
    place = line.waiting + 1
    return InLine(reason, f"place {told(place)} in the queue: {why}", "wait", place, obstacle.other.title)


@dataclass(frozen=True)
class _Obstacle:
    """What keeps one from beginning: another one, and the things that both want; none where only room is missing."""

    other: Party
    shared: tuple[Thing, ...] = ()
    is_aside: bool = False
    """Whether the other one does not wait for its turn: then nothing is reserved, since nobody knows for how long."""


@dataclass
class _Line:
    """An engine while those in line are called up, one after the other."""

    room: Room
    at_work: list[Party]
    aside_by_policy: dict[str, list[Party]] = field(default_factory=dict)
    aside_restores: list[Party] = field(default_factory=list)
    held: dict[Thing, tuple[int, Party]] = field(default_factory=dict)
    """What is taken or reserved, by whom, and as which in line: the last, where several wait for it."""
    let_in: list[Party] = field(default_factory=list)
    waiting: int = 0
    last_for_room: Party | None = None

    @staticmethod
    def of(parties: Iterable[Party], engine: str | None, room: Room) -> _Line:
        """Return the engine before anybody is called up."""
        line = _Line(room, [])
        for party in parties:
            if party.standing == "at work" and party.engine == engine:
                line.at_work.append(party)
                line.held |= dict.fromkeys(party.things, (0, party))
            # One that has begun keeps others of its policy out, also from another engine or between two attempts.
            elif party.policy is not None and (party.standing == "aside" or party.began):
                line.aside_by_policy.setdefault(party.policy, []).append(party)
            elif party.is_restore and party.standing == "aside" and party.engine == engine:
                line.aside_restores.append(party)
        return line

    def call(self, party: Party) -> None:
        """Call up the next in line: it goes in, or waits and keeps those behind it from what it wants."""
        obstacle = self.obstacle(party)
        if obstacle is None:
            self.let_in.append(party)
        else:
            self.waiting += 1
            self.last_for_room = self.last_for_room if obstacle.shared else party
        if obstacle is None or not obstacle.is_aside:
            self.held |= dict.fromkeys(party.things, (self.waiting + len(self.let_in), party))

    def obstacle(self, party: Party) -> _Obstacle | None:
        """Return what keeps one from beginning, or None."""
        return self._of_its_policy(party) or self._restore_before(party) or self._conflict(party) or self._no_room()

    def _of_its_policy(self, party: Party) -> _Obstacle | None:
        if party.policy is None or party.began:
            return None
        for other in self.aside_by_policy.get(party.policy, ()):
            if other is not party and (other.began or other.rank < party.rank):
                return _Obstacle(other, (("policy", party.policy),), is_aside=True)
        return None

    def _restore_before(self, party: Party) -> _Obstacle | None:
        """Return an older restore that wants one of the targets: the last one asked for is the last to write."""
        for other in self.aside_restores if party.is_restore else ():
            if other.rank < party.rank and (shared := _wanted_by_both(other, party)):
                return _Obstacle(other, shared, is_aside=True)
        return None

    def _conflict(self, party: Party) -> _Obstacle | None:
        if self.held.keys().isdisjoint(party.things):
            return None
        owners = {thing: self.held[thing] for thing in party.things if thing in self.held}
        _, other = max(owners.values(), key=lambda owner: owner[0])
        return _Obstacle(other, tuple(thing for thing, owner in owners.items() if owner[1] is other))

    def _no_room(self) -> _Obstacle | None:
        inside = [*self.at_work, *self.let_in]
        return _Obstacle(self.last_for_room or inside[0]) if len(inside) >= self.room.limit else None

    def why(self, obstacle: _Obstacle) -> tuple[str, str]:
        """Return the reason and the words for what keeps one from beginning."""
        other, kinds = obstacle.other, {kind for kind, _ in obstacle.shared}
        is_first = "is at work" if other.standing == "at work" else "comes first"
        if not obstacle.shared:
            return reasons.HOST_BUSY, self._why_no_room()
        if "policy" in kinds:
            return reasons.PENDING, f"{other.title} of the same policy is not finished"
        names = humanize.listed(sorted(name for kind, name in obstacle.shared if kind == "volume"))
        if "volume" in kinds:
            reason = reasons.RESTORE_ACTIVE if other.is_restore else reasons.VOLUMES_BUSY
            return reason, f"{other.title} {is_first} on {names or 'volumes that it still looks for'}"
        names = humanize.listed(sorted(name for _, name in obstacle.shared))
        return reasons.SERVICES_BUSY, f"{other.title} {is_first}, and has to do with {names} as well"

    def _why_no_room(self) -> str:
        full = f"maxConcurrentRuns of {self.room.said_by} is {self.room.limit}"
        if self.last_for_room:
            return f"{self.last_for_room.title} comes first; {full}"
        return f"{humanize.listed([one.title for one in [*self.at_work, *self.let_in]])} at work on the engine; {full}"


def _wanted_by_both(other: Party, party: Party) -> tuple[Thing, ...]:
    if other.volumes is None or party.volumes is None:
        return (("volume", ""),)
    return tuple(("volume", name) for name in sorted(other.volumes & party.volumes))
