"""BackupRun: one run of a policy, immutable. Read and written by reconcile/backup_run.py."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field

from compose_backup.api.backup_policy import MAX_VOLUMES, HookPhase, Hooks, Method, Quiesce, Retry
from compose_backup.api.base import IMMUTABLE, Line, LongText, Model, Reference, Short, Text, cel, with_rules
from compose_backup.api.conditions import Status

RunPhase = Literal["Pending", "Running", "Resuming", "Succeeded", "PartiallyFailed", "Failed", "Cancelled", "Skipped"]
TERMINAL_PHASES: frozenset[str] = frozenset({"Succeeded", "PartiallyFailed", "Failed", "Cancelled", "Skipped"})
AT_WORK: frozenset[str] = frozenset({"Running", "Resuming"})
"""Phases in which an agent works on the host: it holds a place of `maxConcurrentRuns`."""
Consistency = Literal["Stopped", "Frozen", "Live"]
Means = Literal["Clone", "Copy", "Warm", "Everything"]
Trigger = Literal["Schedule", "Request", "Manual"]

TERMINAL_IS_FINAL = cel(
    "!has(oldSelf.completionTime) || (has(self.completionTime) && has(self.phase) && self.phase == oldSelf.phase "
    "&& self.completionTime == oldSelf.completionTime)",
    "a finished object never leaves its phase",
)


class BackupRunSpec(Model):
    """One run of a policy."""

    model_config = with_rules(IMMUTABLE)

    policy_ref: Reference
    """The BackupPolicy that is run."""
    scheduled_for: dt.datetime | None = None
    """The slot of the run. Default: the time of its creation."""
    trigger: Trigger = "Manual"
    """Why the run exists: its schedule, a request by annotation, or made by hand."""


class HostChoice(Model):
    """The host that a run or restore was started with."""

    name: Line
    """Name of the ComposeHost."""
    uid: Line
    """UID of the ComposeHost."""
    engine_id: Line
    """Identity of its Docker Engine."""


class RepositoryChoice(Model):
    """The repository that a run or restore was started with."""

    name: Line
    """Name of the ArchiveRepository."""
    uid: Line
    """UID of the ArchiveRepository."""
    repository_id: Line
    """Identity of the repository itself."""


class ResolvedRun(Model):
    """What the run was started with; nothing else is read afterwards."""

    policy_uid: Line
    """UID of the BackupPolicy."""
    policy_generation: int
    """Generation of the BackupPolicy."""
    host: HostChoice
    """The host."""
    repository: RepositoryChoice
    """The repository."""
    slot: dt.datetime
    """The time that its snapshots carry."""
    volumes: Annotated[tuple[Line, ...], Field(max_length=MAX_VOLUMES)]
    """The volumes that were selected, by full name."""
    quiesce: Quiesce = Quiesce()
    """What is done with services that write."""
    hooks: Hooks = Hooks()
    """Commands before and after."""
    exclude_files: Annotated[tuple[Line, ...], Field(max_length=64)] = ()
    """Patterns of files that are left out."""
    retry: Retry = Retry()
    """Attempts inside the run."""
    deadline: dt.datetime | None = None
    """When the run is ended if it is not finished."""


class AgentPlace(Model):
    """Where the agent of the current attempt runs."""

    container_id: Line
    """Id of the container."""
    container_name: Line
    """Name of the container: it follows from the object's UID and is the lock against a second start."""
    engine_id: Line
    """Engine that runs it."""
    image: Line
    """Image that it was started from."""
    start_time: dt.datetime
    """When it was started."""


class Progress(Model):
    """How far the current attempt is; totals are estimates and may grow."""

    percent: Annotated[int, Field(ge=0, le=100)] = 0
    """Share of all bytes, in percent."""
    bytes_done: int = 0
    """Bytes read or written so far."""
    bytes_total: int = 0
    """Bytes to read or write, as far as known."""
    files_done: int = 0
    """Files done so far."""
    volume: Line | None = None
    """The volume at work."""
    updated_at: dt.datetime | None = None
    """When the agent last said so."""


class Failure(Model):
    """Why the object is not green."""

    reason: Short
    """One word, listed in the reference of reasons."""
    message: LongText
    """What failed, why, and the next step."""
    retryable: bool = False
    """Whether another attempt may succeed."""


class WindowUse(Model):
    """What it took to capture a volume while services were down."""

    means: Means
    """`Clone` or `Copy`: only what had changed since a first pass went into the stage, and the archive was taken from
    there. `Warm`: only what had changed since a live pass was archived. `Everything`: all of it was archived."""
    reason: Text | None = None
    """Why no shorter means was taken."""
    seconds: float = 0.0
    """Seconds that it took while services were down."""
    ahead_seconds: float = 0.0
    """Seconds of the pass before services went down."""
    stall_seconds: float | None = None
    """The longest that one clone took while services ran: so long a writer to that file may have had to wait."""
    pinned_bytes: int | None = None
    """Bytes of the disk that the stage took at most."""


