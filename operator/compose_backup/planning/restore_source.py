"""What a restore refers to by name: whether it is there, and what it is called in messages.

Called by planning/restore.py.
"""

from __future__ import annotations

import datetime as dt

from compose_backup.api import reasons
from compose_backup.api.resources import Policy, Restore, Run
from compose_backup.planning.checks import Objection, if_absent


def missing(restore: Restore, run: Run | None, policy: Policy | None, now: dt.datetime) -> Objection | None:
    """Object to a run or policy that does not exist, or to a run that cannot be restored."""
    source = restore.spec.source
    if source.run_ref:
        return _without_run(source.run_ref.name, restore, now) if run is None else _unusable(run)
    if source.policy_ref and policy is None:
        message = (
            f"BackupPolicy {source.policy_ref.name} does not exist in this namespace; apply it again, or use "
            "repositoryRef"
        )
        return Objection(reasons.POLICY_NOT_FOUND, message, if_absent(restore, now))
    return None


def _without_run(name: str, restore: Restore, now: dt.datetime) -> Objection:
    message = (
        f"BackupRun {name} does not exist in this namespace; its archive may still be there: see "
        "`kubectl get bpol -o yaml`, status.restorePoints, and use policyRef with asOf"
    )
    return Objection(reasons.RUN_NOT_FOUND, message, if_absent(restore, now))


def _unusable(run: Run) -> Objection | None:
    if not run.finished:
        return Objection(reasons.PENDING, f"BackupRun {run.name} is not finished")
    if run.status.resolved is None:
        why = run.status.failure.message if run.status.failure else "no reason was kept"
        message = f"BackupRun {run.name} ended as {run.status.phase} before it had begun ({why}); choose another run"
        return Objection(reasons.NO_GOOD_RUN, message, "fail")
    return None


def host_name(restore: Restore, run: Run | None, policy: Policy | None) -> str:
    """Return the name of the ComposeHost to restore to."""
    if restore.spec.target.host_ref:
        return restore.spec.target.host_ref.name
    if policy:
        return policy.spec.host_ref.name
    return run.status.resolved.host.name if run and run.status.resolved else "of the source"


def repository_name(restore: Restore, run: Run | None, policy: Policy | None) -> str:
    """Return the name of the ArchiveRepository to restore from."""
    if restore.spec.source.repository_ref:
        return restore.spec.source.repository_ref.name
    if policy:
        return policy.spec.repository_ref.name
    return run.status.resolved.repository.name if run and run.status.resolved else "of the source"
