"""What must still hold just before the first stop, since the plan was made elsewhere and some time ago.

Called by backup.py and restore.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from compose_backup.agent.context import Patience
from compose_backup.agent.looking import Engine, Look
from compose_backup.agent.quiesce.reaching import patiently
from compose_backup.api import reasons
from compose_backup.api.journal import JournalPlan
from compose_backup.errors import AgentFailed
from compose_backup.planning import journals, quiescing


def look_for(plan: JournalPlan, volumes: Sequence[str], engine: Engine, patience: Patience) -> Look:
    """Look at the volumes, at who uses them, and at every container of the plan; an engine may just be restarting."""
    named = [service.container_id for service in plan.services]
    return patiently(lambda: engine.look(volumes, named), patience)


def refuse_changes(plan: JournalPlan, volumes: Sequence[str], look: Look) -> None:
    """Raise AgentFailed when another one has stopped what we would, or containers are not as they were planned with."""
    other = journals.in_the_way(plan, volumes, look.inventory, only_older=True)
    if other is not None:
        message = (
            f"{other.owner} has stopped services of these volumes and has not started them all again; "
            "wait for its end, or look what it waits for"
        )
        raise AgentFailed(reasons.STOPPED_BY_ANOTHER, message, retryable=True)
    changed = quiescing.changes(plan, volumes, look.inventory)
    if changed:
        message = f"containers have changed since the plan was made ({'; '.join(changed)}); the next attempt plans anew"
        raise AgentFailed(reasons.SERVICES_CHANGED, message, retryable=True)
