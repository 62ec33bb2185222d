"""Names and labels of what we create on a Docker host: by them it is found again, and told from everything else.

Used by planning/agent_container.py, gateways/docker_host.py and reconcile/sweep.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

PREFIX = "backup.dockerwarts.io/"
INSTALLATION = PREFIX + "installation"
PURPOSE = PREFIX + "purpose"
ATTEMPT = PREFIX + "attempt"
QUESTION = PREFIX + "question"
REPOSITORY_ID = PREFIX + "repository-id"
REPOSITORY_LOCATION = PREFIX + "repository-location"
PLAN = PREFIX + "plan"
RESTORED = PREFIX + "restored"
"""On the mark that a restore is whole: what became of each volume."""
JOURNAL = PREFIX + "journal"
"""On an agent's container: the name of its journal volume, where it has one."""
OWNER_KIND = PREFIX + "owner-kind"
OWNER_NAMESPACE = PREFIX + "owner-namespace"
OWNER_NAME = PREFIX + "owner-name"
OWNER_UID = PREFIX + "owner-uid"

Purpose = Literal["run", "restore", "probe", "catalog", "cleanup", "journal", "stage", "whole"]


@dataclass(frozen=True)
class Owner:
    """The object of the cluster that a container works for."""

    kind: str
    namespace: str
    name: str
    uid: str

    @staticmethod
    def of(labels: Mapping[str, str]) -> Owner | None:
        """Return the owner that the labels name, or None where they do not."""
        values = [labels.get(key, "") for key in (OWNER_KIND, OWNER_NAMESPACE, OWNER_NAME, OWNER_UID)]
        return Owner(*values) if all(values) else None


def agent_labels(owner: Owner, installation: str, purpose: Purpose) -> dict[str, str]:
    """Return the labels of an agent container."""
    return {
        INSTALLATION: installation,
        PURPOSE: purpose,
        OWNER_KIND: owner.kind,
        OWNER_NAMESPACE: owner.namespace,
        OWNER_NAME: owner.name,
        OWNER_UID: owner.uid,
    }


def agent_name(purpose: Purpose, uid: str) -> str:
    """Return the name of the container that does one thing for one object: it is the lock against a second start."""
    return f"compose-backup-{purpose}-{uid}"


def journal_name(uid: str) -> str:
    """Return the name of the volume that remembers what an object's agent has stopped."""
    return f"compose-backup-journal-{uid}"


def whole_name(uid: str) -> str:
    """Return the name of the volume that remembers that a restore is whole."""
    return f"compose-backup-whole-{uid}"


def stage_name(uid: str, number: str) -> str:
    """Return the name of the volume that takes the clones of one volume of a run."""
    return f"compose-backup-stage-{uid}-{number}"


def archive_identity(cluster: str, namespace: str, host: str) -> str:
    """Return restic's host for the archives of a ComposeHost: it stays the same when the cluster is built anew."""
    return f"{cluster}/{namespace}/{host}"


def location_key(location: str) -> str:
    """Return a short name for a place on one engine that is the same for all who name it."""
    return hashlib.sha256(location.encode()).hexdigest()[:32]


def probe_name(location: str) -> str:
    """Return the name of the container that opens or creates the repository at a place of one engine.

    It follows from the place, not from the object: of two objects that name one place, in one cluster or in two, only
    one can create the repository at a time. Two creations at once leave one that nobody can open.
    """
    return f"compose-backup-probe-{location_key(location)}"


def marker_name(location: str) -> str:
    """Return the name of the volume that remembers, on the host, which repository was seen at a place."""
    return f"compose-backup-repository-{location_key(location)}"
