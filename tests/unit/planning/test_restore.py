"""What a restore request means, and what is found for it."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from compose_backup.api import reasons
from compose_backup.api.backup_run import VolumeResult
from compose_backup.api.job import CatalogReport, FoundSnapshot
from compose_backup.api.record import RecordedVolume, RootDirectory, RunRecord, VolumeManifest
from compose_backup.planning import restore
from compose_backup.planning.checks import Objection
from compose_backup.planning.competitors import NOTHING_SEEN
from compose_backup.planning.facts import Inventory, Volume
from compose_backup.planning.labels import REPOSITORY_ID, REPOSITORY_LOCATION
from compose_backup.planning.restore import RestoreFacts
from fakes import objects
from fakes.objects import resolved_run, status

SLOT = dt.datetime(2026, 10, 13, 2, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
HOST = objects.host()
REQUEST = replace(objects.restore(), created=SLOT)
DATA = Volume("shop_data")
BASELINE = RestoreFacts(
    restore=REQUEST,
    source_run=None,
    source_policy=objects.policy(),
    host=HOST,
    hosts=(HOST,),
    repository=objects.repository(),
    repository_volumes=("archives",),
    inventory=Inventory((DATA, Volume("shop_db"))),
    others=(),
    usage=NOTHING_SEEN,
    now=SLOT + MINUTE,
)
UNREADY = {"conditions": objects.ready("False", "Unreachable", "no answer")}
ENDED = status(objects.run(), phase="Succeeded", resolved=resolved_run("shop_data"))


def asking(**changes: Any) -> RestoreFacts:
    return replace(BASELINE, restore=replace(objects.restore(**changes), created=SLOT))


def by_run(run: Any) -> RestoreFacts:
    return replace(asking(source={"runRef": {"name": "nightly-202610130200"}}), source_run=run, source_policy=None)


@pytest.mark.parametrize(
    ("facts", "reason", "then"),
    [
        pytest.param(asking(startBefore=SLOT), reasons.EXPIRED, "skip", id="applied after its time"),
        pytest.param(asking(deadlineSeconds=60), reasons.DEADLINE_EXCEEDED, "fail", id="its deadline has passed"),
        pytest.param(by_run(None), reasons.RUN_NOT_FOUND, "fail", id="no such run"),
        pytest.param(by_run(objects.run()), reasons.PENDING, "wait", id="the run has not ended"),
        pytest.param(
            by_run(status(objects.run(), phase="Failed")), reasons.NO_GOOD_RUN, "fail", id="the run never began"
        ),
        pytest.param(replace(BASELINE, source_policy=None), reasons.POLICY_NOT_FOUND, "fail", id="no such policy"),
        pytest.param(replace(BASELINE, host=None), reasons.HOST_NOT_FOUND, "wait", id="no host"),
        pytest.param(
            replace(BASELINE, host=status(HOST, **UNREADY)), reasons.HOST_NOT_READY, "wait", id="host is away"
        ),
        pytest.param(replace(BASELINE, inventory=None), reasons.HOST_NOT_READY, "wait", id="nothing is seen"),
        pytest.param(replace(BASELINE, repository=None), reasons.REPOSITORY_NOT_FOUND, "wait", id="no repository"),
        pytest.param(
            replace(BASELINE, repository=objects.repository(hostRef={"name": "srv2"})),
            reasons.WRONG_HOST,
            "fail",
            id="a repository on another host",
        ),
        pytest.param(
            replace(BASELINE, repository=status(objects.repository(), **UNREADY)),
            reasons.REPOSITORY_NOT_READY,
            "wait",
            id="the repository cannot be opened",
        ),
    ],
)
def test_each_question_before_the_search(facts: RestoreFacts, reason: str, then: str) -> None:
    objection = restore.may_search(facts)
    assert objection and (objection.reason, objection.then) == (reason, then)


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(BASELINE, id="by policy"),
        pytest.param(by_run(ENDED), id="by run"),
        pytest.param(asking(startBefore=SLOT + MINUTE), id="its time has just come"),
    ],
)
def test_a_search_may_begin(facts: RestoreFacts) -> None:
    assert restore.may_search(facts) is None


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(by_run(ENDED), {"runUid": "uid-of-nightly-202610130200"}, id="a run is found by its UID"),
        pytest.param(
            asking(source={"policyRef": {"name": "nightly"}, "asOf": SLOT}),
            {"policy": "prod/nightly", "host": "lab/prod/srv1", "asOf": "2026-10-13T02:00:00Z"},
            id="a policy by name, host and time",
        ),
        pytest.param(
            asking(source={"repositoryRef": {"name": "main"}, "host": "old/prod/srv1", "volume": "shop_data"}),
            {"host": "old/prod/srv1", "volume": "shop_data"},
            id="a host of a lost cluster by its identity",
        ),
        pytest.param(
            asking(source={"repositoryRef": {"name": "main"}, "snapshotId": "aabbccdd"}),
            {"snapshotId": "aabbccdd"},
            id="a snapshot by its id",
        ),
    ],
)
def test_search(facts: RestoreFacts, expected: dict[str, str]) -> None:
    assert restore.search(facts, "lab").to_wire() == expected


# ----------------------------------------------------------------------------------------------------------------------

MANIFEST = VolumeManifest(
    volume="shop_data",
    driver="local",
    options={"type": "none", "o": "bind", "device": "/srv/shop"},
    labels={"com.docker.compose.volume": "data", "mine": "1"},
    root=RootDirectory(uid=0, gid=0, mode=0o755),
    agent_version="0.1.0",
    restic_version="0.18.0",
)


def archived(name: str, phase: str = "Succeeded", manifest: VolumeManifest | None = MANIFEST) -> RecordedVolume:
    result = VolumeResult.model_validate({"name": name, "phase": phase, "snapshot_id": f"of-{name}"})
    return RecordedVolume(result=result, manifest=manifest)


def found(*volumes: RecordedVolume) -> CatalogReport:
    record = RunRecord(
        run="nightly-202610130200",
        run_uid="u",
        policy="prod/nightly",
        policy_uid="p",
        host="lab/prod/srv1",
        installation="i",
        attempt=1,
        slot=SLOT,
        start_time=SLOT,
        end_time=SLOT,
        verdict="Succeeded",
        consistency="Stopped",
        volumes=volumes,
    )
    return CatalogReport(record=record, record_id="r")


def mapping(*pairs: str) -> dict[str, Any]:
    names = [pair.partition(">") for pair in pairs]
    return {"target": {"volumes": [{"source": a, **({"target": b} if b else {})} for a, _, b in names]}}


BOTH = found(archived("shop_db"), archived("shop_data"))


@pytest.mark.parametrize(
    ("facts", "report", "expected"),
    [
        pytest.param(BASELINE, BOTH, [("shop_data", "shop_data"), ("shop_db", "shop_db")], id="all, same names"),
        pytest.param(asking(**mapping("shop_db")), BOTH, [("shop_db", "shop_db")], id="one of them"),
        pytest.param(asking(**mapping("shop_db>copy")), BOTH, [("shop_db", "copy")], id="under another name"),
        pytest.param(
            BASELINE,
            found(archived("shop_data"), archived("shop_db", "Failed")),
            [("shop_data", "shop_data")],
            id="good ones",
        ),
        pytest.param(
            asking(source={"repositoryRef": {"name": "main"}, "host": "h", "volume": "shop_db"}),
            BOTH,
            [("shop_db", "shop_db")],
            id="the one volume that the source names",
        ),
        pytest.param(
            asking(source={"repositoryRef": {"name": "main"}, "snapshotId": "aabbccdd"}),
            CatalogReport(snapshot=FoundSnapshot(snapshot_id="aabb", time=SLOT, volume="shop_data")),
            [("shop_data", "shop_data")],
            id="one snapshot",
        ),
    ],
)
def test_resolve(facts: RestoreFacts, report: CatalogReport, expected: list[tuple[str, str]]) -> None:
    resolved = restore.resolve(facts, report)
    assert not isinstance(resolved, Objection), resolved
    assert [(volume.source, volume.target) for volume in resolved.volumes] == expected
    assert (resolved.host.engine_id, resolved.time) == ("engine-1", SLOT)


MARKER = Volume("m", labels={REPOSITORY_LOCATION: "volume:theirs", REPOSITORY_ID: "x"})


@pytest.mark.parametrize(
    ("facts", "report", "reason"),
    [
        pytest.param(BASELINE, CatalogReport(), reasons.NO_GOOD_RUN, id="nothing is found"),
        pytest.param(BASELINE, found(archived("a", "Failed")), reasons.NO_GOOD_RUN, id="nothing good is found"),
        pytest.param(
            asking(source={"repositoryRef": {"name": "main"}, "snapshotId": "aabbccdd"}),
            CatalogReport(),
            reasons.SNAPSHOT_NOT_FOUND,
            id="no such snapshot",
        ),
        pytest.param(asking(**mapping("shop_x")), BOTH, reasons.VOLUME_NOT_IN_SOURCE, id="a volume it does not hold"),
        pytest.param(
            asking(**mapping("shop_db>one", "shop_data>one")), BOTH, reasons.INVALID_SPEC, id="two onto one target"
        ),
        pytest.param(asking(**mapping("shop_db>archives")), BOTH, reasons.INVALID_SPEC, id="onto the repository"),
        pytest.param(
            replace(asking(**mapping("shop_db>theirs")), inventory=Inventory((MARKER,))),
            BOTH,
            reasons.INVALID_SPEC,
            id="onto the repository of another cluster",
        ),
        pytest.param(
            replace(asking(**mapping("shop_db>m")), inventory=Inventory((MARKER,))),
            BOTH,
            reasons.INVALID_SPEC,
            id="onto a volume of ours",
        ),
        pytest.param(
            asking(**mapping("shop_db>new")),
            found(archived("shop_db", manifest=None)),
            reasons.VOLUME_NOT_FOUND,
            id="a missing target that nobody can make",
        ),
    ],
)
def test_what_the_source_cannot_give(facts: RestoreFacts, report: CatalogReport, reason: str) -> None:
    objection = restore.resolve(facts, report)
    assert isinstance(objection, Objection) and (objection.reason, objection.then) == (reason, "fail")


@pytest.mark.parametrize(
    ("target", "labels"),
    [
        pytest.param("shop_data", {"com.docker.compose.volume": "data", "mine": "1"}, id="verbatim under its own name"),
        pytest.param("copy", {"mine": "1"}, id="without the labels of Compose under another"),
    ],
)
def test_how_a_missing_volume_is_made(target: str, labels: dict[str, str]) -> None:
    made = restore.definition_of(MANIFEST, target)
    assert (made.driver, made.options, made.labels) == ("local", MANIFEST.options, labels)


# ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param({"runRef": {"name": "nightly-1"}}, "nightly-1", id="run"),
        pytest.param(
            {"policyRef": {"name": "nightly"}, "asOf": SLOT}, "nightly@2026-10-13T02:00Z", id="policy at a time"
        ),
        pytest.param({"repositoryRef": {"name": "main"}, "host": "lab/prod/srv1"}, "main:lab/prod/srv1", id="host"),
        pytest.param({"repositoryRef": {"name": "main"}, "snapshotId": "aabbccdd"}, "main:aabbccdd", id="snapshot"),
    ],
)
def test_describe_source(source: dict[str, Any], expected: str) -> None:
    assert restore.describe_source(objects.restore(source=source)) == expected
