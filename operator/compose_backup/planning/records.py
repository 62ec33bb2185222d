"""Records and restore points, chosen out of what `restic snapshots --json` lists.

The verdict of a run stands in the tags of its record, so that a list is enough to find good runs; only the chosen one
is read. A run with several attempts has several records with one UID. Called by agent/catalog.py and agent/backup.py.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compose_backup.api.backup_policy import RestorePoint
from compose_backup.api.job import CatalogJob

RUN = "run"
RECORD = "record"
WARM = "warm"
"""A snapshot that others are compared with, and nothing else."""
GOOD = frozenset({"Succeeded"})
WITH_GOOD_VOLUMES = frozenset({"Succeeded", "PartiallyFailed"})
MAX_POINTS = 50


@dataclass(frozen=True)
class Snapshot:
    """One snapshot as restic lists it, its `name=value` tags as a map."""

    id: str
    time: dt.datetime
    host: str
    paths: tuple[str, ...]
    tags: Mapping[str, str] = field(default_factory=dict)
    files: int = 0
    directories: int = 0
    bytes: int = 0
    finished: dt.datetime | None = None

    @property
    def kind(self) -> str | None:
        """`run`, `record` or `warm`, or None for a snapshot that is not ours."""
        return self.tags.get("kind")

    @property
    def attempt(self) -> int:
        """The attempt of the run, 0 where it is not told."""
        number = self.tags.get("attempt", "")
        return int(number) if number.isdecimal() else 0


def snapshots(text: str) -> tuple[Snapshot, ...]:
    """Return the snapshots of one `restic snapshots --json`; an empty repository prints `[]`."""
    return tuple(_snapshot(entry) for entry in json.loads(text or "[]") or ())


def _snapshot(entry: Mapping[str, Any]) -> Snapshot:
    summary = entry.get("summary") or {}
    directories = sum(summary.get(f"dirs_{kind}", 0) for kind in ("new", "changed", "unmodified"))
    finished = summary.get("backup_end")
    return Snapshot(
        id=entry["id"],
        time=dt.datetime.fromisoformat(entry["time"]),
        host=entry.get("hostname", ""),
        paths=tuple(entry.get("paths") or ()),
        tags=tags(entry.get("tags") or ()),
        files=summary.get("total_files_processed", 0),
        directories=directories,
        bytes=summary.get("total_bytes_processed", 0),
        finished=dt.datetime.fromisoformat(finished) if finished else None,
    )


def tags(values: Iterable[str]) -> dict[str, str]:
    """Return tags of the form `name=value` as a map; other tags are a person's own."""
    return dict(value.split("=", 1) for value in values if "=" in value)


def newest_first(found: Iterable[Snapshot]) -> list[Snapshot]:
    """Sort by slot, then by attempt, then by the end of the writing: attempts of one run share their slot."""
    return sorted(found, key=lambda one: (one.time, one.attempt, (one.finished or one.time).timestamp()), reverse=True)


def parent(found: Iterable[Snapshot], policy: str, host: str, path: str) -> Snapshot | None:
    """Return the newest snapshot of the same policy, host and path: what restic compares files with."""
    alike = [one for one in found if is_of(one, RUN, policy, host) and path in one.paths]
    return next(iter(newest_first(alike)), None)


def is_of(snapshot: Snapshot, kind: str, policy: str, host: str) -> bool:
    """Return whether a snapshot is of this kind and was made for this policy and host."""
    return (snapshot.kind, snapshot.tags.get("policy"), snapshot.host) == (kind, policy, host)


def record_of_run(found: Iterable[Snapshot], run_uid: str) -> Snapshot | None:
    """Return the record of the newest attempt of a run, whatever its verdict."""
    return next(iter(newest_first(one for one in found if one.kind == RECORD and one.tags.get("uid") == run_uid)), None)


def candidates(found: Sequence[Snapshot], wanted: CatalogJob, volumes_root: str) -> list[Snapshot]:
    """Return the records that a search may mean, newest first, one for each run.

    Without a volume these are the good runs. With one, a run in which only other volumes failed counts as well; whether
    this volume succeeded stands in the record itself.
    """
    verdicts = WITH_GOOD_VOLUMES if wanted.volume else GOOD
    records = [one for one in found if one.kind == RECORD and one.tags.get("verdict") in verdicts]
    fitting = [one for one in records if _fits(one, wanted)]
    if wanted.volume:
        holding = _runs_holding(found, f"{volumes_root}/{wanted.volume}")
        fitting = [one for one in fitting if one.tags.get("uid") in holding]
    return _one_for_each_run(newest_first(fitting))


def points(records: Iterable[Snapshot]) -> tuple[RestorePoint, ...]:
    """Return the restore points of good records, in the order given, the newest fifty."""
    return tuple(_point(one) for one in records if one.tags.get("verdict") in GOOD)[:MAX_POINTS]


def by_prefix(found: Iterable[Snapshot], prefix: str) -> list[Snapshot]:
    """Return the snapshots whose id begins so; more than one means that the prefix is ambiguous."""
    return [one for one in found if one.id.startswith(prefix)]


def volume_of(snapshot: Snapshot, volumes_root: str) -> str | None:
    """Return the volume that a snapshot holds, by its path; None for a record or a stranger's snapshot."""
    beginning = f"{volumes_root}/"
    names = [path.removeprefix(beginning) for path in snapshot.paths if path.startswith(beginning)]
    return names[0] if len(names) == 1 and "/" not in names[0] else None


def _fits(record: Snapshot, wanted: CatalogJob) -> bool:
    return (
        (wanted.host is None or record.host == wanted.host)
        and (wanted.policy is None or record.tags.get("policy") == wanted.policy)
        and (wanted.as_of is None or record.time <= wanted.as_of)
    )


def _runs_holding(found: Iterable[Snapshot], path: str) -> set[str]:
    return {one.tags.get("uid", "") for one in found if one.kind == RUN and path in one.paths}


def _one_for_each_run(records: Iterable[Snapshot]) -> list[Snapshot]:
    """Keep the first record of each UID; the order is kept."""
    return list({one.tags.get("uid", one.id): one for one in reversed(list(records))}.values())[::-1]


def _point(record: Snapshot) -> RestorePoint:
    count = record.tags.get("volumes", "")
    return RestorePoint(
        run=record.tags.get("run", ""),
        run_uid=record.tags.get("uid", ""),
        time=record.time,
        volumes=int(count) if count.isdecimal() else 0,
        consistency=record.tags.get("consistency", "Live"),
        record=record.id,
    )
