"""Whether a run that is called good is good: plain restic opens the repository and reads what the run has left.

Called by campaign.py. It shares nothing with the product but the public names of tags.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from chaos.cluster_api import Document
from chaos.invariants import Before, Host, copy_is_true, restored
from chaos.project import VOLUMES, volume_name

Restic = Callable[..., bytes]


def good_run(
    restic: Restic, host: Host, before: Before, run: Document, scratch: Path, keys: Collection[str] = VOLUMES
) -> Iterator[str]:
    """A run that succeeded has a record, a snapshot of each volume, and data as at its stop: that of `keys` is read."""
    uid, status = run["metadata"]["uid"], run["status"]
    found = _snapshots(restic, uid)
    records = [one["tags"] for one in found if "kind=record" in one["tags"]]
    # An earlier attempt may have left its own, which says that it was not good.
    good = [tags for tags in records if "verdict=Succeeded" in tags]
    if len(good) != 1 or f"attempt={status['attempts']}" not in good[0]:
        yield f"{run['metadata']['name']} Succeeded in attempt {status['attempts']} with the records {records}"
    ids = {one["name"]: one.get("snapshotId", "") for one in status.get("volumes", [])}
    if status.get("consistency") != "Stopped":
        yield f"{run['metadata']['name']} is {status.get('consistency')}"
    if lost := set(map(volume_name, VOLUMES)) - {
        one["name"] for one in status.get("volumes", []) if one.get("snapshotId")
    }:
        yield f"{run['metadata']['name']} has no snapshot of {sorted(lost)}"
    for key in keys:
        with _copy(restic, ids.get(volume_name(key), ""), key, scratch) as copy:
            yield from copy_is_true(host, before, key, Path(copy) / "volumes" / volume_name(key))


def good_restore(
    restic: Restic, host: Host, before: Before, request: Document, scratch: Path, keys: Collection[str] = VOLUMES
) -> Iterator[str]:
    """After a restore that succeeded every service has gone on from its snapshot: those of `keys` are read."""
    for volume in request["status"]["resolved"]["volumes"]:
        key = volume["target"].partition("_")[2]
        if key not in keys:
            continue
        with _copy(restic, volume["snapshotId"], key, scratch) as copy:
            yield from restored(host, before, key, Path(copy) / "volumes" / volume["source"])


def sound(restic: Restic) -> Iterator[str]:
    """The repository is sound."""
    try:
        restic("check", "--quiet")
    except Exception as failed:  # the runner's own tree: whatever it is, the repository is not known to be sound
        yield f"restic check: {failed}"


def _snapshots(restic: Restic, uid: str) -> list[Document]:
    found: list[Document] = json.loads(restic("snapshots", "--json"))
    return [one for one in found if f"uid={uid}" in one.get("tags", [])]


def _copy(restic: Restic, snapshot: str, key: str, scratch: Path) -> tempfile.TemporaryDirectory[str]:
    directory = tempfile.TemporaryDirectory(dir=scratch, prefix=key)
    if snapshot:
        restic("restore", snapshot, "--target", directory.name, "--quiet")
    return directory
