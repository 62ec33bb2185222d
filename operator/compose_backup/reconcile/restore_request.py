"""One pass over a RestoreRequest: find the source, wait for the targets to be free, restore in place, store the report.

| status | next step |
|---|---|
| no `resolved` | search the repository for the source, and pin what is restored |
| `resolved`, not `Running` | ask planning whether it may start; create missing volumes |
| `Running`, `Resuming` | start the agent (restore_start.py), or look at it: progress, report, or death |
| `completionTime` | nothing, for ever |

Called by worker.py.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from functools import partial

from compose_backup.api import reasons
from compose_backup.api.backup_run import AT_WORK, Failure
from compose_backup.api.job import CatalogReport
from compose_backup.api.resources import Host, Repository, Restore
from compose_backup.planning import downtime, humanize, labels
from compose_backup.planning import restore as planning
from compose_backup.planning.agent_state import Died, NeverStarted, Reported, Working
from compose_backup.planning.checks import Objection
from compose_backup.reconcile import agents, catalog, deletion, journals, line
from compose_backup.reconcile.access import address_of, repository_access
from compose_backup.reconcile.commit import commit
from compose_backup.reconcile.compose_host import inventory_of, repository_volumes
from compose_backup.reconcile.journals import Site
from compose_backup.reconcile.outcome import NOTHING, Outcome
from compose_backup.reconcile.restore_outcomes import end, objected, waiting, working
from compose_backup.reconcile.restore_place import PlacedRestore, host_of, repository_of
from compose_backup.reconcile.restore_start import intent_of, start_agent, stop_wanted
from compose_backup.reconcile.restore_stop import died, reported
from compose_backup.reconcile.world import Pledge, World


async def reconcile(world: World, restore: Restore) -> Outcome:
    """Do the next step of a restore."""
    if restore.finished:
        world.memory.pledges.pop(restore.uid, None)
        return NOTHING
    if restore.status.phase in AT_WORK:
        return await _follow(world, restore)
    if cancelled := agents.cancelled(restore):
        return end(world, restore, "Cancelled", cancelled)
    if restore.status.resolved is None:
        return await _resolve(world, restore)
    return await _start(world, restore)


async def _resolve(world: World, restore: Restore) -> Outcome:
    """Search the repository for the source, and pin the snapshots before anything is done."""
    facts = await _gather(world, restore)
    if objection := planning.may_search(facts):
        return objected(world, restore, objection)
    assert facts.host and facts.repository
    pledge = await _pledge(world, restore, facts.host, facts.repository)
    assert pledge.access
    wanted = planning.search(facts, world.settings.cluster_name)
    search = catalog.Search(restore, facts.host, facts.repository, pledge.access, wanted)
    found = await catalog.search(world, world.hosts.at(pledge.address), search)
    if found is None:
        searching = Objection(reasons.PROGRESSING, "the archive is being looked for")
        return replace(waiting(restore.status, searching), look_again_in=agents.POLL_SECONDS)
    if isinstance(found, Failure):
        if found.retryable:
            return waiting(restore.status, Objection(found.reason, found.message))
        return end(world, restore, "Failed", found)
    return _resolved(world, restore, facts, found)


def _resolved(world: World, restore: Restore, facts: planning.RestoreFacts, found: CatalogReport) -> Outcome:
    verdict = planning.resolve(facts, found)
    if isinstance(verdict, Objection):
        return objected(world, restore, verdict)
    update = {"resolved": verdict, "host": verdict.host.name, "source": planning.describe_source(restore)}
    status = restore.status.model_copy(update=update)
    found_it = Objection(reasons.PENDING, f"found: the data is of {verdict.time:%Y-%m-%dT%H:%M:%SZ}")
    return replace(waiting(status, found_it), look_again_in=0)


async def _start(world: World, restore: Restore) -> Outcome:
    """Wait until the targets are free, create the missing ones, then be Running: from here on backups of them wait."""
    resolved = restore.status.resolved
    assert resolved
    admission = world.memory.admission[resolved.host.engine_id]
    if admission.locked():
        return Outcome(look_again_in=agents.POLL_SECONDS)
    async with admission:
        facts = await _gather(world, restore)
        if objection := planning.may_start(facts) or await _held(world, restore, facts):
            return objected(world, restore, objection)
        status = restore.status.model_copy(update={"phase": "Running", "start_time": world.now()})
        return await commit(world, restore, working(status, "the agent is being started", look_again_in=0))


async def _held(world: World, restore: Restore, facts: planning.RestoreFacts) -> Objection | None:
    """Return why the services that use the targets cannot be stopped now, or None."""
    assert facts.host and facts.inventory
    docker = world.hosts.at(await address_of(world, facts.host))
    site = Site(world, docker, facts.host, agents.owner_of(restore), labels.agent_name("restore", restore.uid))
    plan = await journals.planned(site, facts.inventory, intent_of(restore, facts.host))
    return plan if isinstance(plan, Objection) else None


async def _gather(world: World, restore: Restore) -> planning.RestoreFacts:
    source, namespace = restore.spec.source, restore.namespace
    run = world.store.run(namespace, source.run_ref.name) if source.run_ref else None
    policy = world.store.policy(namespace, source.policy_ref.name) if source.policy_ref else None
    repository = repository_of(world, restore)
    host = host_of(world, restore)
    ready = host if host and host.ready else None
    docker = world.hosts.at(await address_of(world, ready)) if ready else None
    inventory = await inventory_of(world, ready, docker, dt.timedelta()) if ready and docker else None
    return planning.RestoreFacts(
        restore=restore,
        source_run=run,
        source_policy=policy,
        host=host,
        hosts=tuple(world.store.hosts()),
        repository=repository,
        repository_volumes=repository_volumes(world, host) if host else (),
        inventory=inventory,
        others=line.others(world, restore.uid),
        usage=line.usage_of(world, host),
        now=world.now(),
    )


async def _pledge(world: World, restore: Restore, host: Host, repository: Repository) -> Pledge:
    """Return the way to host and repository, kept until the restore ends."""
    pledge = world.memory.pledges.get(restore.uid)
    if pledge is None:
        access = await repository_access(world, repository, repository.status.repository_id)
        pledge = Pledge(await address_of(world, host), access, repository)
        world.memory.pledges[restore.uid] = pledge
    return pledge


async def _follow(world: World, restore: Restore) -> Outcome:
    """Start the agent, or look at it."""
    resolved = restore.status.resolved
    assert resolved
    pledge = world.memory.pledges.get(restore.uid)
    host, repository = host_of(world, restore), pledge.repository if pledge else repository_of(world, restore)
    if host is None or repository is None or host.uid != resolved.host.uid:
        targets = humanize.listed([volume.target for volume in resolved.volumes])
        what = f"ComposeHost {resolved.host.name}" if repository else f"ArchiveRepository {resolved.repository.name}"
        message = (
            f"{what} was deleted during the restore; {targets} may hold half-restored data: do not start services onto "
            "it, apply the object again and restore again with existingData: Mirror"
        )
        failure = Failure(reason=reasons.TARGET_INCOMPLETE, message=message)
        return end(world, restore, "Failed", failure, partial(deletion.end_agents, world, restore.uid))
    pledge = await _pledge(world, restore, host, repository)
    docker = world.hosts.at(world.newest_address(pledge))
    where = PlacedRestore(world, restore, host, repository, docker, pledge)
    return await start_agent(where) if restore.status.agent is None else await _look(where)


async def _look(placed: PlacedRestore) -> Outcome:
    restore, world = placed.restore, placed.world
    sighting = await agents.sight(world, placed.docker, placed.container)
    match sighting.state:
        case Working() as at_work:
            if stop_wanted(world, restore):
                await placed.docker.terminate_agent(placed.container)
            return _at_work(placed, at_work)
        case NeverStarted():
            again = working(restore.status.model_copy(update={"agent": None}), "the agent is being started anew")
            remove = agents.removal(placed.docker, placed.container)
            return replace(again, look_again_in=0, afterwards=remove)
        case Reported() as told:
            return await reported(placed, sighting.look, told)
        case Died() as end_of_agent:
            return await died(placed, sighting.look, end_of_agent)


def _at_work(placed: PlacedRestore, at_work: Working) -> Outcome:
    """Tell how far the agent is. Where the services are is told at once, progress only now and then."""
    before = placed.restore.status
    update = {
        "phase": downtime.phase_of(at_work.window),
        "progress": agents.shown(at_work.progress, before.progress, placed.world.now()),
        **downtime.shown(at_work.quiesce),
    }
    message = agents.message_of("the agent restores", at_work)
    return working(before.model_copy(update=update), message, reason=agents.reason_of(at_work.window))
