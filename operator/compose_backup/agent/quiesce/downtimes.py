"""How long each service is down: measured from the moment it is told to stop until it is seen running, told at once.

Kept by going_down.py, coming_up.py and recovery.py; shown in every event, in the report and in the run record.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterable

from compose_backup.agent.texts import shorten
from compose_backup.api.backup_run import QuiescedService, QuiesceResult
from compose_backup.api.job import Window
from compose_backup.api.journal import JournalEntry, JournalPlan, PlannedService

Tell = Callable[[Window | None, QuiesceResult | None], None]


class Downtimes:
    """One entry for each container that was told to go down. Safe to use from several threads."""

    def __init__(self, plan: JournalPlan, tell: Tell) -> None:
        self._plan = plan
        self._tell = tell
        self._lock = threading.RLock()
        self._window: Window | None = None
        self._entries: dict[str, QuiescedService] = {}
        self._settled: set[str] = set()
        self._kept_stopped = False

    def recall(self, entries: Iterable[JournalEntry]) -> None:
        """Take from the journal what an agent before this one has done."""
        planned = {service.container_id: service for service in self._plan.services}
        for entry in entries:
            service = planned.get(entry.container or "")
            if service is not None and entry.step == "going-down":
                self._entries[service.container_id] = _told(service, entry.time)
            elif service is not None and entry.step == "up":
                self._change(service, up_time=entry.time)

    def enter(self, window: Window | None) -> None:
        """Say where the services are."""
        with self._lock:
            self._window = window
            self._tell_all()

    def told_to_stop(self, service: PlannedService, when: dt.datetime) -> None:
        """Take down that a container is about to be stopped or paused; its downtime begins."""
        with self._lock:
            self._entries.setdefault(service.container_id, _told(service, when))
            self._tell_all()

    def found_down(self, service: PlannedService, when: dt.datetime) -> None:
        """Take down that a container is down now, at least since it was told to stop; told then, if never before."""
        with self._lock:
            entry = self._entries.setdefault(service.container_id, _told(service, when))
            self._entries[service.container_id] = entry.model_copy(update={"up_time": None})
            self._tell_all()

    def up(self, service: PlannedService, when: dt.datetime | None) -> None:
        """Take down that a container was seen running, and since when; None for one that never went down."""
        entry = self._entries.get(service.container_id)
        if entry is not None:
            self._change(service, up_time=when or entry.down_time, error=None)

    def not_up(self, service: PlannedService, error: str) -> None:
        """Take down why a container does not run again."""
        self._change(service, up_time=None, error=shorten(error))

    def given_up(self, service: PlannedService) -> None:
        """Take down that a container is no more ours to start: somebody else has it, or an earlier restore keeps it."""
        self._settled.add(service.container_id)
        self._change(service, error=None)

    def health(self, service: PlannedService, *, healthy: bool) -> None:
        """Take down whether the health check of a container passes again."""
        self._change(service, healthy=healthy)

    def keep_stopped(self) -> None:
        """Take down that nothing is started, since data is incomplete."""
        with self._lock:
            self._kept_stopped = True
            self._tell_all()

    def is_down(self, service: PlannedService) -> bool:
        """Whether a container was told to go down and neither runs again nor belongs to somebody else."""
        entry = self._entries.get(service.container_id)
        return entry is not None and entry.up_time is None and service.container_id not in self._settled

    @property
    def failed(self) -> tuple[QuiescedService, ...]:
        """The containers that do not run again."""
        return tuple(entry for entry in self._entries.values() if entry.error is not None)

    @property
    def result(self) -> QuiesceResult | None:
        """Everything so far, None while nothing was touched."""
        with self._lock:
            services = tuple(_counted(entry) for entry in self._entries.values())
        if not services:
            return None
        ends = [entry.up_time for entry in services if entry.up_time is not None]
        return QuiesceResult(
            method=self._plan.method,
            services=services,
            start_time=min((entry.down_time for entry in services if entry.down_time is not None), default=None),
            end_time=max(ends) if len(ends) == len(services) else None,
            downtime_seconds=max(entry.downtime_seconds or 0.0 for entry in services),
            kept_stopped=self._kept_stopped,
        )

    def _change(self, service: PlannedService, **changes: object) -> None:
        with self._lock:
            entry = self._entries.get(service.container_id)
            if entry is not None:
                self._entries[service.container_id] = entry.model_copy(update=changes)
                self._tell_all()

    def _tell_all(self) -> None:
        self._tell(self._window, self.result)


def _told(service: PlannedService, when: dt.datetime) -> QuiescedService:
    return QuiescedService(container=service.name, service=service.title, method=service.method, down_time=when)


def _counted(entry: QuiescedService) -> QuiescedService:
    """Return the entry with the seconds between its two times."""
    if entry.down_time is None or entry.up_time is None:
        return entry
    seconds = max(0.0, (entry.up_time - entry.down_time).total_seconds())
    return entry.model_copy(update={"downtime_seconds": round(seconds, 3)})
