"""The debts of a host: services that are down by a journal whose run or restore has ended, and nobody has started.

| what is so | verdict |
|---|---|
| the owner is at work, its agent lives, or another journal has the same containers down | wait |
| a container of the plan is down, and nobody has started it since | start, again and again, ever more rarely |
| the same, but a restore may have left its data incomplete | keep, until restored, started by a person, or forgotten |
| nothing is down yet, but its agent has just died and may have told one to stop | wait |
| nothing is owed any more | settle: restart policies back, leftover hooks, then the journal goes |

Called by reconcile/compose_host.py and reconcile/sweep.py.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from compose_backup.api import reasons
from compose_backup.api.backup_policy import Hook
from compose_backup.api.compose_host import Unresumed
from compose_backup.api.journal import JournalPlan, PlannedService
from compose_backup.planning import journals, resuming, wholeness, writers
from compose_backup.planning.facts import Container, Inventory, Volume
from compose_backup.planning.labels import INSTALLATION, Owner, agent_name
from compose_backup.planning.sweeping import is_needed

FIRST_PAUSE = dt.timedelta(seconds=15)
LONGEST_PAUSE = dt.timedelta(minutes=10)
LASTS = dt.timedelta(seconds=3)
"""A service that runs so long after our start counts as up."""
SHOWN = 50
EVERYTHING = "all"


@dataclass(frozen=True)
class Debt:
    """A journal of our own installation, with its owner as it is in the cluster at this moment."""

    journal: str
    """Name of the volume."""
    plan: JournalPlan
    owner: Owner
    body: Mapping[str, Any] | None
    """The owner's object, also one of another UID; None when there is none."""
    known: tuple[Unresumed, ...] = ()
    """What the host's status says of this journal."""
    abandoned_for: dt.timedelta = dt.timedelta()
    """For how long its agent is known to be dead."""
    tried: Mapping[str, str] = field(default_factory=dict)
    """Container id → `StartedAt` after the last start of ours, also of an agent, of a run, or of another ComposeHost of
    the same engine: newer than what the status says."""


@dataclass(frozen=True)
class Verdict:
    """What is done about a journal now."""

    action: Literal["wait", "start", "keep", "settle"]
    start: tuple[PlannedService, ...] = ()
    """Services to start or unpause, in this order."""
    show: tuple[Unresumed, ...] = ()
    """What the host's status says of it; `tried` makes the entry of one that was started just now."""
    policies: tuple[PlannedService, ...] = ()
    """To settle: containers that get back the restart policy that a restore held at `no`."""
    lasting: bool = False
    """To wait: what was started just now, or may be on its way down, has to be looked at soon."""
    hooks: tuple[Hook, ...] = ()
    """To settle: post hooks that may not have run; a cleanup agent looks into the journal and runs what is left."""


def own_journals(inventory: Inventory, installation: str) -> tuple[tuple[Volume, JournalPlan, Owner], ...]:
    """Return the journals of this installation, and no others."""
    mine = [one for one in inventory.volumes if one.labels.get(INSTALLATION) == installation]
    read = [(one, journals.plan_of(one), Owner.of(one.labels)) for one in mine]
    return tuple((volume, plan, owner) for volume, plan, owner in read if plan and owner)


def containers_of(plan: JournalPlan) -> tuple[str, ...]:
    """Return the ids of the containers that must be inspected before a journal can be judged."""
    return tuple(service.container_id for service in plan.services)


def judge(debt: Debt, inventory: Inventory, forgotten: Collection[str], now: dt.datetime) -> Verdict:
    """Return what is done about a journal now. The containers of its plan must have been inspected."""
    if is_attended(debt, inventory):
        return Verdict("wait")
    left = _left(debt, inventory, forgotten)
    # Whether what was started just now lasts is not known yet.
    down = {one.container_id for one in left}
    young = tuple(one for one in debt.known if one.container_id not in down and _is_young(one, now))
    if left and _is_kept_stopped(debt, inventory):
        return Verdict("keep", show=tuple(_as_kept(_entry(debt, one), debt.plan) for one in left))
    # What an earlier restore keeps stopped is shown by the journal of that one, unless this one made the data whole.
    others = resuming.left_to_others(debt.plan, whole=_is_whole(debt, inventory))
    left = [one for one in left if one not in others]
    if not left:
        changing = young or resuming.going_down(debt.plan, inventory.containers, debt.abandoned_for)
        return Verdict("wait", show=young, lasting=True) if changing else _settled(debt, inventory)
    # What a later restore has taken over is shown by the journal of that one.
    free = [one for one in journals.to_start(debt.plan, inventory, _tries(debt)) if one in left]
    entries = tuple(_entry(debt, one) for one in free)
    due = tuple(one for one, entry in zip(free, entries, strict=True) if _is_due(entry, now))
    return Verdict("start" if due else "wait", due, (*entries, *young), lasting=bool(young))


def is_attended(debt: Debt, inventory: Inventory) -> bool:
    """Return whether its own run or restore, or an agent, still sees to a journal."""
    return is_needed(debt.owner, debt.body) or _is_taken(debt, inventory)


def _left(debt: Debt, inventory: Inventory, forgotten: Collection[str]) -> list[PlannedService]:
    """Return what is down by this journal, but for what a person wants to be forgotten."""
    down = resuming.owed(debt.plan, inventory.containers, _tries(debt))
    return [one for one in down if EVERYTHING not in forgotten and one.name not in forgotten]


def _tries(debt: Debt) -> dict[str, str]:
    return {**tries_of(debt.known), **debt.tried}


def _is_young(entry: Unresumed, now: dt.datetime) -> bool:
    return entry.last_try_time is not None and now - entry.last_try_time < LASTS


