"""Letting a run in: whether it may start, and what it is started with.

Each engine lets in one run or restore at a time; during the pause between two attempts a run is out, and asks again.
Called by backup_run.py and run_attempt.py.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from compose_backup.api.resources import Run
from compose_backup.errors import Stalled
from compose_backup.planning import backup as planning
from compose_backup.planning.checks import Objection
from compose_backup.planning.facts import Inventory
from compose_backup.reconcile import agents
from compose_backup.reconcile.access import address_of
from compose_backup.reconcile.commit import commit
from compose_backup.reconcile.compose_host import inventory_of
from compose_backup.reconcile.outcome import Outcome
from compose_backup.reconcile.run_outcomes import end, objected, waiting, working
from compose_backup.reconcile.run_place import Placed, earlier_runs, facts_of, pledged, stop_wanted
from compose_backup.reconcile.world import World


async def admit(world: World, run: Run) -> Outcome:
    """Ask whether the run may start; pin what it is started with."""
    if stop := stop_wanted(world, run):
        return end(world, run.status, "Cancelled", stop)
    facts = facts_of(world, run)
    if objection := planning.may_look(facts):
        return objected(world, run, objection)
    assert facts.host and facts.host.status.engine
    admission = world.memory.admission[facts.host.status.engine.id]
    if admission.locked():
        # Nobody waits here: a host that does not answer would hold one worker for each of its runs.
        return Outcome(look_again_in=agents.POLL_SECONDS)
    async with admission:
        docker = world.hosts.at(await address_of(world, facts.host))
        inventory = await inventory_of(world, facts.host, docker, dt.timedelta())
        facts = replace(facts_of(world, run), inventory=inventory, earlier=earlier_runs(world, run))
        verdict = planning.admit(facts)
        if isinstance(verdict, Objection):
            return objected(world, run, verdict)
        assert facts.host and facts.repository
        try:
            # First of all: a run that counts as running without its Secret would hold the place of others.
            await pledged(world, run, facts.host, facts.repository)
        except Stalled as error:
            return objected(world, run, Objection(error.reason, error.message))
        status = run.status.model_copy(update={"resolved": verdict, "phase": "Running", "start_time": world.now()})
        return await commit(world, run, working(status, "the agent is being started", look_again_in=0))


async def readmit(placed: Placed, inventory: Inventory, objection: Objection | None) -> Outcome:
    """Ask for a place on the engine once more; `objection` is what the services have against it."""
    world, run = placed.world, placed.run
    async with world.memory.admission[placed.host.status.engine.id if placed.host.status.engine else ""]:
        facts = replace(facts_of(world, run), host=placed.host, inventory=inventory)
        if later := planning.not_its_turn(facts) or objection:
            return waiting(run.status, later)
        status = run.status.model_copy(update={"retry_at": None, "phase": "Running"})
        return await commit(world, run, working(status, "the next attempt is being started", look_again_in=0))
