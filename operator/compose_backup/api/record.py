"""What is stored in the repository beside the data: the manifest of a volume and the record of a run.

A run counts as good only by its record, the last snapshot that it writes. Latest, `asOf` and restore points read
records, never objects of the cluster, so that they outlive it. Written by agent/backup.py, read by agent/catalog.py.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

from compose_backup.api.backup_policy import Method
from compose_backup.api.backup_run import Consistency, HookResult, QuiesceResult, VolumeResult
from compose_backup.api.base import Model

Verdict = Literal["Succeeded", "PartiallyFailed", "Failed"]


class RootDirectory(Model):
    """Owner and mode of the volume's root, to check a restore against."""

    uid: int
    gid: int
    mode: int


class UsingContainer(Model):
    """A container that used the volume when it was archived."""

    name: str
    project: str | None = None
    service: str | None = None
    image: str
    image_digest: str | None = None
    running: bool


class VolumeManifest(Model):
    """What is needed to make the volume again on a bare machine; archived with it as `/manifest/<volume>.json`."""

    volume: str
    driver: str
    options: dict[str, str] = {}
    labels: dict[str, str] = {}
    root: RootDirectory
    containers: tuple[UsingContainer, ...] = ()
    quiesce_method: Method = "None"
    agent_version: str
    restic_version: str


class RecordedVolume(Model):
    """One volume of a run."""

    result: VolumeResult
    manifest: VolumeManifest | None = None


class RunRecord(Model):
    """The verdict on one run."""

    run: str
    run_uid: str
    policy: str
    """`<namespace>/<name>`."""
    policy_uid: str
    host: str
    """`<cluster>/<namespace>/<ComposeHost>`, also restic's host of all snapshots of the run."""
    installation: str
    attempt: int
    slot: dt.datetime
    start_time: dt.datetime
    end_time: dt.datetime
    verdict: Verdict
    consistency: Consistency
    quiesce: QuiesceResult | None = None
    hooks: tuple[HookResult, ...] = ()
    volumes: tuple[RecordedVolume, ...]
