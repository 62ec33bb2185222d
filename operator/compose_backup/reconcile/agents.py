"""Agent containers seen from the operator: looked at, ended when silent, removed when their report is stored.

The same for every purpose. Called by the passes over runs, restores, repositories and policies.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from compose_backup.api import reasons
from compose_backup.api.backup_policy import CANCEL_REQUESTED_ANNOTATION
from compose_backup.api.backup_run import AgentPlace, Failure, Progress
from compose_backup.api.job import Window
from compose_backup.api.resources import Resource
from compose_backup.errors import Unreachable
from compose_backup.planning import downtime, labels
from compose_backup.planning.agent_state import AgentState, Died, Working, judge
from compose_backup.planning.facts import AgentContainer, AgentLook
from compose_backup.planning.labels import Owner
from compose_backup.reconcile.ports import DockerHost
from compose_backup.reconcile.world import Heard, World

POLL_SECONDS = 0.5
PROGRESS_WRITE_SECONDS = 4.5
# The agent writes a line every five seconds. Silent for longer than the first limit it is asked to stop, then removed.
SILENT_SECONDS = 120.0
GIVEN_UP_SECONDS = 180.0


Action = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Sighting:
    """What a look at an agent container came to."""

    look: AgentLook | None
    state: AgentState


async def sight(world: World, docker: DockerHost, container: str) -> Sighting:
    """Look at a container; one that has been silent for too long is ended and counts as dead."""
    look = await docker.look_at_agent(container)
    state = judge(look)
    if look is None or not isinstance(state, Working):
        world.memory.heard.pop(container, None)
    else:
        silence = _silence(world, container, look.container_id, state.sequence)
        if silence > GIVEN_UP_SECONDS:
            await docker.remove_agent(container)
            return Sighting(look, Died(_silent(silence), target_touched=True, log_tail=""))
        if silence > SILENT_SECONDS:
            await docker.terminate_agent(container)
    return Sighting(look, state)


def removal(docker: DockerHost, container: str) -> Action:
    """Return what removes a container once its report is stored. The sweep makes up for it when the host is away."""

    async def remove() -> None:
        with suppress(Unreachable):
            await docker.remove_agent(container)

    return remove


def shown(progress: Progress | None, before: Progress | None, now: dt.datetime) -> Progress | None:
    """Return the progress to write: the old one while it is younger than a few seconds, so that writes stay rare."""
    if progress is None:
        return before
    if before and before.updated_at and (now - before.updated_at).total_seconds() < PROGRESS_WRITE_SECONDS:
        return before
    return progress.model_copy(update={"updated_at": now})


def reason_of(window: Window | None) -> str:
    """Return the reason of the condition Ready while an agent works."""
    return reasons.RESUMING if window == "Resuming" else reasons.QUIESCED if window else reasons.RUNNING


def message_of(work: str, working: Working) -> str:
    """Return the message of the condition Ready: the work, and what is down meanwhile."""
    down = downtime.told(working.window, working.quiesce)
    return f"{work}; {down}" if down else work


def cancelled(resource: Resource[Any, Any]) -> Failure | None:
    """Return that a person has cancelled a run or restore, or None."""
    if CANCEL_REQUESTED_ANNOTATION not in resource.annotations:
        return None
    return Failure(reason=reasons.CANCELLED, message=f"cancelled by the annotation {CANCEL_REQUESTED_ANNOTATION}")


def has_journal(look: AgentLook | None) -> bool:
    """Return whether an agent may have stopped something: one that is gone cannot tell."""
    return look is None or labels.JOURNAL in look.labels


def place_of(wanted: AgentContainer, container_id: str, engine_id: str, now: dt.datetime) -> AgentPlace:
    """Return where an agent has been started."""
    return AgentPlace(
        container_id=container_id,
        container_name=wanted.name,
        engine_id=engine_id,
        image=wanted.image,
        start_time=now,
    )


def owner_of(resource: Resource[Any, Any]) -> Owner:
    """Return the owner that the labels of a container name."""
    return Owner(resource.kind.name, resource.namespace, resource.name, resource.uid)


def _silence(world: World, container: str, container_id: str, sequence: int) -> float:
    """Return the seconds since the agent's last new event, by our own clock: that of the host may be wrong."""
    now = world.clock()
    known = world.memory.heard.get(container)
    # Containers of one name follow each other: the silence of an earlier one says nothing about this one.
    if known is None or (known.container_id, known.sequence) != (container_id, sequence):
        world.memory.heard[container] = Heard(container_id, sequence, now)
        return 0.0
    return (now - known.at).total_seconds()


def _silent(seconds: float) -> Failure:
    return Failure(
        reason=reasons.AGENT_SILENT,
        message=f"the agent said nothing for {seconds:.0f} s, though it lives; a volume or the repository may hang "
        "(a network file system?)",
        retryable=True,
    )
