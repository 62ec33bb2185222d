"""BackupPolicy: what is archived, when and how consistently. Read by reconcile/backup_policy.py and backup_run.py."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field

from compose_backup.api.base import Line, Model, Reference, Short, Text, cel, with_rules
from compose_backup.api.conditions import Status

RUN_REQUESTED_ANNOTATION = "backup.dockerwarts.io/run-requested"
CANCEL_REQUESTED_ANNOTATION = "backup.dockerwarts.io/cancel-requested"

# The name of a run is the policy's, a hyphen and twelve digits, and becomes a host name on the engine.
MAX_NAME_LENGTH = 50
MAX_VOLUMES = 256

NAME_RULE = cel(
    f"self.metadata.name.size() <= {MAX_NAME_LENGTH}",
    f"the name of a BackupPolicy has at most {MAX_NAME_LENGTH} characters, since the names of its runs are made of it",
)

Glob = Annotated[str, Field(min_length=1, max_length=255)]
Globs = Annotated[tuple[Glob, ...], Field(max_length=64)]
Duration = Annotated[
    str, Field(max_length=16, pattern=r"^([1-9][0-9]*d)?([1-9][0-9]*h)?([1-9][0-9]*m)?$", min_length=2)
]


class Selector(Model):
    """Which volumes. A volume is selected when it matches every criterion that is given, and no entry of `exclude`."""

    projects: Globs = ()
    """Compose projects, as globs. A volume belongs to the project of its labels, or of a container that mounts it.
    Default: all."""
    volumes: Globs = ()
    """Globs over the volume's key in the Compose file or its full name. Example: `*-data`. Default: all."""
    labels: Annotated[dict[Line, Line], Field(max_length=16)] = Field(default_factory=dict)
    """Labels that the volume must carry, all of them."""
    exclude: Globs = ()
    """Globs over key or full name of volumes that are left out."""
    allow_empty: bool = False
    """Whether a run that matches no volume is fine. Default: it fails, since a typing error must not look like a
    backup."""


Method = Literal["Stop", "Pause", "None"]
StageChoice = Literal["Auto", "Copy", "None"]
HookPhase = Literal["pre", "post"]


class ServiceQuiesce(Model):
    """What is done with one service, whatever the method of the others."""

    project: Line
    """Compose project of the service."""
    service: Line
    """Name of the service in the Compose file; all its replicas are meant. It need not use a selected volume."""
    method: Method = "Stop"
    """`Stop`, `Pause`, or `None`: it goes on, and the volumes that it writes to are a live copy."""


class Quiesce(Model):
    """What is done with the services that write to a volume while it is read."""

    model_config = with_rules(
        cel(
            "!has(self.stopTimeoutSeconds) || !has(self.maxSeconds) || self.stopTimeoutSeconds <= self.maxSeconds",
            "quiesce.stopTimeoutSeconds must not be longer than quiesce.maxSeconds, the longest that services may be "
            "down",
        )
    )

    method: Method = "Stop"
    """`Stop` stops them, `Pause` freezes them (a crash-consistent copy), `None` asks for a live copy: files may belong
    to different moments. Default: `Stop`."""
    stop_timeout_seconds: Annotated[int, Field(ge=1, le=3600)] | None = None
    """Seconds that a service has to stop before it is killed. Default: what its Compose file says
    (`stop_grace_period`), else 10."""
    max_seconds: Annotated[int, Field(ge=1, le=86400)] = 600
    """The longest that services may be down, in seconds. After that they are started first, and what was not archived
    is `Failed` with reason `WindowExceeded`. Default: 600."""
    services: Annotated[
        tuple[ServiceQuiesce, ...],
        Field(
            max_length=64,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["project", "service"]},
        ),
    ] = ()
    """Services that are treated differently, or that are quiesced although they use no selected volume."""
    stage: StageChoice = "Auto"
    """How the time that services are down is kept short. `Auto` clones the files of a volume beside it where the file
    system can (XFS, btrfs), clones again what has changed while services are down, and archives the clones; elsewhere
    it archives once live, and then what has changed. `Copy` copies where clones do not work, and needs the space.
    `None` archives everything while services are down. Default: `Auto`."""


class Hook(Model):
    """A command that is run in a container of a service, which must be running."""

    model_config = with_rules(
        cel("self.command.size() == 0 || self.command[0].size() > 0", "command must begin with the program to run")
    )

    project: Line
    """Compose project of the service."""
    service: Line
    """Name of the service in the Compose file; of several replicas the first one takes the command."""
    command: Annotated[tuple[Annotated[str, Field(max_length=1024)], ...], Field(min_length=1, max_length=64)]
    """The command and its arguments; no shell is involved. Example: `["sh", "-c", "redis-cli save"]`."""
    user: Line | None = None
    """User in the container, by name or number. Default: the container's own."""
    timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    """Seconds after which the command counts as failed. Default: 60."""
    on_error: Literal["Fail", "Continue"] = "Fail"
    """Whether a command that fails ends the attempt before anything is stopped (`Fail`) or is only told (`Continue`).
    Of `post` hooks, `Fail` makes the run `PartiallyFailed`."""


class Hooks(Model):
    """Commands around the time that services are quiesced. `ComposeHost.spec.permit.hooks` must allow them."""

    pre: Annotated[tuple[Hook, ...], Field(max_length=16)] = ()
    """Commands before the first service is quiesced, in this order."""
    post: Annotated[tuple[Hook, ...], Field(max_length=16)] = ()
    """Commands after the last service is back, in this order: always, also when the run failed or was cancelled."""


