"""The journal of one run or restore on its host: planned before an attempt, settled when its agent cannot any more.

The agent starts by itself what it has stopped. Here is the second line: an agent that is dead or gone has left its plan
in the labels of the journal volume, and what it owes is started through the engine. Called by the passes over runs,
restores and hosts, and by the sweep.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Awaitable
from dataclasses import dataclass, replace

from compose_backup.api import reasons
from compose_backup.api.backup_run import Failure, QuiesceResult
from compose_backup.api.job import CleanupJob, Job
from compose_backup.api.journal import JournalPlan, PlannedService
from compose_backup.api.kinds import BACKUP_RUN, COMPOSE_HOST, RESTORE_REQUEST
from compose_backup.api.resources import Host
from compose_backup.errors import ComposeBackupError, Stalled
from compose_backup.planning import debts, downtime, humanize, labels, quiescing, resuming
from compose_backup.planning import journals as planning
from compose_backup.planning.agent_container import CLEANUP_CAPABILITIES, agent_container, cleanup_mounts
from compose_backup.planning.agent_state import Died, NeverStarted, Reported, Working
from compose_backup.planning.checks import Objection
from compose_backup.planning.facts import Inventory, Volume
from compose_backup.planning.labels import Owner
from compose_backup.reconcile import agents, second_line, stages
from compose_backup.reconcile.ports import DockerHost
from compose_backup.reconcile.queue import Key
from compose_backup.reconcile.second_line import Left
from compose_backup.reconcile.world import World

log = logging.getLogger(__name__)

# So long a run tries to start what its agent has left stopped. After that the host goes on trying, and the run ends.
PATIENCE = dt.timedelta(minutes=10)
PAUSE_SECONDS = 5.0


@dataclass(frozen=True)
class Site:
    """Where the journal of one run or restore lies."""

    world: World
    docker: DockerHost
    host: Host
    owner: Owner
    agent: str
    """Name of the agent's container."""

    @property
    def volume(self) -> str:
        """Name of the journal volume."""
        return labels.journal_name(self.owner.uid)

    @property
    def cleaner(self) -> str:
        """Name of the container that runs the hooks that a dead agent has left."""
        return labels.agent_name("cleanup", self.owner.uid)


@dataclass(frozen=True)
class Settlement:
    """How far an old journal is settled."""

    left: tuple[Left, ...] = ()
    """Services that do not run yet."""
    going_down: tuple[PlannedService, ...] = ()
    """Services that run, but may be down in a moment: the engine goes on with a stop whose agent is dead."""
    cleaning: bool = False
    """Whether hooks still run."""

    @property
    def under_way(self) -> bool:
        """Whether it goes on by itself, and has to be looked at soon."""
        return self.cleaning or bool(self.going_down)

    @property
    def down(self) -> tuple[Left, ...]:
        """Those that do not even start, for whom this look is the last."""
        return tuple(one for one in self.left if not one.running)

    @property
    def told(self) -> str:
        """What the operator does, for the condition Ready."""
        if self.going_down:
            names = humanize.listed(sorted({one.title for one in self.going_down}))
            return f"the agent is gone; it may have told {names} to stop, and that is waited for"
        if not self.left:
            return "the agent is gone; the hooks that it has left are being run"
        errors = "; ".join(f"{one.service.title}: {one.error}" for one in self.left)
        return f"the agent is gone; the operator starts what it has left stopped: {errors}"


SETTLED = Settlement()


async def planned(site: Site, inventory: Inventory, intent: quiescing.Intent) -> JournalPlan | Objection:
    """Plan what goes down for an attempt, by what is on the host at this moment."""
    ids = quiescing.candidates(intent.volumes, inventory, intent.quiesce)
    inspected = await site.docker.inspect(ids) if ids else ()
    tried = {**debts.tries_of(site.host.status.unresumed), **site.world.memory.tried}
    return quiescing.make_plan(replace(intent, tried=tried), inventory, inspected, site.world.now())


async def open_journal(site: Site, plan: JournalPlan) -> None:
    """Create the journal volume: from now on what is stopped can be found by whoever is left."""
    await site.docker.create_volume(planning.volume_of(plan, site.owner, site.world.installation))


async def settle(
    site: Site,
    *,
    told: bool = False,
    keep_stopped: bool = False,
    whole: bool = False,
    quiesce: QuiesceResult | None = None,
) -> Settlement:
    """Start what an agent that is no more has left stopped, and run the hooks that it has left.

    `told` is True where the agent itself has told how it ended: no stop and no hook of it is left. `keep_stopped` is
    True where data may be half-restored, and `whole` where a restore is known to have completed all of it. `quiesce` is
    what the agent has told of services.
    """
    inventory = await site.docker.inventory()
    volume = inventory.volume(site.volume)
    if volume is None:
        return SETTLED
    plan = _read(site, volume)
    tried, in_vain = site.world.memory.tried, downtime.do_not_run(quiesce)
    if keep_stopped:
        left = await second_line.look(site.docker, plan, tried)
    elif in_vain:  # its agent has tried for minutes: the host goes on, ever more rarely
        await second_line.remember(site.docker, plan, in_vain, tried)
        left = await second_line.look(site.docker, plan, tried)
    else:
        left = await second_line.resume(site.docker, plan, inventory, tried, whole=whole)
    if left and not keep_stopped:
        return Settlement(left)
    if not (told or left) and (going_down := await _going_down(site, plan)):
        return Settlement(going_down=going_down)
    if not told and plan.post_hooks and not await cleaned(site, plan):
        return Settlement(left, cleaning=True)
    if not left:
        await second_line.put_policies_back(site.docker, plan, whole=whole)
    return Settlement(left)


