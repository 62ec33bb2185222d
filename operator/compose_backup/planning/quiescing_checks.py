"""Why services cannot be quiesced: they could not be started again, or somebody else is at work on them.

Called by planning/quiescing.py.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from compose_backup.api import reasons
from compose_backup.api.backup_policy import Quiesce
from compose_backup.api.journal import JournalPlan
from compose_backup.planning import humanize, journals, writers
from compose_backup.planning.checks import Objection
from compose_backup.planning.facts import SWARM_TASK_LABEL, Container, Inventory
from compose_backup.planning.labels import PURPOSE, Owner

MAX_SERVICES = 256
"""As many as status can show."""


def of_users(
    purpose: Literal["run", "restore"],
    agent: str,
    quiesce: Quiesce,
    using: Sequence[Container],
    look: Inventory,
) -> Objection | None:
    """Object to what uses the volumes and cannot be asked to let go of them."""
    return (
        _agents([one for one in using if one.name != agent])
        or (_in_use(using, quiesce) if purpose == "restore" else None)
        or _unknown_service(quiesce, look)
    )


def _agents(using: Sequence[Container]) -> Objection | None:
    """Object to an agent of another run or restore: it is never stopped from outside."""
    for one in using:
        if PURPOSE in one.labels:
            owner = Owner.of(one.labels)
            who = f"{owner.kind} {owner.namespace}/{owner.name}" if owner else one.name
            return Objection(reasons.STOPPED_BY_ANOTHER, f"the agent of {who} works on the same volumes ({one.name})")
    return None


def _in_use(using: Sequence[Container], quiesce: Quiesce) -> Objection | None:
    """Object to users of a restore's targets that are not stopped: they would see data that is half there."""
    if quiesce.method == "None":
        held = [one for one in using if writers.is_active(one)]
        what = "running containers hold the target volumes and quiesce is None"
    else:
        held = [one for one in using if one.state == "paused"]
        what = "paused containers hold the target volumes, and what a person has paused is not touched"
    if not held:
        return None
    return Objection(reasons.VOLUME_IN_USE, f"{what}: {writers.titles(held)}; stop them, the restore then starts")


def _unknown_service(quiesce: Quiesce, look: Inventory) -> Objection | None:
    """Object to a service that its project does not have: a typing error would leave the right one running."""
    projects = {one.project for one in look.containers}
    services = {(one.project, one.service) for one in look.containers}
    for said in quiesce.services:
        if said.method != "None" and said.project in projects and (said.project, said.service) not in services:
            message = f"quiesce.services names {said.project}/{said.service}, which has no container on the host"
            return Objection(reasons.INVALID_SPEC, message, "fail")
    return None


def of_plan(plan: JournalPlan, concerned: Sequence[Container]) -> Objection | None:
    """Object to containers that nobody could start again, or to too many of them."""
    then: Literal["fail", "wait"] = "fail" if plan.purpose == "run" else "wait"
    for one in concerned:
        if why := _cannot_come_back(one):
            message = f"{one.title} ({one.name}) would have to be stopped, but {why}"
            return Objection(reasons.SERVICES_RUNNING, message, then)
    if len(plan.services) > MAX_SERVICES:
        message = (
            f"{len(plan.services)} containers would have to be stopped, more than {MAX_SERVICES}; split the policy"
        )
        return Objection(reasons.INVALID_SPEC, message, "fail")
    return None


def _cannot_come_back(container: Container) -> str | None:
    if container.one_off:
        return "`docker compose run` made it, and it cannot be started again as it was; try again when it has ended"
    if container.removed_when_stopped:
        return "Docker removes it when it ends (`--rm`); try again when it has ended, or run it without"
    if SWARM_TASK_LABEL in container.labels:
        return "it is a task of a swarm, which would start another one at once; scale its service down around the run"
    return None


def of_journals(plan: JournalPlan, volumes: Collection[str], look: Inventory) -> Objection | None:
    """Object while another run or restore, of whatever installation, has the same services down."""
    other = journals.in_the_way(plan, volumes, look)
    if other is None:
        return None
    names = sorted({service.title for service in other.services})
    what = "has stopped, or keeps stopped," if other.purpose == "restore" else "has stopped, or is about to stop,"
    return Objection(reasons.STOPPED_BY_ANOTHER, f"{other.owner} {what} {humanize.listed(names)}")
