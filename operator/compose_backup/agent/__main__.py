"""The agent, process 1 of its container: job in by stdin, events out by stdout, report as the last line.

SIGTERM means: stop now, keep what is done. Started as `python -m compose_backup.agent` by gateways/docker_host.py.
"""

from __future__ import annotations

import signal
import sys

from compose_backup.agent.context import Context, Places
from compose_backup.agent.engines.restic import Restic
from compose_backup.agent.events import Diagnostics, Emitter, heartbeat
from compose_backup.agent.inbox import NoJob, read_job
from compose_backup.agent.jobs import perform, seconds_left
from compose_backup.agent.looking import Engine
from compose_backup.agent.processes import Runner
from compose_backup.agent.stopping import Stop
from compose_backup.api.job import Job

DONE = 0
FAILED = 1
NO_JOB = 2


def main(places: Places | None = None) -> int:
    """Take one job, do it, and return the exit code: 0 only when the report tells of no failure."""
    stop = Stop()
    # Process 1 gets no signal that it has no handler for.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.cancel())
    diagnostics = Diagnostics(sys.stderr)
    emitter = Emitter(sys.stdout.buffer)
    try:
        job = read_job(sys.stdin.fileno(), stop)
    except NoJob as problem:
        diagnostics.say(str(problem))
        return NO_JOB
    emitter.accepted()
    context = context_for(job, places or Places(), stop, diagnostics, emitter)
    with heartbeat(emitter):
        report = perform(job, context)
    emitter.report(report)
    return DONE if report.failure is None else FAILED


def context_for(job: Job, places: Places, stop: Stop, diagnostics: Diagnostics, emitter: Emitter) -> Context:
    """Return what the job works with; its deadline runs from here."""
    diagnostics.keep_secret(job.repository.password.get_secret_value())
    stop.end_after(seconds_left(job))
    restic = Restic(Runner(stop), job.repository, places.repository, places.restic, places.scratch, diagnostics.say)
    return Context(
        places=places,
        access=job.repository,
        restic=restic,
        emitter=emitter,
        diagnostics=diagnostics,
        stop=stop,
        engine=lambda: _docker_engine(places.docker_socket),
    )


def _docker_engine(socket: str) -> Engine:
    from compose_backup.agent.quiesce import DockerEngine  # slow to load, and restic is opening meanwhile

    return DockerEngine(socket)


if __name__ == "__main__":
    sys.exit(main())
