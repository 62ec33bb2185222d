"""Open the repository: is it there, is it the right one, what is in it. The first act of every job.

Called by probe.py, backup.py, catalog.py and restore.py.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from compose_backup.agent.context import Context
from compose_backup.agent.engines.restic import config_arguments, snapshots_arguments
from compose_backup.api import reasons
from compose_backup.api.job import ProbeReport
from compose_backup.errors import AgentFailed
from compose_backup.planning import records
from compose_backup.planning.records import Snapshot

OPENING_SECONDS = 60.0


@dataclass(frozen=True)
class Opened:
    """A repository that was opened and is the expected one."""

    id: str
    snapshots: tuple[Snapshot, ...]


def open_to_write(context: Context) -> Opened:
    """Open the repository for a job that locks it. Raise AgentFailed as open_repository, or when it is read-only."""
    opened = open_repository(context)
    require_writable(context.places.repository)
    return opened


def open_repository(context: Context) -> Opened:
    """Open the repository and list it. Raise AgentFailed that tells absent, vanished and replaced apart.

    The two questions are asked side by side: each costs half a second of key derivation.
    """
    try:
        require_directory(context.places.repository)
    except AgentFailed as error:
        raise _vanished(error, context.access.expected_id) from error
    with ThreadPoolExecutor(max_workers=2) as pool:
        asked = pool.submit(_config, context)
        listed = pool.submit(_list, context)
        identity = asked.result()
        return Opened(check_identity(identity, context.access.expected_id), listed.result())


def require_directory(place: str) -> None:
    """Raise AgentFailed for a file in its place: restic would ask it for a config for a minute (seen with 0.18.0)."""
    if not os.path.isdir(place):
        message = (
            "a file lies at the path of the repository, not a directory; check the path, or move the file away: the "
            "repository needs a directory of its own"
        )
        raise AgentFailed(reasons.REPOSITORY_ABSENT, message, retryable=False)


def require_writable(directory: str) -> None:
    """Raise AgentFailed when a repository cannot be written to.

    restic tries to write its lock for a quarter of an hour on a read-only file system (seen with 0.18.0).
    """
    places = [directory, *(entry.path for entry in os.scandir(directory) if entry.is_dir())]
    refused = next((place for place in places if not os.access(place, os.W_OK | os.X_OK)), None)
    if refused is not None:
        message = (
            f"the repository cannot be written to ({refused}): mount its disk writable, and let root of the host write "
            "there (an NFS export needs no_root_squash)"
        )
        raise AgentFailed(reasons.REPOSITORY_NOT_READY, message, retryable=False)


def described(opened: Opened, context: Context, added: int = 0) -> ProbeReport:
    """Return what is in a repository that was opened, `added` snapshots of volumes included that came since."""
    count = sum(1 for one in opened.snapshots if one.kind != records.RECORD) + added
    size = size_of(Path(context.places.repository))
    return ProbeReport(repository_id=opened.id, created=False, snapshots=count, size_bytes=size)


def files_below(directory: Path) -> Iterator[Path]:
    """Yield everything below a directory that is no directory."""
    for folder, _, names in os.walk(directory):
        yield from (Path(folder, name) for name in names)


def size_of(directory: Path) -> int:
    """Return the bytes of all files below a directory; what vanishes meanwhile (locks do) counts as nothing."""
    total = 0
    for path in files_below(directory):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:
            continue
    return total


def check_identity(found: str, expected: str | None) -> str:
    """Return the identity when it is the expected one, or none is expected. Raise AgentFailed otherwise."""
    if expected is not None and found != expected:
        message = (
            f"the repository is {found[:8]}, but {expected[:8]} was here before: another one lies at this path; "
            "bring the old one back, or declare the new one as an ArchiveRepository of its own"
        )
        raise AgentFailed(reasons.REPOSITORY_REPLACED, message, retryable=False)
    return found


def _config(context: Context) -> str:
    """Return the identity of the repository."""
    try:
        finished = context.restic.run("open the repository", config_arguments(), seconds=OPENING_SECONDS)
    except AgentFailed as error:
        raise _vanished(error, context.access.expected_id) from error
    return str(json.loads(finished.text)["id"])


def _list(context: Context) -> tuple[Snapshot, ...]:
    finished = context.restic.run("list the repository", snapshots_arguments(), seconds=OPENING_SECONDS)
    return records.snapshots(finished.text)


def _vanished(error: AgentFailed, expected: str | None) -> AgentFailed:
    """Turn `absent` into `vanished` for a repository that was seen before: it is never made anew."""
    if error.reason != reasons.REPOSITORY_ABSENT or expected is None:
        return error
    message = (
        f"repository {expected[:8]} was here before and is gone: is its disk mounted, was the directory moved? "
        "Bring it back; it is never created again by itself"
    )
    return AgentFailed(reasons.REPOSITORY_VANISHED, message, retryable=False)