class Retry(Model):
    """Attempts inside one run."""

    limit: Annotated[int, Field(ge=0, le=10)] = 1
    """How often a failed attempt is tried again. Errors that another attempt cannot mend are not retried."""
    backoff_seconds: Annotated[int, Field(ge=1, le=86400)] = 60
    """Seconds before the second attempt; doubled for each further one."""


class Objectives(Model):
    """What the backups are measured against."""

    max_age: Duration | None = None
    """The longest that the last good run may lie back (the recovery point objective). Example: `26h`, `8d`.
    Default: two intervals of the schedule."""


class History(Model):
    """How many finished BackupRun objects are kept. Archives are not touched by it."""

    succeeded: Annotated[int, Field(ge=1, le=100)] = 5
    """Number of succeeded runs kept."""
    failed: Annotated[int, Field(ge=1, le=100)] = 5
    """Number of other finished runs kept."""


class BackupPolicySpec(Model):
    """What is archived, when and how consistently."""

    model_config = with_rules(
        cel(
            "self.schedule.trim().split(' ').filter(f, f.size() > 0).size() == 5",
            "schedule must have five fields: minute hour day-of-month month day-of-week; "
            "a field for seconds is not supported",
        )
    )

    host_ref: Reference
    """The ComposeHost whose volumes are archived."""
    repository_ref: Reference
    """The ArchiveRepository that takes the archives."""
    selector: Selector = Selector()
    """Which volumes of the host. Default: all of them."""
    schedule: Annotated[str, Field(min_length=9, max_length=128)]
    """Cron with five fields. Example: `0 2 * * *`, every night at two."""
    time_zone: Annotated[str, Field(min_length=1, max_length=64)] = "UTC"
    """IANA time zone of the schedule. Example: `Europe/Paris`. Default: `UTC`."""
    jitter_seconds: Annotated[int, Field(ge=0, le=86400)] = 0
    """Each slot is put off by a constant part of this many seconds, which follows from the policy's UID, so that not
    all start at once."""
    starting_deadline_seconds: Annotated[int, Field(ge=1, le=604800)] | None = None
    """How late a missed slot may still start. Default: any time; several missed slots make one run in any case."""
    suspend: bool = False
    """Whether the schedule rests. Runs on request go on; resuming does not make up for what was missed."""
    deadline_seconds: Annotated[int, Field(ge=1, le=2592000)] | None = None
    """The longest that a run may take, all attempts together. Default: no limit, since a first full backup may take
    days."""
    retry: Retry = Retry()
    """Attempts inside one run."""
    exclude_files: Annotated[tuple[Line, ...], Field(max_length=64)] = ()
    """Patterns of files inside the volumes that are left out. A leading `/` means the root of the volume. Example:
    `*.log`, `/cache`."""
    quiesce: Quiesce = Quiesce()
    """What is done with the services that write to a volume while it is read."""
    hooks: Hooks = Hooks()
    """Commands before services are quiesced and after they are back."""
    objectives: Objectives = Objectives()
    """What the backups are measured against."""
    history: History = History()
    """How many finished BackupRun objects are kept."""


class RunSummary(Model):
    """The last run in short."""

    name: Line
    """Name of the BackupRun."""
    phase: Short
    """Phase of the BackupRun."""
    completion_time: dt.datetime | None = None
    """When it ended."""
    message: Text | None = None
    """Why it is not green."""


class RestorePoint(Model):
    """A good run that can be restored, as its record in the repository says."""

    run: Line
    """Name of the BackupRun."""
    run_uid: Line
    """UID of the BackupRun."""
    time: dt.datetime
    """The slot of the run: what `asOf` is compared with."""
    volumes: int
    """Number of volumes in it."""
    consistency: Short
    """`Stopped`, `Frozen` or `Live`: the weakest of its volumes."""
    record: Line
    """Snapshot id of the record."""


class BackupPolicyStatus(Status):
    """How the backups are doing."""

    schedule_anchor: Line | None = None
    """Schedule, time zone, jitter and suspension that the anchor was set for."""
    schedule_anchor_time: dt.datetime | None = None
    """Slots before this time are never made up for. Set anew when the schedule or its suspension changes."""
    last_schedule_time: dt.datetime | None = None
    """The last slot for which a run was made or skipped."""
    next_run_time: dt.datetime | None = None
    """When the next run starts, jitter included."""
    last_handled_run_request: Text | None = None
    """The value of the annotation `backup.dockerwarts.io/run-requested` that was last answered by a run."""
    active_run: Line | None = None
    """Name of the BackupRun at work."""
    last_run: RunSummary | None = None
    """The last finished run."""
    last_success_time: dt.datetime | None = None
    """Slot of the last good run."""
    fresh_until: dt.datetime | None = None
    """Until when the last good run is young enough. Past it, the policy is not fresh, whether or not the operator
    runs."""
    volumes: Annotated[tuple[Line, ...], Field(max_length=MAX_VOLUMES)] = ()
    """The volumes that the selector matches now."""
    restore_points: Annotated[tuple[RestorePoint, ...], Field(max_length=50)] = ()
    """The newest 50 good runs, newest first, read from the records in the repository."""
    catalog_of: Line | None = None
    """Identity of the repository from which restorePoints was last listed."""
