"""An agent that finds an open journal: it brings services back first and asks afterwards.

That is an agent which Docker has started again after a crash, a restart of the engine or of the host: its job is gone
with its stdin. Or one that was made for this, by a `cleanup` job. Called by agent/__main__.py.
"""

from __future__ import annotations

from collections.abc import Callable

from compose_backup.agent.context import Surroundings
from compose_backup.agent.quiesce.journal import Journal
from compose_backup.agent.quiesce.window import Quiescence
from compose_backup.agent.texts import MESSAGE_LIMIT, shorten
from compose_backup.api import reasons
from compose_backup.api.backup_run import Failure
from compose_backup.api.job import CleanupReport, Report
from compose_backup.api.journal import JournalPlan
from compose_backup.errors import AgentFailed


def left_open(outside: Surroundings) -> JournalPlan | None:
    """Return the plan of an open journal, None where there is none."""
    journal = Journal(outside.places.journal, outside.diagnostics.say)
    return journal.plan if journal.is_open else None


def recover(plan: JournalPlan, outside: Surroundings, asked_for: Callable[[], bool]) -> Report:
    """Undo what is open. `asked_for` is asked when that is done: by a job it is no failure that there was something."""
    entries = Journal(outside.places.journal, outside.diagnostics.say).entries
    touched = any(entry.step == "touching" for entry in entries)
    if touched:
        outside.emitter.target_touched()
    quiescence = Quiescence(plan, outside.engine(), outside)
    quiescence.recover()
    found = CleanupReport(quiesce=quiescence.result, hooks=quiescence.hooks, target_incomplete=quiescence.incomplete)
    return Report(cleanup=found, failure=_failure(quiescence, asked_for))


def _failure(quiescence: Quiescence, asked_for: Callable[[], bool]) -> Failure | None:
    if quiescence.incomplete:
        message = (
            "the restore was interrupted after its first written byte: its services are kept stopped; "
            "restore again, and they are started"
        )
        return Failure(reason=reasons.TARGET_INCOMPLETE, message=message)
    problem: AgentFailed | None = quiescence.failure
    if problem is not None:
        return Failure(reason=problem.reason, message=shorten(problem.message, MESSAGE_LIMIT))
    if asked_for():
        return None
    message = "the agent or its host was restarted in the middle; services are up again, nothing more was done"
    return Failure(reason=reasons.INTERRUPTED, message=message, retryable=True)