class VolumeResult(Model):
    """What became of one volume."""

    name: Line
    """Full name of the volume."""
    phase: Literal["Succeeded", "PartiallyFailed", "Failed"]
    """`PartiallyFailed`: a snapshot exists, but files are missing from it."""
    snapshot_id: Line | None = None
    """Full id of the restic snapshot."""
    consistency: Consistency | None = None
    """`Stopped` when nothing that writes was running while it was read, `Frozen` when what writes was paused, else
    `Live`."""
    bytes_processed: int = 0
    """Bytes read."""
    bytes_added: int = 0
    """Bytes that were new to the repository."""
    files: int = 0
    """Number of files read."""
    duration_seconds: float = 0.0
    """Seconds that the archive took."""
    window: WindowUse | None = None
    """How it was captured while services were down; unset where none was down for it."""
    warnings: Annotated[tuple[Text, ...], Field(max_length=10)] = ()
    """The first ten warnings."""
    error: Text | None = None
    """What failed."""


class QuiescedService(Model):
    """One container that was stopped or paused."""

    container: Line
    """Name of the container."""
    service: Line
    """`project/service`, or the container's name where Compose did not make it."""
    method: Method
    """How it was quiesced."""
    down_time: dt.datetime | None = None
    """When it was told to stop or was paused."""
    up_time: dt.datetime | None = None
    """When it was seen running again."""
    downtime_seconds: float | None = None
    """Seconds between the two."""
    healthy: bool | None = None
    """Whether its health check passed again; unset where it has none, or was not healthy before."""
    error: Text | None = None
    """Why it does not run again."""


class QuiesceResult(Model):
    """The time that services were down."""

    method: Method
    """The method of the policy."""
    services: Annotated[tuple[QuiescedService, ...], Field(max_length=256)] = ()
    """The containers that were stopped or paused, in the order of going down."""
    start_time: dt.datetime | None = None
    """When the first one was told to stop."""
    end_time: dt.datetime | None = None
    """When the last one was seen running again."""
    downtime_seconds: float = 0.0
    """The longest time that one service was down, in seconds."""
    kept_stopped: bool = False
    """Whether the services are kept stopped, since a restore left its target incomplete."""


class HookResult(Model):
    """What became of one command."""

    phase: HookPhase
    """`pre` or `post`."""
    service: Line
    """`project/service` that took it."""
    command: Text
    """The command in short."""
    exit_code: int | None = None
    """Its exit code; unset when it did not end."""
    duration_seconds: float = 0.0
    """Seconds that it took."""
    output: Text | None = None
    """The last words that it wrote, secrets removed."""
    error: Text | None = None
    """Why it counts as failed."""


VolumeResults = Annotated[
    tuple[VolumeResult, ...],
    Field(
        max_length=MAX_VOLUMES,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    ),
]


class BackupRunStatus(Status):
    """How the run is doing."""

    model_config = with_rules(TERMINAL_IS_FINAL)

    phase: RunPhase | None = None
    """`Pending`, `Running`, `Resuming` (services are being started again),
    then one of `Succeeded`, `PartiallyFailed`, `Failed`, `Cancelled`, `Skipped`."""
    start_time: dt.datetime | None = None
    """When the first attempt began."""
    completion_time: dt.datetime | None = None
    """When the run ended, whatever its end."""
    resolved: ResolvedRun | None = None
    """What the run was started with."""
    attempts: int = 0
    """Number of attempts so far."""
    retry_at: dt.datetime | None = None
    """When the next attempt begins."""
    agent: AgentPlace | None = None
    """Where the agent of the current attempt runs."""
    progress: Progress | None = None
    """How far the current attempt is."""
    volumes: VolumeResults = ()
    """What became of each volume."""
    quiesce: QuiesceResult | None = None
    """The services that were stopped or paused, and for how long."""
    downtime: Short | None = None
    """The longest time that one service was down, for people. Example: `12s`."""
    hooks: Annotated[tuple[HookResult, ...], Field(max_length=32)] = ()
    """What became of the commands before and after."""
    record: Line | None = None
    """Snapshot id of the run record, which closes the run in the repository."""
    consistency: Short | None = None
    """The weakest consistency of its volumes."""
    bytes_processed: int | None = None
    """Bytes read, all volumes together."""
    size: Short | None = None
    """The same for people."""
    bytes_added: int | None = None
    """Bytes that were new to the repository."""
    added: Short | None = None
    """The same for people."""
    duration: Short | None = None
    """How long the run took. Example: `4m10s`."""
    failure: Failure | None = None
    """Why the run is not green."""
    log_tail: Text | None = None
    """The last lines that the agent wrote on its error output, secrets removed."""
