"""What the operator takes with 2,000 policies on 50 hosts, nothing due, and how soon it is ready after a restart.

All 50 ComposeHosts lead to the one engine by its unix socket, each with a repository of its own in a volume there and
40 policies; the API server is a real one. Ready is the time from the start of the process until all objects are listed
and the health check says so; settled, until every object had its pass. Run alone, or by run.py.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import objects
from api import is_ready
from compose_backup.api.kinds import BACKUP_POLICY
from figures import Figure, main
from stage import Stage, opened

HOSTS = 50
POLICIES_PER_HOST = 40
DATA_VOLUMES = 4
AT_A_TIME = 3
IDLE_SECONDS = 60.0
PATIENCE_SECONDS = 300.0
MEMORY_MUST_MB = 140.0
READY_MUST_SECONDS = 20.0
CPU_MUST_PERCENT = 3.0


def measure() -> Sequence[Figure]:
    """Declare everything, let a first operator write all statuses, and measure one that is started after it."""
    with opened() as stage:
        stage.operator.start()
        _declare_hosts(stage)
        stage.operator.stop()
        _declare_policies(stage)
        stage.operator.start()
        first = _wait_until_all_are_ready(stage)
        stage.operator.wait_until_quiet()
        stage.operator.stop()
        stage.operator.start()
        ready = stage.operator.wait_until_ready()
        settled = stage.operator.wait_until_quiet()
        spent = stage.operator.cpu_seconds
        usage = stage.operator.measure(IDLE_SECONDS)
    peak = f"peak {usage.memory_peak:.0f}"
    return (
        Figure("operator_2000_policies_memory", usage.memory, "MB", MEMORY_MUST_MB, peak),
        Figure("operator_2000_policies_ready", ready, "s", READY_MUST_SECONDS, "after a restart"),
        Figure(
            "operator_2000_policies_idle_cpu", usage.cpu * 100, "%", CPU_MUST_PERCENT, f"of a core, {IDLE_SECONDS:g} s"
        ),
        Figure("operator_2000_policies_settled", settled, "s", None, f"{spent:.1f} s of CPU"),
        Figure("operator_2000_policies_first_start", first, "s", None, "until every policy has its first status"),
    )


def _declare_hosts(stage: Stage) -> None:
    """Declare hosts and repositories, a few at a time: each repository is opened by a container."""

    def declare(number: int) -> None:
        stage.declare_host(f"host-{number}")
        stage.declare_repository(f"repository-{number}", f"host-{number}")

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(declare, range(HOSTS)))


def _declare_policies(stage: Stage) -> None:
    volumes = [stage.volume(f"data{number}") for number in range(DATA_VOLUMES)]
    bodies = [
        objects.policy(f"policy-{host}-{number}", f"repository-{host}", volumes, f"host-{host}")
        for host in range(HOSTS)
        for number in range(POLICIES_PER_HOST)
    ]
    stage.api.create_all(BACKUP_POLICY, bodies)


def _wait_until_all_are_ready(stage: Stage) -> float:
    """Return the seconds until every policy is scheduled; one is waited for after the other, so that none is polled."""
    started = time.monotonic()
    for body in stage.api.all(BACKUP_POLICY):
        stage.api.wait(BACKUP_POLICY, objects.NAMESPACE, body["metadata"]["name"], is_ready, PATIENCE_SECONDS)
    return time.monotonic() - started


if __name__ == "__main__":
    main(measure)
