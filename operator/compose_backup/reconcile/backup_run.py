"""One pass over a BackupRun: admit it, start the agent, follow it, store its report.

Evidence in status tells the next step:

| status | next step |
|---|---|
| no `resolved` | ask planning whether it may start, and pin what it is started with (run_admission.py) |
| `resolved`, no `agent` | settle what is left, plan, start the agent of the next attempt in its time (run_attempt.py) |
| `agent` | look at it: progress, report, or a death whose report may be in the repository (run_end.py) |
| `completionTime` | nothing, for ever |

Called by worker.py.
"""

from __future__ import annotations

from functools import partial

from compose_backup.api.backup_run import Failure
from compose_backup.api.resources import Run
from compose_backup.planning import downtime
from compose_backup.planning.agent_state import Died, NeverStarted, Reported, Working
from compose_backup.reconcile import agents, deletion
from compose_backup.reconcile.outcome import NOTHING, Outcome
from compose_backup.reconcile.run_admission import admit
from compose_backup.reconcile.run_attempt import next_attempt
from compose_backup.reconcile.run_end import died, reported
from compose_backup.reconcile.run_outcomes import end, working
from compose_backup.reconcile.run_place import DEADLINE_GRACE, Placed, deadline_passed, placed, stop_wanted
from compose_backup.reconcile.world import World


async def reconcile(world: World, run: Run) -> Outcome:
    """Do the next step of a run."""
    if run.finished:
        world.memory.pledges.pop(run.uid, None)
        return NOTHING
    if run.status.resolved is None:
        return await admit(world, run)
    if run.status.agent is None and (stop := stop_wanted(world, run)):
        return end(world, run.status, "Cancelled", stop, partial(deletion.end_agents, world, run.uid))
    where = await placed(world, run)
    if isinstance(where, Failure):
        return end(world, run.status, "Failed", where, partial(deletion.end_agents, world, run.uid))
    if run.status.agent is None:
        return await next_attempt(where)
    return await _follow(where)


async def _follow(placed: Placed) -> Outcome:
    """Look at the agent: progress, its report, or its death."""
    sighting = await agents.sight(placed.world, placed.docker, placed.container)
    match sighting.state:
        case Working() as at_work:
            if stop_wanted(placed.world, placed.run) or deadline_passed(placed, DEADLINE_GRACE):
                await placed.docker.terminate_agent(placed.container)
            return _at_work(placed, at_work)
        case NeverStarted():
            status = placed.run.status.model_copy(update={"agent": None, "attempts": placed.run.status.attempts - 1})
            remove = agents.removal(placed.docker, placed.container)
            return working(status, "the agent is being started anew", look_again_in=0, afterwards=remove)
        case Reported() as told:
            return await reported(placed, sighting.look, told)
        case Died() as end_of_agent:
            return await died(placed, sighting.look, end_of_agent)


def _at_work(placed: Placed, at_work: Working) -> Outcome:
    """Tell how far the agent is. Where the services are is told at once, progress only now and then."""
    before = placed.run.status
    update = {
        "phase": downtime.phase_of(at_work.window),
        "progress": agents.shown(at_work.progress, before.progress, placed.world.now()),
        **downtime.shown(at_work.quiesce),
    }
    message = agents.message_of(f"attempt {before.attempts} is at work", at_work)
    return working(before.model_copy(update=update), message, reason=agents.reason_of(at_work.window))
