"""RestoreRequest: one recovery, immutable. Read and written by reconcile/restore_request.py."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field

from compose_backup.api.backup_run import (
    TERMINAL_IS_FINAL,
    AgentPlace,
    Failure,
    HostChoice,
    Progress,
    QuiesceResult,
    RepositoryChoice,
)
from compose_backup.api.base import IMMUTABLE, Line, Model, Reference, Short, Text, cel, with_rules
from compose_backup.api.conditions import Status

RestorePhase = Literal["Pending", "Running", "Resuming", "Succeeded", "Failed", "Cancelled", "Skipped"]
ExistingData = Literal["Fail", "Overwrite", "Mirror"]
VolumeName = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$")]


class RestoreSource(Model):
    """Exactly one of a run, a policy, or a repository."""

    model_config = with_rules(
        cel(
            "[has(self.runRef), has(self.policyRef), has(self.repositoryRef)].filter(x, x).size() == 1",
            "exactly one of runRef, policyRef and repositoryRef must be given",
        ),
        cel(
            "!has(self.asOf) || has(self.policyRef) || has(self.host)",
            "asOf goes with policyRef, or with repositoryRef and host: a run and a snapshot have their time already",
        ),
        cel(
            "has(self.repositoryRef) ? (has(self.host) != has(self.snapshotId)) "
            ": !(has(self.host) || has(self.snapshotId))",
            "repositoryRef needs exactly one of host and snapshotId, and neither goes without it",
        ),
        cel("!has(self.volume) || has(self.host)", "volume goes with repositoryRef and host"),
    )

    run_ref: Reference | None = None
    """A BackupRun of this namespace."""
    policy_ref: Reference | None = None
    """A BackupPolicy of this namespace: its newest good run, or the newest one at `asOf`."""
    repository_ref: Reference | None = None
    """An ArchiveRepository alone, for when the objects of the cluster are lost; with `host` or `snapshotId`."""
    host: Line | None = None
    """Identity of the host that was archived, as `restic snapshots` shows it: `<cluster>/<namespace>/<ComposeHost>`."""
    volume: VolumeName | None = None
    """Full name of the one volume wanted. Default: all volumes of the newest good run of the host."""
    snapshot_id: Annotated[str, Field(max_length=64, pattern=r"^[0-9a-f]{8,64}$")] | None = None
    """A restic snapshot of one volume, as `restic snapshots` shows it, at least eight digits."""
    as_of: dt.datetime | None = None
    """The newest good run whose slot is not later than this. Default: the newest."""


class VolumeMapping(Model):
    """One volume to restore."""

    source: VolumeName
    """Full name of the volume in the archive."""
    target: VolumeName | None = None
    """Full name of the volume to write to. Default: the same name."""


class RestoreTarget(Model):
    """Where the data goes."""

    host_ref: Reference | None = None
    """The ComposeHost to restore to. Default: the host of the source."""
    volumes: Annotated[
        tuple[VolumeMapping, ...],
        Field(
            max_length=256,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["source"]},
        ),
    ] = ()
    """Which volumes, and under which names. Default: all volumes of the source, under their own names."""


class RestoreRequestSpec(Model):
    """One recovery."""

    model_config = with_rules(
        IMMUTABLE,
        cel(
            "!has(self.source.repositoryRef) || (has(self.target) && has(self.target.hostRef))",
            "target.hostRef is required when the source is repositoryRef: the archive does not name a ComposeHost",
        ),
    )

    source: RestoreSource
    """What is restored."""
    target: RestoreTarget = RestoreTarget()
    """Where the data goes."""
    include: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=1024)], ...], Field(max_length=64)] = ()
    """Paths inside the volumes, from their root, each a file or a directory. Example: `conf/app.ini`.
    Default: everything."""
    existing_data: ExistingData = "Fail"
    """What happens when a target volume holds data: `Fail` changes nothing, `Overwrite` keeps files that the archive
    lacks, `Mirror` deletes them."""
    quiesce: Literal["Stop", "None"] = "Stop"
    """What is done with running containers that use the target volumes: `Stop` stops them, restores, and starts them
    again; `None` waits until somebody has stopped them. When a restore fails after its first written byte, what it has
    stopped stays stopped: a service is never started onto half-restored data. Default: `Stop`."""
    start_before: dt.datetime | None = None
    """A request that has not started by this time is skipped as expired, for example one that is applied again when a
    cluster is built anew from Git."""
    deadline_seconds: Annotated[int, Field(ge=1, le=2592000)] | None = None
    """The longest that the request may take, waiting included. Default: no limit."""


class VolumeDefinition(Model):
    """How a missing volume is made, as the manifest in its archive says."""

    driver: Line
    """Volume driver. Example: `local`."""
    options: Annotated[dict[Line, Text], Field(max_length=32)] = Field(default_factory=dict)
    """Driver options, for example `type`, `o` and `device`."""
    labels: Annotated[dict[Line, Text], Field(max_length=64)] = Field(default_factory=dict)
    """Labels of the volume."""


class ResolvedVolume(Model):
    """One volume as it is restored."""

    source: Line
    """Full name of the volume in the archive."""
    target: Line
    """Full name of the volume that is written to."""
    snapshot_id: Line
    """Full id of the restic snapshot."""
    definition: VolumeDefinition | None = None
    """How the target is made, if it was missing when the request was resolved."""


class ResolvedRestore(Model):
    """What the restore was started with; nothing else is read afterwards."""

    host: HostChoice
    """The host that is written to."""
    repository: RepositoryChoice
    """The repository that is read."""
    run: Line | None = None
    """Name of the run that is restored, where there is one."""
    time: dt.datetime
    """The moment that the data is from."""
    volumes: Annotated[tuple[ResolvedVolume, ...], Field(max_length=256)]
    """The volumes."""
    deadline: dt.datetime | None = None
    """When the restore is ended if it is not finished."""


class RestoredVolume(Model):
    """What became of one volume."""

    name: Line
    """Full name of the target volume."""
    phase: Literal["Succeeded", "Failed", "TargetIncomplete"]
    """`TargetIncomplete`: something was written, but not all; the volume must not be used."""
    created: bool = False
    """Whether the volume was missing and was created from its manifest."""
    files_restored: int = 0
    """Number of files and directories that were written."""
    files_deleted: int = 0
    """Number of files and directories that were deleted (`Mirror`)."""
    bytes_restored: int = 0
    """Bytes that were written."""
    error: Text | None = None
    """What failed."""


class RestoreRequestStatus(Status):
    """How the restore is doing."""

    model_config = with_rules(TERMINAL_IS_FINAL)

    phase: RestorePhase | None = None
    """`Pending`, `Running`, `Resuming` (services are being started again),
    then one of `Succeeded`, `Failed`, `Cancelled`, `Skipped`."""
    start_time: dt.datetime | None = None
    """When the agent was started."""
    completion_time: dt.datetime | None = None
    """When the request ended, whatever its end."""
    resolved: ResolvedRestore | None = None
    """What the restore was started with."""
    host: Line | None = None
    """Name of the ComposeHost that is written to."""
    source: Line | None = None
    """What is restored, in short. Example: `nightly-202610130200`."""
    agent: AgentPlace | None = None
    """Where the agent runs."""
    progress: Progress | None = None
    """How far the restore is."""
    volumes: Annotated[
        tuple[RestoredVolume, ...],
        Field(
            max_length=256,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    """What became of each volume."""
    quiesce: QuiesceResult | None = None
    """The services that were stopped, and for how long."""
    downtime: Short | None = None
    """The longest time that one service was down, for people."""
    duration: Short | None = None
    """How long the restore took."""
    failure: Failure | None = None
    """Why the request is not green."""
    log_tail: Text | None = None
    """The last lines that the agent wrote on its error output, secrets removed."""
