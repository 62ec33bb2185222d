"""The agent, process 1 of its container: job in by stdin, events out by stdout, report as the last line.

Before it asks for a job it looks for a journal that was left open. SIGTERM means: stop now, keep what is done, and
bring services back. Started as `python -m compose_backup.agent` by gateways/docker_host.py.
"""

from __future__ import annotations

import signal
import sys

from compose_backup.agent.context import Patience, Places, Surroundings
from compose_backup.agent.events import Diagnostics, Emitter, heartbeat
from compose_backup.agent.inbox import NoJob, read_job
from compose_backup.agent.jobs import perform, seconds_left, told
from compose_backup.agent.looking import Engine
from compose_backup.agent.quiesce.reaching import EngineGone
from compose_backup.agent.quiesce.recovery import left_open, recover
from compose_backup.agent.stopping import Stop
from compose_backup.api.job import Report

DONE = 0
FAILED = 1
NO_JOB = 2
ENGINE_GONE = 3
"""No report: Docker starts the agent again, which then finds its journal open."""
CLEANUP_SECONDS = 1.0
"""A cleanup job has long been sent when its work is done; an agent that was restarted gets neither data nor an end."""


def main(places: Places = Places(), patience: Patience = Patience()) -> int:  # noqa: B008  both are frozen
    """Take one job, do it, and return the exit code: 0 only when the report tells of no failure."""
    outside = _outside(places, patience)
    # Process 1 gets no signal that it has no handler for.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: outside.stop.cancel())
    try:
        report = _recovered(outside) or _done(outside)
    except NoJob as problem:
        outside.diagnostics.say(str(problem))
        return NO_JOB
    except EngineGone as problem:
        outside.diagnostics.say(f"the agent ends, to be started again with the engine's new socket: {problem}")
        return ENGINE_GONE
    outside.emitter.report(report)
    return DONE if report.failure is None else FAILED


def _outside(places: Places, patience: Patience) -> Surroundings:
    return Surroundings(
        places=places,
        emitter=Emitter(sys.stdout.buffer),
        diagnostics=Diagnostics(sys.stderr),
        stop=Stop(),
        engine=lambda: _docker_engine(places.docker_socket),
        patience=patience,
    )


def _recovered(outside: Surroundings) -> Report | None:
    """Bring back what an agent before this one has left down, and report it; None where there is nothing of it."""
    plan = left_open(outside)
    if plan is None:
        return None
    outside.emitter.accepted()
    with heartbeat(outside.emitter):
        return told(lambda: recover(plan, outside, lambda: _is_cleanup(outside.stop)), outside)


def _is_cleanup(stop: Stop) -> bool:
    try:
        return read_job(sys.stdin.fileno(), stop, CLEANUP_SECONDS).cleanup is not None
    except NoJob:
        return False


def _done(outside: Surroundings) -> Report:
    """Take the job and do it; its deadline runs from here. Raise NoJob when none comes."""
    job = read_job(sys.stdin.fileno(), outside.stop)
    outside.emitter.accepted()
    outside.stop.end_after(seconds_left(job))
    with heartbeat(outside.emitter):
        return perform(job, outside)


def _docker_engine(socket: str) -> Engine:
    from compose_backup.agent.quiesce.engine import DockerEngine  # slow to load, and restic is opening meanwhile

    return DockerEngine(socket)


if __name__ == "__main__":
    sys.exit(main())
