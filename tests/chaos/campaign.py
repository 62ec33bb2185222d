"""A campaign: round after round something dies at a named moment, and afterwards everything must be as it was.

Called by __main__.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from chaos import faults, invariants, ledger, repository_checks
from chaos.cluster_api import Document, is_finished, phase
from chaos.faults import FAULTS
from chaos.invariants import Before, Host
from chaos.ledger import Entry
from chaos.moments import PLURALS, Sight, wait_for
from chaos.place import HOST, POLICIES, Place
from chaos.project import VOLUMES
from chaos.schedule import KILLS_CONTAINERS, Round
from realparts.steps import say

MOMENT_SECONDS = 90.0
REST_SECONDS = 60.0
SETTLE_SECONDS = 120.0
NEXT_SECONDS = 120.0
LOOK_SECONDS = 0.3
API = "backup.dockerwarts.io/v1alpha1"
Look = Callable[[], list[str]]


@dataclass
class Campaign:
    """One sitting on one place."""

    place: Place
    host: Host
    proves_each: bool = True
    """Whether every round reads all copies and ends with another run, which must succeed.

    A short campaign reads one copy a round, of one volume after the other, and all that there is at its end.
    """
    requests: int = 0
    _let_go: set[tuple[str, str]] = field(default_factory=set)

    def play(self, one: Round) -> Entry:
        """Play one round and return what became of it."""
        say(str(one))
        self.place.refill()
        before = invariants.before(self.host)
        sight = self._begin(one)
        hit = wait_for(one.moment, sight, MOMENT_SECONDS)
        before = replace(before, down=invariants.down_now(self.host) | sight.going_down())
        struck = time.monotonic_ns()
        objections: list[str] = []
        if hit:
            hit, objections = self._strike(one, sight)
        say(f"  {'struck' if hit else 'missed'} with these down: {', '.join(sorted(before.down))}")
        objections += self._settled(one, sight, before)
        found = self.place.objects.get(PLURALS[one.work], sight.name)
        objections += self._judged(one, before, found)
        back = invariants.seconds_to_come_back(self.host, before, struck)
        longest = invariants.longest_down(self.host, before)
        if not objections:
            objections += self._made_whole()
        if self.proves_each and not objections:
            objections += self.next_run()
        return ledger.entry(
            one,
            hit=hit,
            outcome=_outcome(found),
            seconds_to_come_back=round(back, 1),
            longest_down=round(longest, 1),
            objections=tuple(objections),
        )

    def prepare(self) -> list[str]:
        """Have one good run before anything dies: restores need it."""
        return self.next_run()

    def next_run(self) -> list[str]:
        """Ask for a run with nothing in its way; it must succeed."""
        self.place.refill()
        before = invariants.before(self.host)
        run = self._requested_run(POLICIES["staged" if self.requests % 2 else "backup"])
        objections = self._waited(lambda: self._not_finished(PLURALS["backup"], run), NEXT_SECONDS)
        found = self.place.objects.get(PLURALS["backup"], run["metadata"]["name"])
        if phase(found) != "Succeeded":
            return [*objections, f"the next run: {_outcome(found)} {_message(found)}"]
        objections += self._waited(self._at_rest, SETTLE_SECONDS)
        return objections + self._proved(before, found)

    # A round in its steps

    def _begin(self, one: Round) -> Sight:
        mark = self.place.watch.mark()
        document = (
            self._requested_run(POLICIES[one.work]) if one.is_run else self._requested_restore(f"back-{one.number}")
        )
        meta = document["metadata"]
        root = Path(self.place.api.get("/info")["DockerRootDir"])
        return Sight(self.place.watch, mark, self.place.objects, root, one.work, meta["name"], meta["uid"])

    def _strike(self, one: Round, sight: Sight) -> tuple[bool, list[str]]:
        """Let the fault happen and be made good again; what cannot touch the agent must not keep services down."""
        fault = FAULTS[one.fault]
        objections: list[str] = []
        try:
            hit = fault.strike(self.place, sight)
            if fault.alone and self._agent_lives(sight):
                alone = self._waited(lambda: self._not_alone_at_rest(sight), SETTLE_SECONDS)
                objections = [f"while it lasted: {objection}" for objection in alone]
            elif fault.lasts:
                self._waited(lambda: [] if sight.is_finished() else ["it works"], REST_SECONDS)
        finally:
            fault.heal(self.place)
        return hit, objections

    def _settled(self, one: Round, sight: Sight, before: Before) -> list[str]:
        """Wait until everything is as it must be; what is still not so then is the objection."""

        def look() -> list[str]:
            if one.fault.startswith("dockerd"):
                self._end_what_holds_a_container()
            if one.fault in KILLS_CONTAINERS:
                self._start_what_docker_left(before)
            if self._is_kept_stopped(one, sight):
                return [*invariants.kept_stopped(self.host), *invariants.leftovers(self.host, journal_stays=True)]
            return [*self._not_finished_or_gone(one, sight), *self._at_rest()]

        return self._waited(look, SETTLE_SECONDS)

    def _judged(self, one: Round, before: Before, found: Document | None) -> list[str]:
        """Compare what the object says with what is there."""
        restic, scratch = self.place.plain_restic, self.place.directory
        objections = list(self._one_answer(one, found))
        if self._is_down():
            return objections
        objections += invariants.continuous(self.host)
        if one.is_run or phase(found) != "Succeeded":
            objections += invariants.untouched(self.host, before)
        elif found is not None:
            keys = self._keys_of(one)
            objections += repository_checks.good_restore(restic, self.host, before, found, scratch, keys)
        if one.is_run and found is not None and phase(found) == "Succeeded":
            objections += self._proved(before, found, self._keys_of(one))
        return objections

    def _keys_of(self, one: Round) -> tuple[str, ...]:
        return VOLUMES if self.proves_each else (VOLUMES[one.number % len(VOLUMES)],)

    def _made_whole(self) -> list[str]:
        """Where services are kept stopped, another restore must bring them back."""
        if not self._is_down():
            return []
        before = invariants.before(self.host)
        request = self._requested_restore("again")
        objections = self._waited(lambda: self._not_finished(PLURALS["restore"], request), NEXT_SECONDS)
        found = self.place.objects.get(PLURALS["restore"], request["metadata"]["name"])
        if phase(found) != "Succeeded" or found is None:
            return [*objections, f"the restore after it: {_outcome(found)} {_message(found)}"]
        objections += self._waited(self._at_rest, SETTLE_SECONDS)
        restic, scratch = self.place.plain_restic, self.place.directory
        return objections + list(repository_checks.good_restore(restic, self.host, before, found, scratch))

    # Looks

    def _at_rest(self) -> list[str]:
        return [*invariants.services(self.host), *invariants.leftovers(self.host)]

    def _not_alone_at_rest(self, sight: Sight) -> list[str]:
        if self._is_kept_alone(sight):
            return []
        return [*(["the agent works"] if self._agent_lives(sight) else []), *invariants.services(self.host)]

    def _is_kept_alone(self, sight: Sight) -> bool:
        """An agent whose restore has failed keeps services stopped, and nobody can say so before it is asked."""
        return sight.work == "restore" and not self._agent_lives(sight) and sight.told(b'"keptStopped":true')

    def _agent_lives(self, sight: Sight) -> bool:
        return bool((self.place.api.container(sight.agent) or {}).get("State", {}).get("Running"))

    def _is_down(self) -> bool:
        """Say whether a service that goes down in a window is down now."""
        names = invariants.down_now(self.host)
        return any(member.name in names and member.service != "asleep" for member in self.host.members)

    def _is_kept_stopped(self, one: Round, sight: Sight) -> bool:
        """Say whether the object or, when it was deleted, the host says that a restore keeps services stopped."""
        if one.is_run:
            return False
        host = self.place.objects.get("composehosts", HOST) or {}
        kept = any(item.get("keptStopped") for item in host.get("status", {}).get("unresumed", []))
        found = self.place.objects.get(PLURALS["restore"], sight.name)
        return kept and (found is None or is_finished(found))

    def _not_finished_or_gone(self, one: Round, sight: Sight) -> list[str]:
        found = self.place.objects.get(PLURALS[one.work], sight.name)
        if found is None and one.fault == "deleted":
            return []
        return [] if is_finished(found) else [f"{sight.name} is {phase(found) or 'gone'}: {_message(found)}"]

    def _not_finished(self, plural: str, document: Document) -> list[str]:
        found = self.place.objects.get(plural, document["metadata"]["name"])
        return [] if is_finished(found) else [f"{document['metadata']['name']} is {phase(found)}: {_message(found)}"]

    def _one_answer(self, one: Round, found: Document | None) -> Iterator[str]:
        if one.is_run:
            wanted = self.place.objects.get("backuppolicies", POLICIES[one.work]) or {}
            value = wanted["metadata"]["annotations"]["backup.dockerwarts.io/run-requested"]
            if wanted.get("status", {}).get("lastHandledRunRequest") != value:
                yield "the request is not echoed in the status of the policy"
            runs = [run for run in self.place.objects.all("backupruns") if run["metadata"]["uid"] not in self._known]
            yield from invariants.one_run(runs, was_deleted=one.fault == "deleted")
        elif found is None and one.fault != "deleted":
            yield "the restore is gone"

    def _proved(self, before: Before, run: Document | None, keys: Sequence[str] = VOLUMES) -> list[str]:
        """Open the repository and compare copies with what the services had written."""
        if run is None:
            return []
        restic, scratch = self.place.plain_restic, self.place.directory
        wrong = repository_checks.good_run(restic, self.host, before, run, scratch, keys)
        return [*wrong, *(repository_checks.sound(restic) if len(keys) == len(VOLUMES) else ())]

    def _start_what_docker_left(self, before: Before) -> None:
        """Do what the user would have to do without us: start what died with the engine and has no policy for it.

        Not beside an agent at work, unless that waits for it: what shares a network cannot start before its owner.
        """
        left = invariants.left_to_docker(self.host, before)
        errors = [str(self.host.state(member).get("Error", "")) for member in self.host.members]
        if left and (not self._agents() or any("non running container" in error for error in errors)):
            self.place.engine.docker("start", *left, check=False)

    def _end_what_holds_a_container(self) -> None:
        """Do what only a person can do: end the shim of a container that ended while Engine 20.10 was coming back.

        With live restore the engine may lose it, and then answers every start with "task …: already exists"; being
        restarted does not help it. Once each: the error stays until the next start, which has a shim of its own.
        """
        for id_ in (*(member.id for member in self.host.members), *self._agent_ids()):
            state = (self.place.api.container(id_) or {}).get("State", {})
            held = (id_, state.get("StartedAt"))
            if state.get("Running") or held in self._let_go or not state.get("Error", "").endswith("already exists"):
                continue
            self._let_go.add(held)
            say(f"  the engine cannot start {id_[:12]} again: its shim is ended, as a person would do")
            faults.end_shim(self.place.daemon, id_)

    def _agent_ids(self) -> list[str]:
        return [one["Id"] for one in invariants.agents(self.place.api)]

    def _agents(self) -> list[Document]:
        return list(invariants.agents(self.place.api))

    def _waited(self, look: Look, seconds: float) -> list[str]:
        """Return nothing as soon as a look finds no objection, and the last objections when the time is over."""
        deadline = time.monotonic() + seconds
        while objections := self._tried(look):
            if time.monotonic() > deadline:
                return [f"not within {seconds:.0f} s: {'; '.join(objections)}"]
            self.place.watch.wait_for_news(self.place.watch.mark(), LOOK_SECONDS)
        return []

    def _tried(self, look: Look) -> list[str]:
        try:
            return look()
        except Exception as away:  # engine or API server may be away: then nobody can say that all is well
            return [f"{type(away).__name__}: {away}"]

    # Requests

    _known: frozenset[str] = frozenset()

    def _requested_run(self, policy: str) -> Document:
        self.requests += 1
        self._known = frozenset(run["metadata"]["uid"] for run in self.place.objects.all("backupruns"))
        self.place.objects.annotate("backuppolicies", policy, "run-requested", f"request-{self.requests}")
        found: list[Document] = []

        def look() -> list[str]:
            found[:] = [
                one for one in self.place.objects.all("backupruns") if one["metadata"]["uid"] not in self._known
            ]
            return [] if found else ["no run was made"]

        if late := self._waited(look, MOMENT_SECONDS):
            raise AssertionError(f"{late[0]}\n{self.place.operator.log_file.read_text()[-4000:]}")
        return found[0]

    def _requested_restore(self, name: str) -> Document:
        document = {
            "apiVersion": API,
            "kind": "RestoreRequest",
            "metadata": {"name": f"{name}-{self.requests}"},
            "spec": {"source": {"policyRef": {"name": POLICIES["backup"]}}, "existingData": "Mirror"},
        }
        self.requests += 1
        return self.place.objects.create(PLURALS["restore"], document)


def begun(place: Place, *, proves_each: bool = True) -> Campaign:
    """Return a campaign on a place, after its first good run."""
    host = Host(place.api, place.objects, place.witness, invariants.members(place.api))
    campaign = Campaign(place, host, proves_each)
    if objections := campaign.prepare():
        raise AssertionError(f"before anything died: {objections}\n{place.operator.log_file.read_text()[-4000:]}")
    return campaign


def _outcome(found: Document | None) -> str:
    reason = (found or {}).get("status", {}).get("failure", {}).get("reason", "")
    return "/".join(filter(None, (phase(found) or "gone", reason)))


def _message(found: Document | None) -> str:
    conditions = (found or {}).get("status", {}).get("conditions", [])
    return next((one["message"] for one in conditions if one["type"] == "Ready"), "")
