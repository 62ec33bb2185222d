"""An object of one of our kinds as the operator sees it: metadata, spec and status, typed and frozen.

Parsed by reconcile/store.py from what the API server returns.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from compose_backup.api.archive_repository import ArchiveRepositorySpec, ArchiveRepositoryStatus
from compose_backup.api.backup_policy import BackupPolicySpec, BackupPolicyStatus
from compose_backup.api.backup_run import TERMINAL_PHASES, BackupRunSpec, BackupRunStatus
from compose_backup.api.base import Model
from compose_backup.api.compose_host import ComposeHostSpec, ComposeHostStatus
from compose_backup.api.conditions import READY, Status
from compose_backup.api.kinds import Kind
from compose_backup.api.restore_request import RestoreRequestSpec, RestoreRequestStatus

SpecT = TypeVar("SpecT", bound=Model)
StatusT = TypeVar("StatusT", bound=Status)


@dataclass(frozen=True)
class Resource(Generic[SpecT, StatusT]):
    """One object."""

    kind: Kind
    namespace: str
    name: str
    uid: str
    generation: int
    created: dt.datetime
    deleting: bool
    annotations: Mapping[str, str]
    owner_uids: frozenset[str]
    spec: SpecT
    status: StatusT
    body: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def ready(self) -> bool:
        """Whether the condition Ready is True for the current generation."""
        return any(
            c.type == READY and c.status == "True" and c.observed_generation == self.generation
            for c in self.status.conditions
        )

    @property
    def seen(self) -> bool:
        """Whether the operator has looked at the object at all."""
        return self.status.observed_generation >= 0

    @property
    def finished(self) -> bool:
        """Whether a run or restore has reached a phase that it never leaves."""
        return getattr(self.status, "phase", None) in TERMINAL_PHASES

    def condition(self, name: str) -> str:
        """Return `reason: message` of a condition, for use in another object's message."""
        return next((f"{c.reason}: {c.message}" for c in self.status.conditions if c.type == name), "not looked at yet")


Host = Resource[ComposeHostSpec, ComposeHostStatus]
Repository = Resource[ArchiveRepositorySpec, ArchiveRepositoryStatus]
Policy = Resource[BackupPolicySpec, BackupPolicyStatus]
Run = Resource[BackupRunSpec, BackupRunStatus]
Restore = Resource[RestoreRequestSpec, RestoreRequestStatus]


def parse(kind: Kind, body: Mapping[str, Any]) -> Resource[Any, Any]:
    """Return the typed object.

    Raises pydantic.ValidationError when the spec does not fit its type; a status that does not fit is taken as absent,
    since it is ours and is written anew.
    """
    metadata = body["metadata"]
    return Resource(
        kind=kind,
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 1),
        created=dt.datetime.fromisoformat(metadata["creationTimestamp"]),
        deleting="deletionTimestamp" in metadata,
        annotations=metadata.get("annotations") or {},
        owner_uids=frozenset(owner["uid"] for owner in metadata.get("ownerReferences") or ()),
        spec=kind.spec.model_validate(body.get("spec") or {}),
        status=status_of(kind, body),
        body=body,
    )


def status_of(kind: Kind, body: Mapping[str, Any]) -> Status:
    """Return the status of an object, also of one whose spec does not fit its type."""
    try:
        return kind.status.model_validate(body.get("status") or {})
    except ValueError:
        return kind.status()
