"""The five kinds: names, types, printer columns and rules, from which crdgen.py makes the CRDs.

Also the address book of gateways/cluster.py and the store.
"""

from __future__ import annotations

from dataclasses import dataclass

from compose_backup.api import archive_repository, backup_policy, backup_run, compose_host, restore_request
from compose_backup.api.base import Model
from compose_backup.api.conditions import Status


@dataclass(frozen=True)
class Column:
    """A printer column. `priority` 1 shows it only with `-o wide`."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0


@dataclass(frozen=True)
class Kind:
    """One kind of our API group."""

    name: str
    plural: str
    short_name: str
    spec: type[Model]
    status: type[Status]
    columns: tuple[Column, ...]
    selectable_fields: tuple[str, ...] = ()
    object_rules: tuple[dict[str, str], ...] = ()


QUEUE = Column("Queue", '.status.conditions[?(@.type=="Queued")].message')
READY = Column("Ready", '.status.conditions[?(@.type=="Ready")].status')
AGE = Column("Age", ".metadata.creationTimestamp", "date")
REASON = Column("Reason", '.status.conditions[?(@.type=="Ready")].reason', priority=1)

COMPOSE_HOST = Kind(
    name="ComposeHost",
    plural="composehosts",
    short_name="chost",
    spec=compose_host.ComposeHostSpec,
    status=compose_host.ComposeHostStatus,
    columns=(
        Column("Endpoint", ".spec.endpoint"),
        Column("Engine", ".status.engine.version"),
        Column("Projects", ".status.projectCount", "integer"),
        Column("Volumes", ".status.volumes.total", "integer"),
        Column("Unprotected", ".status.volumes.unprotectedCount", "integer"),
        Column("Resumed", '.status.conditions[?(@.type=="ServicesResumed")].status'),
        READY,
        REASON,
        AGE,
    ),
)
ARCHIVE_REPOSITORY = Kind(
    name="ArchiveRepository",
    plural="archiverepositories",
    short_name="arepo",
    spec=archive_repository.ArchiveRepositorySpec,
    status=archive_repository.ArchiveRepositoryStatus,
    columns=(
        Column("Format", ".status.format"),
        Column("Storage", ".status.location"),
        Column("Snapshots", ".status.snapshots", "integer"),
        Column("Size", ".status.size"),
        READY,
        REASON,
        AGE,
    ),
)
BACKUP_POLICY = Kind(
    name="BackupPolicy",
    plural="backuppolicies",
    short_name="bpol",
    spec=backup_policy.BackupPolicySpec,
    status=backup_policy.BackupPolicyStatus,
    columns=(
        Column("Host", ".spec.hostRef.name"),
        Column("Schedule", ".spec.schedule"),
        Column("Suspended", ".spec.suspend", "boolean"),
        Column("Last Success", ".status.lastSuccessTime", "date"),
        Column("Next Run", ".status.nextRunTime"),
        Column("Fresh", '.status.conditions[?(@.type=="Fresh")].status'),
        READY,
        REASON,
        AGE,
    ),
    object_rules=(backup_policy.NAME_RULE,),
)
BACKUP_RUN = Kind(
    name="BackupRun",
    plural="backupruns",
    short_name="brun",
    spec=backup_run.BackupRunSpec,
    status=backup_run.BackupRunStatus,
    columns=(
        Column("Policy", ".spec.policyRef.name"),
        Column("Phase", ".status.phase"),
        Column("Progress", ".status.progress.percent", "integer"),
        Column("Consistency", ".status.consistency"),
        Column("Size", ".status.size"),
        Column("Added", ".status.added"),
        Column("Downtime", ".status.downtime"),
        Column("Duration", ".status.duration"),
        Column("Reason", '.status.conditions[?(@.type=="Ready")].reason'),
        QUEUE,
        Column("Message", '.status.conditions[?(@.type=="Ready")].message', priority=1),
        AGE,
    ),
    selectable_fields=(".spec.policyRef.name", ".status.phase"),
)
RESTORE_REQUEST = Kind(
    name="RestoreRequest",
    plural="restorerequests",
    short_name="rr",
    spec=restore_request.RestoreRequestSpec,
    status=restore_request.RestoreRequestStatus,
    columns=(
        Column("Source", ".status.source"),
        Column("Host", ".status.host"),
        Column("Phase", ".status.phase"),
        Column("Progress", ".status.progress.percent", "integer"),
        Column("Duration", ".status.duration"),
        Column("Reason", '.status.conditions[?(@.type=="Ready")].reason'),
        QUEUE,
        Column("Message", '.status.conditions[?(@.type=="Ready")].message', priority=1),
        AGE,
    ),
    selectable_fields=(".status.phase",),
)

KINDS = (COMPOSE_HOST, ARCHIVE_REPOSITORY, BACKUP_POLICY, BACKUP_RUN, RESTORE_REQUEST)
BY_NAME = {kind.name: kind for kind in KINDS}