def tries_of(unresumed: Iterable[Unresumed]) -> dict[str, str]:
    """Return `StartedAt` of each container after our last try, which did not last: while it is so, it is still owed."""
    return {one.container_id: one.last_started_at for one in unresumed if one.last_started_at}


def tried(entry: Unresumed, after: Container | None, error: str | None, now: dt.datetime) -> Unresumed:
    """Return what is shown of a service after a try to start it: also of one that runs, until another look at it."""
    state = f"it was started and is {after.state}" if after else "its container is gone"
    if after and after.state == "running":
        state = "it was started, and is looked at once more"
    return entry.model_copy(
        update={
            "attempts": entry.attempts + 1,
            "last_try_time": now,
            "last_started_at": after.started_at if after else entry.last_started_at,
            "error": (error or state)[:1024],
        }
    )


def next_look(entries: Iterable[Unresumed]) -> dt.datetime | None:
    """Return when the next service is tried again, or None when none is."""
    return min((_due_at(entry) for entry in entries if not entry.kept_stopped and entry.last_try_time), default=None)


def of_journal(unresumed: Iterable[Unresumed], journal: str) -> tuple[Unresumed, ...]:
    """Return what a host's status says of one journal."""
    return tuple(entry for entry in unresumed if entry.journal == journal)


def shown(entries: Iterable[Unresumed]) -> tuple[Unresumed, ...]:
    """Return the entries for a host's status, each container once: that of the latest journal."""
    latest = {entry.container_id: entry for entry in entries}
    return tuple(sorted(latest.values(), key=lambda entry: (entry.service, entry.container)))[:SHOWN]


def forgotten_names(annotation: str | None) -> frozenset[str]:
    """Return the names of containers whose debts a person has ended: `all`, or names separated by commas."""
    return frozenset((annotation or "").replace(",", " ").split())


def _is_taken(debt: Debt, inventory: Inventory) -> bool:
    """Return whether an agent works on it: the journal's own, its cleanup, or another one on the same containers."""
    cleanup = agent_name("cleanup", debt.owner.uid)
    alive = {one.name for one in inventory.containers if writers.is_active(one)}
    mine = set(containers_of(debt.plan))
    others = (other for other in journals.plans(inventory) if mine & set(containers_of(other)))
    return cleanup in alive or debt.plan.agent in alive or any(other.agent in alive for other in others)


def _entry(debt: Debt, service: PlannedService) -> Unresumed:
    known = next((one for one in debt.known if one.container_id == service.container_id), None)
    return known or Unresumed(
        container=service.name,
        container_id=service.container_id,
        service=service.title,
        journal=debt.journal,
        owner=debt.plan.owner,
    )


def _is_kept_stopped(debt: Debt, inventory: Inventory) -> bool:
    """Return whether the data below the services may be incomplete: no end of a restore says that it is not.

    Of a restore whose object is gone nobody knows, unless its agent has marked it as whole, and an agent that has
    written nothing starts the services itself.
    """
    if debt.plan.purpose == "run" or wholeness.told_of(debt.owner.uid, inventory):
        return False
    if debt.body is None or debt.body["metadata"]["uid"] != debt.owner.uid:
        return True
    status = debt.body.get("status") or {}
    if status.get("phase") == "Succeeded":
        return False
    spoilt = any(volume.get("phase") == "TargetIncomplete" for volume in status.get("volumes") or ())
    said = (status.get("failure") or {}).get("reason") == reasons.TARGET_INCOMPLETE
    return spoilt or said or bool((status.get("quiesce") or {}).get("keptStopped"))


def _is_whole(debt: Debt, inventory: Inventory) -> bool:
    """Return whether owner or agent say that all its volumes were restored to their end."""
    if wholeness.told_of(debt.owner.uid, inventory):
        return True
    volumes = ((debt.body or {}).get("status") or {}).get("volumes") or ()
    return bool(volumes) and all(volume.get("phase") == "Succeeded" for volume in volumes)


def _as_kept(entry: Unresumed, plan: JournalPlan) -> Unresumed:
    volumes = ", ".join(plan.volumes)
    why = (
        f"{plan.owner} may have left the volumes {volumes} incomplete; restore all of them in one RestoreRequest, and "
        "it is started, or start it yourself"
    )
    return entry.model_copy(update={"kept_stopped": True, "error": why[:1024]})


def _settled(debt: Debt, inventory: Inventory) -> Verdict:
    containers = {one.id: one for one in inventory.containers}
    others = resuming.left_to_others(debt.plan, whole=_is_whole(debt, inventory))
    mine = [one for one in debt.plan.services if debt.plan.purpose == "restore" and one not in others]
    held = [one for one in mine if _is_held(one, containers)]
    cleanup = agent_name("cleanup", debt.owner.uid)
    has_run = any(one.name == cleanup and one.state == "exited" for one in inventory.containers)
    return Verdict("settle", policies=tuple(held), hooks=() if has_run else debt.plan.post_hooks)


def _is_held(service: PlannedService, containers: Mapping[str, Container]) -> bool:
    """Return whether a container still has `no` for a restart policy, and not by its user's will."""
    found = containers.get(service.container_id)
    return found is not None and found.restart_policy.name == "no" and service.restart_policy.name != "no"


def _is_due(entry: Unresumed, now: dt.datetime) -> bool:
    return entry.last_try_time is None or now >= _due_at(entry)


def _due_at(entry: Unresumed) -> dt.datetime:
    assert entry.last_try_time
    doublings: int = min(max(0, entry.attempts - 1), 10)
    return entry.last_try_time + min(FIRST_PAUSE * (1 << doublings), LONGEST_PAUSE)
