"""The contract between operator and agent: one job in over stdin, JSON lines out over stdout.

The job is one document: eight bytes, its length in big-endian order, then that many bytes of JSON, secrets included.
The agent answers with one JSON object a line, each with a sequence number; the last line is the report.
Written by reconcile/, read by agent/__main__.py, and the other way round for events.
"""

from __future__ import annotations

import datetime as dt
import struct
from typing import Literal

from pydantic import SecretStr, field_serializer

from compose_backup.api.backup_policy import RestorePoint
from compose_backup.api.backup_run import Failure, HookResult, Progress, QuiesceResult, VolumeResult
from compose_backup.api.base import Model
from compose_backup.api.journal import JournalPlan
from compose_backup.api.record import RunRecord, Verdict, VolumeManifest
from compose_backup.api.restore_request import ExistingData, ResolvedVolume, RestoredVolume

# Where things are mounted in the agent container. What is archived lies below one directory, in `volumes/<volume>` and
# `manifest/<volume>.json`: that is LIVE_ROOT, or the stage of a volume below STAGES_ROOT.
LIVE_ROOT = "/live"
STAGES_ROOT = "/stage"
# How the same is called in snapshots, wherever it was read from: people restore by these paths, and two snapshots are
# compared by them. In the agent's image they are links into SOURCE_LINK, which the agent points at what it archives.
VOLUMES_ROOT = "/volumes"
MANIFEST_ROOT = "/manifest"
SOURCE_LINK = "/tmp/source"
REPOSITORY_ROOT = "/repository"
PARENT_ROOT = "/above-the-repository"  # never read: only that it is there counts
DOCKER_SOCKET = "/run/compose-backup/docker.sock"

ACCEPT_SECONDS = 30
"""The agent ends when it has no job after this time; the operator gives up on an agent that has not accepted by
then."""
HEARTBEAT_SECONDS = 5
"""The agent writes at least one line in this time."""

LENGTH_HEADER = struct.Struct(">Q")
MAX_JOB_BYTES = 4 * 1024 * 1024


class RepositoryAccess(Model):
    """How the repository under REPOSITORY_ROOT is opened."""

    password: SecretStr
    compression: Literal["auto", "max", "off"] = "auto"
    pack_size_mib: int | None = None
    expected_id: str | None = None
    """Only a repository with this identity is used; None before it was first seen."""

    @field_serializer("password")
    def _reveal(self, password: SecretStr) -> str:
        """The job is the one place that carries the password in clear, over the attached stdin."""
        return password.get_secret_value()


class ProbeJob(Model):
    """Open the repository, or create it, and tell what is in it."""

    create: bool
    """Whether an absent repository is initialised: only if it was never seen."""


class CatalogJob(Model):
    """Find records of good runs, newest first, and the whole record of the first one."""

    host: str | None = None
    """restic's host: `<cluster>/<namespace>/<ComposeHost>`."""
    policy: str | None = None
    """`<namespace>/<name>`."""
    run_uid: str | None = None
    """UID of one run; its record is found whatever its verdict."""
    volume: str | None = None
    """Only runs in which this volume succeeded."""
    as_of: dt.datetime | None = None
    """Only runs whose slot is not later."""
    snapshot_id: str | None = None
    """Instead of records: one snapshot of one volume."""


class VolumeAhead(Model):
    """What may be done of one volume before services go down."""

    stage: str | None = None
    """Where its stage is mounted, if it has one."""
    no_stage: str | None = None
    """Why it has none."""
    copies: bool = False
    """Whether files are copied into the stage where clones do not work."""
    churn_bytes: int = 0
    """What the last run added of it: so much must stay free beside its stage, besides a tenth of the disk."""
    warm: bool = False
    """Whether a live pass may help, where clones do not work."""


class BackupJob(Model):
    """Archive volumes, one snapshot each, then write the run record."""

    run: str
    run_uid: str
    policy: str
    policy_uid: str
    host: str
    installation: str
    attempt: int
    slot: dt.datetime
    volumes: tuple[str, ...]
    plan: JournalPlan
    """Which containers go down meanwhile, and which hooks are run."""
    exclude_files: tuple[str, ...] = ()
    ahead: dict[str, VolumeAhead] = {}
    """By volume; a volume that is not here is archived as a whole while services are down."""
    seconds_left: int | None = None
    """Until the run's deadline; None without one."""


