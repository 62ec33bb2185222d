"""What must hold before the first byte of a restore is written. Called by agent/restore.py."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compose_backup.agent.context import Context
from compose_backup.agent.engines.restic import NO_LOCK
from compose_backup.agent.engines.restic_output import Message
from compose_backup.api import reasons
from compose_backup.api.job import RestoreJob
from compose_backup.errors import AgentFailed
from compose_backup.planning.records import Snapshot

IGNORED = frozenset({"lost+found"})


@dataclass(frozen=True)
class Wanted:
    """One volume, and the snapshot that it comes from."""

    source: str
    target: str
    snapshot: Snapshot
    path: str
    """Where the volume lies in the snapshot."""

    @property
    def least_entries(self) -> int:
        """How many files and directories the snapshot holds at least.

        restic's summary counts regular files and directories; the manifest and the directories above the volume and
        above the manifest are not part of the volume. Links and devices come on top.
        """
        above = {parent for path in self.snapshot.paths for parent in _parents(path)}
        manifests = len(self.snapshot.paths) - 1
        return max(1, self.snapshot.files - manifests + self.snapshot.directories - len(above))


def _parents(path: str) -> list[str]:
    """Return the directories above a path, without `/`."""
    parts = path.strip("/").split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def normalized(includes: Sequence[str]) -> tuple[str, ...]:
    """Return includes as paths from a volume's root, which a leading slash means as well.

    An include of everything makes all of them superfluous. Raise AgentFailed for one outside.
    """
    cleaned = tuple(posixpath.normpath(include.strip("/") or ".") for include in includes)
    outside = next((raw for raw, path in zip(includes, cleaned, strict=True) if path.split("/")[0] == ".."), None)
    if outside is not None:
        message = f"include `{outside}` leaves the volume; give a path inside it, such as conf/app.ini"
        raise AgentFailed(reasons.INVALID_SPEC, message, retryable=False)
    return () if "." in cleaned else cleaned


def wanted_volumes(job: RestoreJob, found: Sequence[Snapshot], volumes_root: str) -> list[Wanted]:
    """Return the volumes with their snapshots. Raise AgentFailed for one that is gone or holds another volume."""
    by_id = {one.id: one for one in found}
    wanted = []
    for volume in job.volumes:
        snapshot, path = by_id.get(volume.snapshot_id), f"{volumes_root}/{volume.source}"
        if snapshot is None or path not in snapshot.paths:
            what = "is not in the repository" if snapshot is None else f"holds {', '.join(snapshot.paths)}"
            message = (
                f"volume {volume.source}: snapshot {volume.snapshot_id[:8]} {what}; nothing was written; "
                "choose another run, or list what is there with `restic snapshots`"
            )
            raise AgentFailed(reasons.SNAPSHOT_NOT_FOUND, message, retryable=False)
        wanted.append(Wanted(volume.source, volume.target, snapshot, path))
    return wanted


def check_target(wanted: Wanted, job: RestoreJob, directory: Path) -> None:
    """Raise AgentFailed when the target is not there, or holds data that must not be touched."""
    if not directory.is_dir():
        message = f"volume {wanted.target} is not mounted in the agent; it was removed since the restore was planned"
        raise AgentFailed(reasons.VOLUME_NOT_FOUND, message, retryable=True)
    # Also for a volume that was just made: one that is bound to a directory shows what lies there.
    if job.existing_data != "Fail":
        return
    found = next((entry.name for entry in sorted(directory.iterdir()) if entry.name not in IGNORED), None)
    if found is not None:
        message = (
            f"volume {wanted.target} holds data already (`{found}`); nothing was written; ask for "
            "existingData: Overwrite or Mirror, restore to another volume, or empty it"
        )
        raise AgentFailed(reasons.TARGET_NOT_EMPTY, message, retryable=False)


def check_includes(wanted: Wanted, includes: Sequence[str], context: Context) -> None:
    """Raise AgentFailed when an include names nothing in the snapshot: restic would restore nothing and exit 0."""
    for include in includes:
        context.stop.check()
        if not _holds(wanted, f"{wanted.path}/{include}", context):
            message = (
                f"include `{include}` is not in volume {wanted.source} of snapshot {wanted.snapshot.id[:8]}; nothing "
                "was written; an include is a path from the volume's root, and must be in every volume of the request"
            )
            raise AgentFailed(reasons.INCLUDE_MATCHES_NOTHING, message, retryable=False)


def _holds(wanted: Wanted, path: str, context: Context) -> bool:
    seen: set[str] = set()

    def take(message: Message) -> None:
        if message.get("struct_type") == "node" and message.get("path") == path:
            seen.add(path)

    arguments = ("ls", NO_LOCK, wanted.snapshot.id, path)
    context.restic.run(f"look for {path} in snapshot {wanted.snapshot.id[:8]}", arguments, on_message=take)
    return bool(seen)
