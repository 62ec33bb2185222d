"""What was stopped and must be started again, kept on the Docker host where it outlives operator, agent and network.

The plan stands in a label of the journal volume `compose-backup-journal-<UID>`, made before the first stop, so that
anybody with Docker's API can read it without a container; how far it was carried out stands in a file of that volume.
Decided by planning/quiescing.py, written by reconcile/, carried out by agent/, settled by whoever is left.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

from compose_backup.api.backup_policy import Hook, Method
from compose_backup.api.base import Model

JOURNAL_ROOT = "/journal"
PLAN_FILE = "plan.json"
"""The plan once more, for an agent that was restarted and has lost its job."""
PROGRESS_FILE = "progress.jsonl"
"""One JournalEntry a line, each synced before the act that it announces."""


class RestartPolicy(Model):
    """What Docker does with a container that ends."""

    name: str = "no"
    maximum_retry_count: int = 0


class PlannedService(Model):
    """One container that goes down, as it was when the plan was made."""

    container_id: str
    name: str
    """The container's name: an id alone tells a person nothing."""
    project: str | None = None
    service: str | None = None
    number: int | None = None
    """Compose's container-number: which replica it is."""
    method: Literal["Stop", "Pause"]
    started_at: str
    """Docker's `StartedAt`. While it is the same, nobody has started the container since: then it is ours to start.
    Empty for one that was crash-looping: Docker starts such a one at any moment, so it is ours whenever it is down."""
    level: int
    """Containers of level 0 go down first and come up last; those of one level go together."""
    was_healthy: bool = False
    """Whether its health check passed: then it is waited for on the way up."""
    health_seconds: int = 0
    """How long its health is waited for: start period and all retries, at most 300 s."""
    waited_for: bool = False
    """Whether a container above it asks for `service_healthy`: that one is started only when this one is healthy."""
    stop_seconds: int = 10
    """How long Docker waits for its end before it kills it, where the plan says nothing else."""
    restart_policy: RestartPolicy = RestartPolicy()
    """What the user gave it. A restore holds it at `no` until the data is whole."""
    only_when_whole: bool = False
    """Whether an earlier restore has left it stopped, maybe onto half-restored data: this one starts it only when it
    has made the data whole, and else leaves it to the journal of the earlier one."""

    @property
    def title(self) -> str:
        """How people know the container: `project/service`, or its name where Compose did not make it."""
        return f"{self.project}/{self.service}" if self.project and self.service else self.name


class JournalPlan(Model):
    """Everything that must be undone, whoever dies."""

    purpose: Literal["run", "restore"]
    owner: str
    """`<kind> <namespace>/<name>`, for messages."""
    agent: str
    """Name of the agent's container, whose own restart policy is `always` around the window."""
    attempt: int = 1
    made_at: dt.datetime
    """When the containers were looked at."""
    volumes: tuple[str, ...] = ()
    """The volumes that are read or written: what a broken restore has left incomplete."""
    method: Method
    """The policy's method, shown in status."""
    stop_timeout_seconds: int | None = None
    max_seconds: int = 600
    """The longest that services may be down."""
    services: tuple[PlannedService, ...] = ()
    """In the order of going down."""
    left_running: tuple[str, ...] = ()
    """Ids of containers that write and go on (method `None`): their volumes are live copies, as asked."""
    pre_hooks: tuple[Hook, ...] = ()
    post_hooks: tuple[Hook, ...] = ()

    @property
    def needs_journal(self) -> bool:
        """Whether anything is done that would have to be undone."""
        return bool(self.services or self.pre_hooks or self.post_hooks)


Step = Literal[
    "opened",  # the journal is written, the agent's own restart policy is set; nothing has happened yet
    "pre-hook",  # about to run pre hook `index`
    "going-down",  # about to stop or pause `container`
    "down",  # it is down
    "touching",  # restore: about to write the first byte
    "whole",  # restore: every volume is complete, services may be started
    "coming-up",  # about to start or unpause `container`
    "up",  # it was seen running
    "resumed",  # everything was seen running, or is told as failed
    "post-hook",  # about to run post hook `index`
    "post-hook-done",
    "closed",  # nothing is left to undo
]


class JournalEntry(Model):
    """One line of the progress file."""

    step: Step
    time: dt.datetime
    container: str | None = None
    """Id of the container."""
    index: int | None = None
    """Which hook."""