async def is_untouched(site: Site) -> bool:
    """Return whether a restore whose agent is no more cannot have written anything, by the services that still run."""
    volume = (await site.docker.inventory()).volume(site.volume)
    return volume is not None and await second_line.is_untouched(site.docker, _read(site, volume))


def _read(site: Site, volume: Volume) -> JournalPlan:
    """Return the plan of a journal. Raises Stalled where that cannot be read: what it owes must not be forgotten."""
    plan = planning.plan_of(volume)
    if plan is None:
        message = (
            f"volume {volume.name} on host {site.host.name} does not tell what was stopped, at least not this version "
            "of the operator; start what is down there, then remove the volume"
        )
        raise Stalled(reasons.NAME_TAKEN, message)
    return plan


def is_patient(site: Site) -> bool:
    """Return whether a run or restore still waits for services that do not start. It begins to count when asked."""
    since = site.world.memory.resuming.setdefault(site.owner.uid, site.world.clock())
    return site.world.clock() - since < PATIENCE


def is_pending(site: Site, settlement: Settlement) -> bool:
    """Return whether an attempt does not end yet, since something is still on its way."""
    return settlement.under_way or bool(settlement.left and is_patient(site))


def abandoned_for(site: Site) -> dt.timedelta:
    """Return for how long a journal is known to have no agent any more. It begins to count when it is asked first."""
    since = site.world.memory.abandoned.setdefault(site.owner.uid, site.world.clock())
    return site.world.clock() - since


async def _going_down(site: Site, plan: JournalPlan) -> tuple[PlannedService, ...]:
    return resuming.going_down(plan, await second_line.inspected(site.docker, plan), abandoned_for(site))


async def close(site: Site, *, journal: bool) -> bool:
    """Remove the containers of an attempt whose report is stored, and its journal if nothing is owed.

    Return whether all of it is gone.
    """
    if not await _without_containers(site, cleaner=journal):
        return False
    volumes = [site.volume] if journal else []
    if site.owner.kind == RESTORE_REQUEST.name:
        volumes.append(labels.whole_name(site.owner.uid))
    for name in volumes:  # the mark last: without it, nobody would know what the journal may start
        if not await _tried(site, site.docker.remove_volume(name)):
            return False
    return True


def closing(site: Site, *, journal: bool) -> agents.Action:
    """Return what does that. What fails is made up for by the pass over the host, which is woken, and by the sweep."""

    async def done() -> None:
        if not await close(site, journal=journal):
            wake_host(site.world, site.host)

    return done


def handing_over(site: Site) -> agents.Action:
    """Return what leaves an open journal to the pass over the host, without the containers whose report is stored."""

    async def hand_over() -> None:
        wake_host(site.world, site.host)  # first of all: a stage may take a while to be removed
        await _without_containers(site)

    return hand_over


async def _without_containers(site: Site, *, cleaner: bool = True) -> bool:
    site.world.memory.abandoned.pop(site.owner.uid, None)
    site.world.memory.resuming.pop(site.owner.uid, None)
    removed = await _tried(site, site.docker.remove_agent(site.agent))
    if removed and site.owner.kind == BACKUP_RUN.name:
        await _tried(site, stages.remove(site.docker, site.world.installation, site.owner.uid))
    return removed and (not cleaner or await _tried(site, site.docker.remove_agent(site.cleaner)))


async def _tried(site: Site, removal: Awaitable[None]) -> bool:
    try:
        await removal
    except ComposeBackupError as error:
        log.warning("what %s has left on its host is removed later: %s", site.agent, error.message)
        return False
    return True


def wake_host(world: World, host: Host) -> None:
    """Let the pass over a host list anew, and see what is owed there."""
    world.memory.inventories.pop(host.uid, None)
    world.queue.add(Key(COMPOSE_HOST.name, host.namespace, host.name))


async def cleaned(site: Site, plan: JournalPlan) -> bool:
    """Have the hooks run that a dead agent has left, by an agent of its own; return whether that is over.

    Its container stays until the journal is removed: by that it is known that this was done.
    """
    sighting = await agents.sight(site.world, site.docker, site.cleaner)
    if sighting.look is None:
        return await _not_startable(site, plan)
    match sighting.state:
        case Working():
            return False
        case NeverStarted():
            await site.docker.remove_agent(site.cleaner)
            return False
        case Reported(report):
            return _told(site, report.failure)
        case Died(failure):
            return _told(site, failure)


async def _not_startable(site: Site, plan: JournalPlan) -> bool:
    """Start the agent for the hooks; return whether that is given up: a run must not wait for ever for an image."""
    try:
        await _start_cleaner(site, plan)
    except Stalled as error:
        if is_patient(site):
            raise
        return _told(site, Failure(reason=error.reason, message=error.message))
    return False


def _told(site: Site, failure: Failure | None) -> bool:
    if failure:
        log.warning("hooks that %s has left could not be run: %s", site.agent, failure.message)
    return True


async def _start_cleaner(site: Site, plan: JournalPlan) -> None:
    marks = labels.agent_labels(site.owner, site.world.installation, "cleanup")
    settings = site.host.spec.agent
    container = agent_container(
        site.cleaner,
        {**marks, labels.JOURNAL: site.volume},
        cleanup_mounts(settings.docker_socket, site.volume),
        CLEANUP_CAPABILITIES,
        settings,
        site.world.settings.agent_image,
    )
    await site.docker.start_agent(container, Job(cleanup=CleanupJob(plan=plan)).framed())
