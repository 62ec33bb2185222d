"""The body of an Event, as events.k8s.io/v1 wants it. Used by gateways/cluster.py."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final, Protocol

from compose_backup.api.base import API_VERSION, GROUP
from compose_backup.api.kinds import ARCHIVE_REPOSITORY, BACKUP_POLICY, BACKUP_RUN, COMPOSE_HOST, RESTORE_REQUEST, Kind

REPORTING_CONTROLLER: Final = f"{GROUP}/compose-backup-operator"
# Source: kubernetes, pkg/apis/core/validation/events.go: NoteLengthLimit, in bytes, and ReportingInstanceLengthLimit.
MAX_NOTE_BYTES = 1024
MAX_INSTANCE_LENGTH = 128

# What the operator does with an object of a kind; an Event must name it.
ACTIONS = {
    COMPOSE_HOST.name: "Probe",
    ARCHIVE_REPOSITORY.name: "Probe",
    BACKUP_POLICY.name: "Schedule",
    BACKUP_RUN.name: "Backup",
    RESTORE_REQUEST.name: "Restore",
}


class Notice(Protocol):
    """The Notice of reconcile/ports.py, from a room that may not import it."""

    @property
    def kind(self) -> Kind: ...
    @property
    def body(self) -> Mapping[str, Any]: ...
    @property
    def type(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def message(self) -> str: ...


def event_body(notice: Notice, instance: str, now: dt.datetime) -> dict[str, Any]:
    """Return the Event about a notice, written by this instance at this moment (UTC)."""
    metadata = notice.body["metadata"]
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": f"{metadata['name']}-", "namespace": metadata["namespace"]},
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": REPORTING_CONTROLLER,
        "reportingInstance": instance[:MAX_INSTANCE_LENGTH],
        "action": ACTIONS[notice.kind.name],
        "reason": notice.reason,
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": notice.kind.name,
            **{key: metadata[key] for key in ("namespace", "name", "uid", "resourceVersion")},
        },
        "note": shortened(notice.message),
        "type": notice.type,
    }


def shortened(note: str) -> str:
    """Return the note within the limit of an Event, cut at a whole character."""
    encoded = note.encode()
    if len(encoded) <= MAX_NOTE_BYTES:
        return note
    return encoded[: MAX_NOTE_BYTES - len("…".encode())].decode(errors="ignore") + "…"
