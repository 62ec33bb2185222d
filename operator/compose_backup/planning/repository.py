"""Where a repository lies, whether it may lie there, whether it may be created, and when it is probed.

Called by reconcile/archive_repository.py.
"""

from __future__ import annotations

import datetime as dt
import posixpath
from dataclasses import dataclass

from compose_backup.api import reasons
from compose_backup.api.archive_repository import ArchiveRepositorySpec, Storage
from compose_backup.api.backup_run import Failure
from compose_backup.api.resources import Host, Repository
from compose_backup.planning.checks import Objection
from compose_backup.planning.conditions import Standing
from compose_backup.planning.labels import marker_name

PROBE_INTERVAL = dt.timedelta(hours=1)
FIRST_RETRY_SECONDS = 30.0
LONGEST_RETRY_SECONDS = 600.0

# A repository in one of these states does not mend by waiting.
STALLING_REASONS = frozenset(
    {
        reasons.WRONG_PASSWORD,
        reasons.REPOSITORY_ABSENT,
        reasons.REPOSITORY_VANISHED,
        reasons.REPOSITORY_REPLACED,
        reasons.REPOSITORY_DAMAGED,
        reasons.NOT_PERMITTED,
        reasons.SECRET_NOT_FOUND,
        reasons.SECRET_KEY_MISSING,
        reasons.VOLUME_NOT_FOUND,
        reasons.IMAGE_UNAVAILABLE,
    }
)


# A run or restore that ended for one of these reasons casts doubt on its repository, which is then opened at once.
SUSPICIOUS_REASONS = frozenset(
    {
        reasons.VOLUME_MOUNT_FAILED,
        reasons.VOLUME_NOT_FOUND,
        reasons.DISK_FULL,
        reasons.WRONG_PASSWORD,
        reasons.REPOSITORY_ABSENT,
        reasons.REPOSITORY_VANISHED,
        reasons.REPOSITORY_REPLACED,
        reasons.REPOSITORY_DAMAGED,
    }
)


@dataclass(frozen=True)
class ProbeFacts:
    """What decides whether the repository is opened now."""

    repository: Repository
    credentials_version: str
    last_run_ended: dt.datetime | None
    retry_at: dt.datetime | None
    suspected: bool


def place(storage: Storage) -> str:
    """Return the place on its engine in one spelling: `path:/srv/backups` or `volume:backups`."""
    if storage.volume:
        return f"volume:{storage.volume.name}"
    return f"path:{directory(storage)}"


def directory(storage: Storage) -> str:
    """Return the directory in one spelling: what is permitted, named and mounted must be the same, with `..` or not."""
    assert storage.host_path
    return _normal(storage.host_path.path)


def _normal(path: str) -> str:
    return "/" + posixpath.normpath(path).lstrip("/")  # normpath leaves two leading slashes as they are


def location(spec: ArchiveRepositorySpec) -> str:
    """Return the place as people name it: `srv1:/srv/backups`, or `srv1:backups` for a volume."""
    return f"{spec.host_ref.name}:{place(spec.storage).partition(':')[2]}"


def not_permitted(repository: Repository, host: Host) -> Objection | None:
    """Object to a directory that the host does not permit."""
    storage = repository.spec.storage
    if storage.host_path is None:
        return None
    wanted = directory(storage)
    allowed = [_normal(path) for path in host.spec.permit.host_paths]
    if any(wanted == path or wanted.startswith(path.rstrip("/") + "/") for path in allowed):
        return None
    return Objection(
        reasons.NOT_PERMITTED,
        f"ComposeHost {host.name} does not permit {wanted}: add it, or a directory above it, to spec.permit.hostPaths",
    )


def may_create(repository: Repository, seen_id: str | None) -> bool:
    """Return whether an absent repository is initialised: only if it never was seen, by this object or on the host."""
    return repository.spec.create == "IfMissing" and repository.status.repository_id is None and seen_id is None


def due(facts: ProbeFacts, now: dt.datetime) -> bool:
    """Return whether the repository is to be opened now."""
    status = facts.repository.status
    if (
        status.observed_generation != facts.repository.generation
        or status.credentials_version != facts.credentials_version
    ):
        return True
    if facts.retry_at is not None:
        return now >= facts.retry_at
    # Not ready without a failure: its host was away, and it was not opened since.
    if facts.suspected or not facts.repository.ready:
        return True
    if status.last_probe_time is None or now >= status.last_probe_time + PROBE_INTERVAL:
        return True
    return facts.last_run_ended is not None and facts.last_run_ended > status.last_probe_time


def retry_seconds(failures: int) -> float:
    """Return the pause after so many failed probes in a row."""
    return min(FIRST_RETRY_SECONDS * 2.0 ** min(max(0, failures - 1), 10), LONGEST_RETRY_SECONDS)


def standing_of(spec: ArchiveRepositorySpec, failure: Failure) -> Standing:
    """Return how a repository stands whose probe failed, with its place, of which the agent knows only its own path."""
    stalled = failure.reason in STALLING_REASONS
    message = f"{location(spec)}: {failure.message}"
    if failure.reason == reasons.REPOSITORY_VANISHED:
        marker = marker_name(place(spec.storage))
        message += f"; to begin anew on purpose, remove Docker volume {marker} and make this object anew"
    return Standing("stalled" if stalled else "waiting", failure.reason, message)
