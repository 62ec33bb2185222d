"""How long services will be down, judged by earlier runs. Called by planning/backup.py before a run starts."""

from __future__ import annotations

import datetime as dt
import statistics
from collections.abc import Collection, Iterable

from compose_backup.api import reasons
from compose_backup.api.backup_policy import Quiesce
from compose_backup.api.resources import Run
from compose_backup.planning import humanize
from compose_backup.planning.checks import Objection

RUNS_COUNTED = 3


def downtimes(runs: Iterable[Run], policy_uid: str, volumes: Collection[str], quiesce: Quiesce) -> list[float]:
    """Return the downtimes in seconds of the last good runs that did the same: same policy, volumes and way."""
    alike = [run for run in runs if _is_alike(run, policy_uid, volumes, quiesce)]
    newest = sorted(alike, key=lambda run: run.status.completion_time or run.created, reverse=True)
    return [run.status.quiesce.downtime_seconds for run in newest[:RUNS_COUNTED] if run.status.quiesce]


def _is_alike(run: Run, policy_uid: str, volumes: Collection[str], quiesce: Quiesce) -> bool:
    resolved, measured = run.status.resolved, run.status.quiesce
    if run.status.phase != "Succeeded" or resolved is None or measured is None or not measured.services:
        return False
    same_volumes = set(resolved.volumes) == set(volumes)
    same_way = (resolved.quiesce.method, resolved.quiesce.stage) == (quiesce.method, quiesce.stage)
    return resolved.policy_uid == policy_uid and same_volumes and same_way


def estimate(runs: Iterable[Run], policy_uid: str, volumes: Collection[str], quiesce: Quiesce) -> float | None:
    """Return how many seconds services will be down, or None where no earlier run tells."""
    found = downtimes(runs, policy_uid, volumes, quiesce)
    return statistics.median(found) if found else None


def too_long(runs: Iterable[Run], policy_uid: str, volumes: Collection[str], quiesce: Quiesce) -> Objection | None:
    """Object to a run that would have to be broken off: its services would be down for nothing."""
    seconds = estimate(runs, policy_uid, volumes, quiesce)
    if seconds is None or seconds <= quiesce.max_seconds:
        return None
    return Objection(
        reasons.WINDOW_EXCEEDED,
        f"services would be down for about {humanize.duration(dt.timedelta(seconds=seconds))}, as in the last runs, "
        f"and quiesce.maxSeconds of the policy allows {quiesce.max_seconds} s; raise it, or archive less at once",
        "fail",
    )
