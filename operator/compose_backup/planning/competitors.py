"""What a run or restore means to others that want the engine: from objects to the parties of turns.py.

Called by planning/backup.py and planning/restore.py for the one that asks, by reconcile/line.py for all others.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from compose_backup.api import reasons
from compose_backup.api.backup_policy import Quiesce
from compose_backup.api.backup_run import AT_WORK
from compose_backup.api.conditions import READY
from compose_backup.api.resources import Host, Policy, Repository, Restore, Run
from compose_backup.planning import journals, labels, writers
from compose_backup.planning.facts import Container, Inventory
from compose_backup.planning.quiescing import method_of
from compose_backup.planning.turns import Party, Standing

Purpose = Literal["run", "restore"]

IN_LINE = frozenset(
    {
        reasons.PENDING,
        reasons.RUNNING,  # between two attempts
        reasons.HOST_BUSY,
        reasons.VOLUMES_BUSY,
        reasons.SERVICES_BUSY,
        reasons.RESTORE_ACTIVE,
        reasons.HOST_NOT_FOUND,
        reasons.HOST_NOT_READY,
        reasons.REPOSITORY_NOT_FOUND,
        reasons.REPOSITORY_NOT_READY,
    }
)
"""What those have said last who begin as soon as it is their turn, provided that host and repository are ready now."""


class Usage:
    """Which containers have to do with which volumes of an engine, by one list of both; found once for each volume."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._found: dict[tuple[Purpose, str], list[Container]] = {}
        self._volumes = {volume.name: volume for volume in inventory.volumes}
        self._mounting: defaultdict[tuple[Purpose, str], list[Container]] = defaultdict(list)
        for container in inventory.containers:
            for mount in container.mounts:
                if mount.volume:
                    self._mounting["restore", mount.volume].append(container)
                    if mount.writable:
                        self._mounting["run", mount.volume].append(container)

    def services(self, purpose: Purpose, volumes: Iterable[str], quiesce: Quiesce) -> frozenset[str]:
        """Return the titles of the containers, running or not, that are brought to rest for the volumes.

        Who is joined to them only a plan tells, later on the host.
        """
        using = (one for name in volumes for one in self._using(purpose, name))
        named = {f"{one.project}/{one.service}" for one in quiesce.services if one.method != "None"}
        return frozenset({one.title for one in using if method_of(one, quiesce) != "None"} | named)

    def journaled(self, agent: str) -> frozenset[str]:
        """Return the titles of the services that the journal of an agent names."""
        plans = journals.plans(self._inventory)
        return frozenset(one.title for plan in plans if plan.agent == agent for one in plan.services)

    def _using(self, purpose: Purpose, name: str) -> list[Container]:
        """Return who writes to a volume or, for a restore, who uses it; our own agents are nobody's service."""
        key = (purpose, name)
        if key not in self._found:
            self._found[key] = [one for one in self._reaching(purpose, name) if labels.PURPOSE not in one.labels]
        return self._found[key]

    def _reaching(self, purpose: Purpose, name: str) -> Sequence[Container]:
        volume = self._volumes.get(name)
        if volume is None or not volume.options:  # on no directory or share that others could mount as well
            return self._mounting[purpose, name]
        return (writers.writers if purpose == "run" else writers.users)(volume, self._inventory)


NOTHING_SEEN = Usage(Inventory())


@dataclass(frozen=True)
class Place:
    """Where a run or restore works, as far as it is there, and who uses which volumes on the host."""

    host: Host | None
    repository: Repository | None
    usage: Usage = NOTHING_SEEN

    @property
    def engine(self) -> str | None:
        """The engine id of the host, if it was ever seen."""
        return self.host.status.engine.id if self.host and self.host.status.engine else None

    @property
    def ready(self) -> bool:
        """Whether both can be used now."""
        return bool(self.host and self.host.ready and self.repository and self.repository.ready)


def of_run(run: Run, policy: Policy | None, place: Place, now: dt.datetime) -> Party:
    """Return what a run means to others: by what it was started with, else by what its policy has matched last."""
    resolved = run.status.resolved
    known = resolved.volumes if resolved else policy.status.volumes if policy else ()
    quiesce = resolved.quiesce if resolved else policy.spec.quiesce if policy else Quiesce()
    services = place.usage.services("run", known, quiesce)
    if resolved:
        services |= place.usage.journaled(labels.agent_name("run", run.uid))
    pausing = run.status.retry_at is not None
    return Party(
        kind=run.kind.name,
        namespace=run.namespace,
        name=run.name,
        engine=resolved.host.engine_id if resolved else place.engine,
        came=run.created,
        standing=_standing(run, place, pausing=pausing, away=pausing and now < (run.status.retry_at or now)),
        policy=f"{run.namespace}/{run.spec.policy_ref.name}",
        began=resolved is not None,
        volumes=frozenset(known) or None,
        services=services,
    )


def of_restore(restore: Restore, place: Place) -> Party | None:
    """Return what a restore means to others; None while it cannot even find its source, for lack of something.

    While it looks for its source it stands aside: only younger restores wait for it, since they may want its targets.
    """
    resolved = restore.status.resolved
    if resolved is None and not is_searching(restore):
        return None
    named = {mapping.target or mapping.source for mapping in restore.spec.target.volumes}
    volumes = frozenset(volume.target for volume in resolved.volumes) if resolved else frozenset(named) or None
    services = place.usage.services("restore", volumes or (), Quiesce(method=restore.spec.quiesce))
    services |= place.usage.journaled(labels.agent_name("restore", restore.uid))
    return Party(
        kind=restore.kind.name,
        namespace=restore.namespace,
        name=restore.name,
        engine=resolved.host.engine_id if resolved else place.engine,
        came=restore.created,
        standing=_standing(restore, place, pausing=False, away=resolved is None),
        volumes=volumes,
        services=services,
    )


def is_searching(restore: Restore) -> bool:
    """Return whether a request without volumes yet is on its way to them, not stuck for lack of something."""
    return _said(restore) in (None, reasons.PROGRESSING)


def _standing(one: Run | Restore, place: Place, *, pausing: bool, away: bool) -> Standing:
    """Return how one stands. `pausing`: it gave its room back after an attempt; `away`: it does not want it now."""
    if one.status.phase in AT_WORK and one.status.resolved and not pausing:
        return "at work"
    if away:
        return "aside"
    said = _said(one)  # nothing yet: it is looked at in a moment
    return "in line" if said is None or (said in IN_LINE and place.ready) else "aside"


def _said(one: Run | Restore) -> str | None:
    return next((condition.reason for condition in one.status.conditions if condition.type == READY), None)
