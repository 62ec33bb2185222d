"""What a look at an agent container means: it works, it has reported, or it died. The same for every purpose.

Called by reconcile/agents.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from compose_backup.api import reasons
from compose_backup.api.backup_run import Failure, Progress, QuiesceResult
from compose_backup.api.job import Report, Window
from compose_backup.planning.facts import AgentLook

KILLED_EXIT_CODE = 137
NO_JOB_EXIT_CODE = 2
"""agent/__main__.py ends with it when no job came over stdin, or none that it understands: nothing was done."""


@dataclass(frozen=True)
class Working:
    """The agent is at work. `sequence` is that of its last event, 0 before the first."""

    sequence: int
    progress: Progress | None
    window: Window | None = None
    """Where the services are, None when nothing is down."""
    quiesce: QuiesceResult | None = None
    """The services that are or were down."""


@dataclass(frozen=True)
class Reported:
    """The agent has ended and said how."""

    report: Report
    log_tail: str
    target_touched: bool = False
    """Restore: whether a byte may have been written, by all that was said: a report of an unexpected error may not."""


@dataclass(frozen=True)
class Died:
    """The agent has ended without a report. `target_touched`: a restore may have written to its target by then."""

    failure: Failure
    target_touched: bool
    log_tail: str
    quiesce: QuiesceResult | None = None
    """The services that were down when it last spoke; what became of them afterwards it cannot tell."""


@dataclass(frozen=True)
class NeverStarted:
    """The container was created, but the operator died before it was started: nothing has happened yet."""


VANISHED = Died(
    Failure(
        reason=reasons.AGENT_LOST,
        message="the agent container was removed before it had reported; something on the host removes containers",
        retryable=True,
    ),
    target_touched=True,
    log_tail="",
)
"""An agent that is gone without a word: nothing is known of it."""

AgentState = Working | Reported | Died | NeverStarted


def judge(look: AgentLook | None) -> AgentState:
    """Return what a look at the container means.

    A container that was restarted shows the events of all its processes, one after the other, each numbered from one:
    the newest counts, and the report is the last one.
    """
    if look is None:
        return VANISHED
    if look.state == "created":
        return NeverStarted()
    report = next((event.report for event in reversed(look.events) if event.report), None)
    tail = look.error_output[-1024:]
    if report is not None and not look.alive:
        return Reported(report, tail, any(event.target_touched for event in look.events))
    if look.alive:
        return _working(look)
    if look.exit_code == NO_JOB_EXIT_CODE and not look.events:
        return Died(_jobless(), target_touched=False, log_tail=tail)
    # Without a single event nothing is known, and a target whose state is unknown must not be used.
    touched = any(event.target_touched for event in look.events) or not look.events
    return Died(_death(look), touched, tail, _quiesce(look))


def _working(look: AgentLook) -> Working:
    progress = next((event.progress for event in reversed(look.events) if event.progress), None)
    newest = look.events[-1] if look.events else None
    if newest is None:
        return Working(0, progress)
    return Working(newest.sequence, progress, newest.window, _quiesce(look))


def _quiesce(look: AgentLook) -> QuiesceResult | None:
    return next((event.quiesce for event in reversed(look.events) if event.quiesce), None)


def has_stopped_something(look: AgentLook | None) -> bool:
    """Return whether an agent has told of a service that it would stop: it does so before each stop, for ever after.

    One that is gone cannot tell. Ask it only of an agent that has reported: the last words of a dead one may be lost.
    """
    return look is None or any(event.quiesce for event in look.events)


def has_its_job(look: AgentLook | None) -> bool | None:
    """Return whether a container that was found by its name has got its job, None while that is not known yet.

    An operator that is killed while it starts a container leaves it without: its stdin ends, and so does the agent.
    """
    if look is None or look.state == "created":
        return False
    if look.events:
        return True
    return None if look.alive else look.exit_code != NO_JOB_EXIT_CODE


def _jobless() -> Failure:
    return Failure(
        reason=reasons.AGENT_LOST,
        message="the agent got no job that it understands; its image must be of the operator's version",
        retryable=True,
    )


def _death(look: AgentLook) -> Failure:
    if look.out_of_memory:
        return Failure(
            reason=reasons.OUT_OF_MEMORY,
            message="the agent ran out of memory; raise spec.agent.memory of the ComposeHost",
            retryable=True,
        )
    if look.exit_code == KILLED_EXIT_CODE:
        return Failure(
            reason=reasons.AGENT_KILLED,
            message="the agent was killed (exit code 137), by a person or a process on the host",
            retryable=True,
        )
    return Failure(
        reason=reasons.AGENT_LOST,
        message=f"the agent ended with code {look.exit_code} without a report; its last words are in status.logTail",
        retryable=True,
    )
