"""Records and restore points, out of restic's list."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from compose_backup.api.job import CatalogJob
from compose_backup.planning import records
from compose_backup.planning.records import Snapshot


def slot(day: int) -> dt.datetime:
    return dt.datetime(2026, 11, day, 2, tzinfo=dt.UTC)


def record(
    identity: str, day: int, verdict: str = "Succeeded", uid: str = "", attempt: int = 1, **tags: str
) -> Snapshot:
    base = {"kind": "record", "policy": "team/nightly", "run": f"run-{day}", "uid": uid or f"uid-{day}", "volumes": "2"}
    own = {"verdict": verdict, "attempt": str(attempt), "consistency": "Stopped"}
    return Snapshot(identity, slot(day), "c/team/srv", ("/team-nightly.json",), base | own | tags)


def data(identity: str, day: int, volume: str = "data", policy: str = "team/nightly", kind: str = "run") -> Snapshot:
    tags = {"kind": kind, "policy": policy, "uid": f"uid-{day}"}
    return Snapshot(identity, slot(day), "c/team/srv", (f"/manifest/{volume}.json", f"/volumes/{volume}"), tags)


FOUND = (
    data("d1", 1),
    record("r1", 1),
    data("d2", 2, volume="other"),
    record("r2", 2, "PartiallyFailed"),
    record("r3-failed", 3, "Failed"),
    record("r3", 3, attempt=2),
    record("r4", 4, policy="team/other"),
)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param({"policy": "team/nightly"}, ["r3", "r1"], id="good-runs-newest-first"),
        pytest.param({"policy": "team/nightly", "as_of": slot(2)}, ["r1"], id="as-of"),
        pytest.param({"policy": "team/nightly", "as_of": slot(3)}, ["r3", "r1"], id="as-of-is-inclusive"),
        pytest.param({"host": "c/team/srv"}, ["r4", "r3", "r1"], id="host"),
        pytest.param({"host": "c/team/elsewhere"}, [], id="another-host"),
        pytest.param({"host": "c/team/srv", "volume": "data"}, ["r1"], id="volume"),
        pytest.param({"volume": "other"}, ["r2"], id="volume-of-a-run-with-gaps"),
    ],
)
def test_candidates(wanted: dict[str, Any], expected: list[str]) -> None:
    found = records.candidates(FOUND, CatalogJob(**wanted), "/volumes")
    assert [one.id for one in found] == expected


def test_one_run_is_one_point_whatever_its_attempts() -> None:
    twice = (record("first", 1, attempt=1), record("second", 1, attempt=2))
    assert [one.id for one in records.candidates(twice, CatalogJob(), "/volumes")] == ["second"]


def test_points_tell_good_runs_only() -> None:
    (point,) = records.points([record("r2", 2, "PartiallyFailed"), record("r1", 1)])
    assert (point.run, point.run_uid, point.volumes, point.record) == ("run-1", "uid-1", 2, "r1")
    assert (point.time, point.consistency) == (slot(1), "Stopped")


@pytest.mark.parametrize(
    ("uid", "expected"),
    [("uid-3", "r3"), ("uid-2", "r2"), ("uid-9", None)],
    ids=["newest-attempt", "whatever-its-verdict", "unknown"],
)
def test_record_of_run(uid: str, expected: str | None) -> None:
    found = records.record_of_run(FOUND, uid)
    assert (found.id if found else None) == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param((data("old", 1), data("new", 2)), "new", id="newest"),
        pytest.param((data("new", 2), data("old", 1)), "new", id="whatever-the-order"),
        pytest.param((data("mine", 1), data("theirs", 2, policy="team/other")), "mine", id="same-policy"),
        pytest.param((data("mine", 1), data("safety", 2, kind="safety")), "mine", id="same-kind"),
        pytest.param((data("theirs", 1, volume="other"),), None, id="same-paths"),
    ],
)
def test_parent(found: tuple[Snapshot, ...], expected: str | None) -> None:
    parent = records.parent(found, "team/nightly", "c/team/srv", "/volumes/data")
    assert (parent.id if parent else None) == expected


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        pytest.param(("/manifest/a.json", "/volumes/a"), "a", id="ours"),
        pytest.param(("/volumes/a",), "a", id="without-manifest"),
        pytest.param(("/team-nightly.json",), None, id="record"),
        pytest.param(("/volumes/a", "/volumes/b"), None, id="two"),
        pytest.param(("/volumes/a/sub",), None, id="part-of-one"),
        pytest.param(("/volumes2/a",), None, id="elsewhere"),
    ],
)
def test_volume_of(paths: tuple[str, ...], expected: str | None) -> None:
    assert records.volume_of(Snapshot("x", slot(1), "h", paths), "/volumes") == expected


@pytest.mark.parametrize("text", ["", "[]", "null"])
def test_empty_repository(text: str) -> None:
    assert records.snapshots(text) == ()


def test_snapshot_as_restic_lists_it() -> None:
    summary = {"total_files_processed": 2, "dirs_new": 3, "dirs_changed": 1, "total_bytes_processed": 248}
    entry = {
        "time": "2026-11-24T02:00:00.123456789Z",
        "hostname": "h",
        "paths": ["/volumes/a"],
        "tags": ["kind=run", "by-hand", "note=a=b"],
        "summary": summary | {"backup_end": "2026-11-24T18:12:34.021501965+01:00"},
        "id": "f6",
    }
    (found,) = records.snapshots(json.dumps([entry]))
    assert (found.files, found.directories, found.bytes, found.kind) == (2, 4, 248, "run")
    assert found.tags == {"kind": "run", "note": "a=b"} and found.time.year == 2026
