"""The journal as a volume of the Docker host, and whether somebody else's is in the way.

Its labels carry the plan: whoever may list volumes can read what was stopped. Called by reconcile/ and agent/.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping

from compose_backup.api.journal import JournalPlan, PlannedService
from compose_backup.planning import resuming, writers
from compose_backup.planning.facts import Inventory, Volume
from compose_backup.planning.labels import PLAN, PURPOSE, Owner, agent_labels, journal_name

BEGINNING = dt.timedelta(minutes=2)
"""So long after a plan was made its agent may still have to be created: the image is pulled meanwhile."""


def volume_of(plan: JournalPlan, owner: Owner, installation: str) -> Volume:
    """Return the journal volume of an owner's attempt."""
    marks = agent_labels(owner, installation, "journal")
    return Volume(journal_name(owner.uid), labels={**marks, PLAN: _text(plan)})


def _text(plan: JournalPlan) -> str:
    """Return the plan in few characters: what is left out has its default."""
    return plan.model_dump_json(by_alias=True, exclude_defaults=True)


def is_journal(volume: Volume) -> bool:
    """Return whether a volume is a journal, of whatever installation."""
    return volume.labels.get(PURPOSE) == "journal"


def plan_of(volume: Volume) -> JournalPlan | None:
    """Return the plan that a journal carries, or None where there is none that this version understands."""
    if not is_journal(volume):
        return None
    try:
        return JournalPlan.model_validate_json(volume.labels.get(PLAN, ""))
    except ValueError:
        return None


def plans(inventory: Inventory) -> Iterator[JournalPlan]:
    """Go through the plans of all journals on an engine, of all installations."""
    return (plan for volume in inventory.volumes if (plan := plan_of(volume)))


def others(plan: JournalPlan, volumes: Collection[str], inventory: Inventory) -> list[JournalPlan]:
    """Return other journals that name one of our containers, or one that uses one of our volumes."""
    mine = {service.container_id for service in plan.services} | users(volumes, inventory)
    return [
        other
        for other in plans(inventory)
        if other.agent != plan.agent and mine & {service.container_id for service in other.services}
    ]


def users(volumes: Collection[str], inventory: Inventory) -> set[str]:
    """Return the ids of the containers that use any of the volumes."""
    found = [volume for volume in inventory.volumes if volume.name in volumes]
    return {one.id for volume in found for one in writers.users(volume, inventory)}


def in_the_way(
    plan: JournalPlan, volumes: Collection[str], inventory: Inventory, *, only_older: bool = False
) -> JournalPlan | None:
    """Return the journal that forbids to carry out a plan now, or None.

    `only_older` is for the agent just before its first stop: of two that were made at the same time the older one goes
    on, and the other ends; but one that has something down already goes before every other one. Before that, whoever is
    there comes first, whatever the clocks say.
    """
    found = sorted(others(plan, volumes, inventory), key=_age)
    if only_older:
        ahead = [one for one in found if _age(one) < _age(plan) or resuming.owed(one, inventory.containers)]
    else:
        ahead = found
    return next((other for other in ahead if _forbids(other, plan, inventory)), None)


def _age(plan: JournalPlan) -> tuple[dt.datetime, str]:
    return plan.made_at, plan.agent


def _forbids(other: JournalPlan, plan: JournalPlan, inventory: Inventory) -> bool:
    """Return whether another journal is at work, about to begin, or keeps services away from half-restored data.

    Of one that is left over, a backup takes over the services that a backup has stopped, and a restore those of both.
    """
    agents = [one for one in inventory.containers if one.name == other.agent]
    if any(writers.is_active(one) for one in agents):
        return True
    if resuming.owed(other, inventory.containers):
        return other.purpose == "restore" and plan.purpose == "run"
    has_ended = any(one.state != "created" for one in agents)
    return not has_ended and abs(plan.made_at - other.made_at) < BEGINNING


def to_start(
    plan: JournalPlan, inventory: Inventory, tried: Mapping[str, str] = resuming.NOTHING_TRIED
) -> tuple[PlannedService, ...]:
    """Return what is owed and may be started now, in the order of coming up.

    A restore takes over what others have left down. From then on it alone starts it: it may have written half of the
    data by now. The containers of the plan must have been inspected.
    """
    taken = {
        service.container_id
        for other in plans(inventory)
        if _has_taken_over(other, plan)
        for service in resuming.owed(other, inventory.containers)
    }
    return tuple(one for one in resuming.owed(plan, inventory.containers, tried) if one.container_id not in taken)


def _has_taken_over(other: JournalPlan, plan: JournalPlan) -> bool:
    later = plan.purpose == "run" or _age(other) > _age(plan)
    return other.agent != plan.agent and other.purpose == "restore" and later


def is_at_work(plan: JournalPlan, inventory: Inventory) -> bool:
    """Return whether the agent that a plan names is alive."""
    return any(one.name == plan.agent and writers.is_active(one) for one in inventory.containers)
