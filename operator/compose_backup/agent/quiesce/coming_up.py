"""Up: dependencies first, whatever has happened before, and verified by a look at each container.

What is owed follows from the plan and from Docker alone (planning/resuming.py), so that a second pass, here or in
another process, does no harm. Nothing here obeys a request to stop. Called by window.py.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable, Mapping

from compose_backup.agent.context import Patience
from compose_backup.agent.events import now
from compose_backup.agent.looking import Engine
from compose_backup.agent.quiesce.downtimes import Downtimes
from compose_backup.agent.quiesce.journal import Journal
from compose_backup.agent.quiesce.reaching import reaching, side_by_side
from compose_backup.agent.stopping import Stop
from compose_backup.api.journal import JournalEntry, JournalPlan, PlannedService
from compose_backup.errors import AgentFailed
from compose_backup.planning import resuming
from compose_backup.planning.facts import Container

FIRST_DELAY_SECONDS = 0.5


class ComingUp:
    """Brings back what a plan has taken down, and remembers its own tries."""

    def __init__(
        self,
        plan: JournalPlan,
        engine: Engine,
        journal: Journal,
        downtimes: Downtimes,
        patience: Patience,
    ) -> None:
        self._plan = plan
        self._engine = engine
        self._journal = journal
        self._downtimes = downtimes
        self._patience = patience
        self._tried: dict[str, str] = {}
        """StartedAt of a container after a try of ours: while it is the same, nobody else has started it."""
        self._returning = False
        """Whether an agent before this one died before all was up: maybe with an engine that only now comes back."""

    def recall(self, entries: Iterable[JournalEntry], containers: Iterable[Container]) -> None:
        """Take from the journal what an agent before this one has started: what is down of it is still ours to start.

        An engine that is killed just after a start may leave the container down, its policy notwithstanding (seen with
        20.10 and `unless-stopped`). Once all was seen running, a container that is down is its owner's business.
        """
        known = tuple(entries)
        self._returning = not any(entry.step == "resumed" for entry in known)
        if self._returning:
            tried = {entry.container for entry in known if entry.step == "coming-up"}
            self._tried = {one.id: one.started_at for one in containers if one.id in tried and one.started_at}

    def owed(self, containers: Iterable[Container]) -> tuple[PlannedService, ...]:
        """Return what is down because of us, in the order of coming up."""
        return resuming.owed(self._plan, containers, self._tried)

    def bring_up(self) -> None:
        """Start everything that is owed, level by level, then see whether it stays up and becomes healthy."""
        before = [service for service in self._plan.services if self._downtimes.is_down(service)]
        for level in sorted({service.level for service in before}, reverse=True):
            services = [service for service in before if service.level == level]
            self._raise_all(services)
            self._await_health([service for service in services if service.waited_for])
        self._settle(before)
        self._look_around()
        self.persist(self._patience.in_window, None)
        self._returning = False
        self._await_health([service for service in before if service.was_healthy and not service.waited_for])

    def persist(self, seconds: float, stop: Stop | None) -> None:
        """Try those that do not run again and again; a request to stop ends that early, where it is heard at all."""
        limit = time.monotonic() + seconds
        delay = min(FIRST_DELAY_SECONDS, self._patience.longest_delay)
        while (missing := self._missing) and time.monotonic() < limit:
            if stop is not None and stop.cancelled:
                return
            time.sleep(delay)
            delay = min(2 * delay, self._patience.longest_delay)
            self._look_around()
            missing = self._missing
            self._raise_all(missing)
            self._settle(missing)

    def _look_around(self) -> None:
        """Take down what has ended since the first look, before all was up.

        An engine without live restore may show as running, for a moment after its return, what it is about to end.
        """
        if not self._returning:
            return
        time.sleep(self._patience.settle)
        found = self._seen(self._plan.services)
        for service in self.owed(found.values()):
            self._downtimes.found_down(service, self._plan.made_at)

    @property
    def _missing(self) -> list[PlannedService]:
        """What is down, in the order of coming up."""
        return [one for one in resuming.coming_up(self._plan.services) if self._downtimes.is_down(one)]

    def _raise_all(self, services: Iterable[PlannedService]) -> None:
        side_by_side(self._raise, services)

    def _raise(self, service: PlannedService) -> None:
        """Bring up one container. Whatever fails is taken down: it keeps no other from coming up."""
        try:
            self._raise_owed(service)
        except AgentFailed as error:
            self._downtimes.not_up(service, error.message)

    def _raise_owed(self, service: PlannedService) -> None:
        """Start one container if it is owed, and take down what is seen then."""
        container = self._inspect(service)
        if container is None:
            self._downtimes.given_up(service)  # a person has removed it, or made it anew
            return
        error = None
        if resuming.is_owed(service, container, self._tried):
            error = self._start(service)
            container = self._inspect(service) or container
            self._tried[service.container_id] = container.started_at or service.started_at
        self._judge(service, container, error)

    def _start(self, service: PlannedService) -> str | None:
        """Start or unpause a container, and return why that failed."""
        act = self._engine.start if service.method == "Stop" else self._engine.unpause
        self._journal.note("coming-up", container=service.container_id)
        try:
            reaching(lambda: act(service.container_id), self._patience)
        except AgentFailed as error:
            return error.message
        return None

    def _judge(self, service: PlannedService, container: Container, error: str | None) -> None:
        crash_looping = container.state == "restarting" and service.started_at == resuming.ANY_START
        if container.state == "running" or crash_looping:
            self._seen_up(service, container)
        elif container.state == "restarting":
            self._downtimes.not_up(service, "it ends as soon as it is started, and Docker starts it again and again")
        elif resuming.is_owed(service, container, self._tried):
            self._downtimes.not_up(service, error or "it ended as soon as it was started; see its logs")
        else:
            self._downtimes.given_up(service)  # somebody else has started it meanwhile, and stopped it again

    def _seen_up(self, service: PlannedService, container: Container) -> None:
        if self._plan.purpose == "restore":
            try:
                reaching(
                    lambda: self._engine.set_restart_policy(service.container_id, service.restart_policy),
                    self._patience,
                )
            except AgentFailed as error:
                self._downtimes.not_up(service, f"its restart policy could not be put back: {error.message}")
                return
        self._downtimes.up(service, _up_since(service, container))
        self._journal.note("up", container=service.container_id)

    def _settle(self, services: Iterable[PlannedService]) -> None:
        """Look once more at those that were seen running: one that ends at once was never up."""
        up = [service for service in services if self._tried.get(service.container_id)]
        if not up:
            return
        time.sleep(self._patience.settle)
        found = self._seen(up)
        for service in up:
            container = found.get(service.container_id)
            if container is not None and container.state != "running" and not self._downtimes.is_down(service):
                self._judge(service, container, None)

    def _await_health(self, services: Iterable[PlannedService]) -> None:
        """Wait until health checks pass, each no longer than its own time allows."""
        started = time.monotonic()
        waiting = {one.container_id: one for one in services if not self._downtimes.is_down(one)}
        while waiting:
            found = self._seen(waiting.values())
            for identity, service in list(waiting.items()):
                container = found.get(identity)
                too_late = time.monotonic() - started >= service.health_seconds
                if container is None or container.state != "running" or container.health is None:
                    del waiting[identity]
                elif container.health == "healthy" or too_late:
                    self._downtimes.health(service, healthy=container.health == "healthy")
                    del waiting[identity]
            if waiting:
                time.sleep(self._patience.poll)

    def _seen(self, services: Iterable[PlannedService]) -> Mapping[str, Container]:
        """Inspect what is only to be judged: an engine that does not tell ends no wait for a start."""
        try:
            return self._inspect_all(services)
        except AgentFailed:
            return {}

    def _inspect(self, service: PlannedService) -> Container | None:
        return self._inspect_all([service]).get(service.container_id)

    def _inspect_all(self, services: Iterable[PlannedService]) -> Mapping[str, Container]:
        identities = [service.container_id for service in services]
        found = reaching(lambda: self._engine.inspect(identities), self._patience)
        return {one.id: one for one in found}


def _up_since(service: PlannedService, container: Container) -> dt.datetime | None:
    """Return when a container came up: Docker's own time of its start. None for one that never went down."""
    if service.method == "Pause":
        return now()
    if container.started_at in (None, service.started_at):
        return None
    try:
        return _parsed(str(container.started_at))
    except ValueError:
        return now()


def _parsed(started_at: str) -> dt.datetime:
    """Return Docker's time, which has nine digits after the point where Python takes six."""
    seconds, _, rest = started_at.rstrip("Z").partition(".")
    return dt.datetime.fromisoformat(f"{seconds}.{rest[:6]:0<6}").replace(tzinfo=dt.UTC)
