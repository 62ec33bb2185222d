"""ArchiveRepository: where archives go and how they are written.

Read by reconcile/archive_repository.py and every run.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field

from compose_backup.api.base import Line, Model, ObjectName, Path, Reference, Short, cel, with_rules
from compose_backup.api.conditions import Status


class PasswordReference(Model):
    """One key of a Secret in the same namespace."""

    name: ObjectName
    """Name of the Secret."""
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")] = "password"
    """Key within the Secret. Default: `password`."""


class Restic(Model):
    """Archives are snapshots in a plain restic repository."""

    password_secret_ref: PasswordReference
    """The password of the repository. Whoever loses it loses the archives: keep a copy outside the cluster."""
    compression: Literal["auto", "max", "off"] = "auto"
    """restic's `--compression`."""
    pack_size_mi_b: Annotated[int, Field(ge=4, le=128)] | None = Field(default=None, alias="packSizeMiB")
    """Target size of pack files in MiB, restic's `--pack-size`. Default: restic's own (16)."""


class HostPath(Model):
    """A directory on the host."""

    path: Path
    """Absolute path; it must lie below an entry of the host's `permit.hostPaths`, and its parent must exist."""


class RepositoryVolume(Model):
    """A Docker volume on the host: plain, bind or NFS, as its driver options say."""

    name: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$")]
    """Name of an existing volume. It is never created by the operator."""


class Storage(Model):
    """Exactly one place."""

    model_config = with_rules(
        cel(
            "[has(self.hostPath), has(self.volume)].filter(x, x).size() == 1",
            "exactly one of hostPath and volume must be given",
        )
    )

    host_path: HostPath | None = None
    """A directory on the host."""
    volume: RepositoryVolume | None = None
    """A Docker volume on the host."""


class ArchiveRepositorySpec(Model):
    """Where archives go and how they are written."""

    model_config = with_rules(
        cel(
            "self.storage == oldSelf.storage && self.hostRef == oldSelf.hostRef",
            "storage and hostRef are immutable: archives do not move with them; create another ArchiveRepository",
        )
    )

    restic: Restic
    """Archives are snapshots in a plain restic repository."""
    storage: Storage
    """The place of the archives."""
    host_ref: Reference
    """The ComposeHost on which `hostPath` and `volume` lie; it must be that of the policies as well."""
    create: Literal["IfMissing", "Never"] = "IfMissing"
    """`IfMissing` initialises the repository once, if it was never seen; `Never` is for one that must exist already.
    A repository that was seen and vanished is never created again."""


class ArchiveRepositoryStatus(Status):
    """What the last probe found."""

    repository_id: Line | None = None
    """Identity of the repository. Once known, only a repository with this identity is used."""
    format: Short | None = None
    """How archives are written: `restic`."""
    location: Line | None = None
    """Where the repository lies. Example: `srv1:/srv/backups/main`."""
    snapshots: int | None = None
    """Number of snapshots in the repository, records of runs not counted."""
    size_bytes: int | None = None
    """Bytes that the repository takes on its storage."""
    size: Short | None = None
    """The same for people. Example: `12.4 GiB`."""
    last_probe_time: dt.datetime | None = None
    """When the repository was last opened successfully."""
    credentials_version: Short | None = None
    """Resource version of the password's Secret that was last tried; a changed Secret is tried at once."""