class WholeMark(Model):
    """The volume that an agent makes on the host when a restore is whole, but for what it adds to the labels."""

    name: str
    labels: dict[str, str] = {}


class RestoreJob(Model):
    """Restore volumes in place. The target volume is mounted under the *source's* name below LIVE_ROOT."""

    volumes: tuple[ResolvedVolume, ...]
    created: tuple[str, ...] = ()
    """Targets that were missing and have just been created."""
    include: tuple[str, ...] = ()
    existing_data: ExistingData
    plan: JournalPlan
    """Which containers go down meanwhile. They are started again only when every volume is complete."""
    whole_mark: WholeMark
    seconds_left: int | None = None


class CleanupJob(Model):
    """Undo what an open journal says and no other agent will: services first, then post hooks that did not run."""

    plan: JournalPlan


class Job(Model):
    """Exactly one of probe, catalog, backup, restore and cleanup."""

    repository: RepositoryAccess | None = None
    """Absent for a cleanup only."""
    probe: ProbeJob | None = None
    catalog: CatalogJob | None = None
    backup: BackupJob | None = None
    restore: RestoreJob | None = None
    cleanup: CleanupJob | None = None

    def framed(self) -> bytes:
        """Return the bytes that go to the agent's stdin."""
        document = self.model_dump_json(by_alias=True, exclude_none=True).encode()
        return LENGTH_HEADER.pack(len(document)) + document


class ProbeReport(Model):
    """What is in the repository."""

    repository_id: str
    created: bool
    snapshots: int
    size_bytes: int


class FoundSnapshot(Model):
    """The snapshot that a CatalogJob asked for by id."""

    snapshot_id: str
    time: dt.datetime
    volume: str
    manifest: VolumeManifest | None = None


class CatalogReport(Model):
    """What a CatalogJob found; `points` is empty and `record` None when nothing matches."""

    points: tuple[RestorePoint, ...] = ()
    record: RunRecord | None = None
    record_id: str | None = None
    snapshot: FoundSnapshot | None = None


class BackupReport(Model):
    """How a backup ended."""

    verdict: Verdict
    volumes: tuple[VolumeResult, ...] = ()
    record_id: str | None = None
    quiesce: QuiesceResult | None = None
    hooks: tuple[HookResult, ...] = ()
    repository: ProbeReport | None = None
    """What is in the repository now, so that nobody has to open it again only to ask."""


class RestoreReport(Model):
    """How a restore ended."""

    volumes: tuple[RestoredVolume, ...] = ()
    quiesce: QuiesceResult | None = None


class CleanupReport(Model):
    """What an agent found in an open journal, and undid: the job of a `cleanup`, or of an agent that was restarted."""

    quiesce: QuiesceResult | None = None
    hooks: tuple[HookResult, ...] = ()
    target_incomplete: bool = False
    """Restore: whether a target was written to, and is not known to be whole."""


class Report(Model):
    """The last line of the agent: the part that belongs to its job, a failure, or both."""

    probe: ProbeReport | None = None
    catalog: CatalogReport | None = None
    backup: BackupReport | None = None
    restore: RestoreReport | None = None
    cleanup: CleanupReport | None = None
    failure: Failure | None = None
    cancelled: bool = False


Window = Literal["Quiescing", "Quiesced", "Resuming"]


class Event(Model):
    """One line of the agent's stdout. The operator reads the last lines only, so each carries what must not be lost."""

    sequence: int
    time: dt.datetime
    type: Literal["accepted", "progress", "report"]
    target_touched: bool = False
    """Restore: whether a byte may have been written to a target by now."""
    progress: Progress | None = None
    window: Window | None = None
    """Where the services are, from the first stop to the last start; None before and after."""
    quiesce: QuiesceResult | None = None
    """The services that are down or were, as far as it has come."""
    report: Report | None = None
