"""What people and tools see of our kinds on a real API server: defaults, columns, names, explanations.

Run by pytest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from compose_backup.api.kinds import BY_NAME, KINDS, Kind
from crds.manifests import SPECS, Kinds, manifest

TIME = "2026-10-13T02:00:00Z"
EVERY_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def condition(name: str, status: str = "True") -> dict[str, Any]:
    """Return a condition as the operator writes it."""
    told = {"reason": "Tried", "message": "tried", "lastTransitionTime": TIME}
    return {"type": name, "status": status, "observedGeneration": 1, **told}


READY = {"observedGeneration": 1, "conditions": [condition("Ready")]}
WAITED = {"observedGeneration": 1, "conditions": [condition("Ready"), condition("Queued")]}
STATUS: Mapping[str, Mapping[str, Any]] = {
    "ComposeHost": {
        "observedGeneration": 1,
        "conditions": [condition("Ready"), condition("ServicesResumed")],
        "engine": {"id": "e", "version": "28.5.2", "apiVersion": "1.51", "operatingSystem": "Debian"},
        "projectCount": 2,
        "volumes": {"total": 7, "protected": 4, "unprotectedCount": 3},
    },
    "ArchiveRepository": {**READY, "format": "restic", "location": "srv1:/srv", "snapshots": 4, "size": "1 GiB"},
    "BackupPolicy": {
        "observedGeneration": 1,
        "conditions": [condition("Ready"), condition("Fresh", "False")],
        "lastSuccessTime": TIME,
        "nextRunTime": TIME,
    },
    "BackupRun": {
        **WAITED,
        "phase": "PartiallyFailed",
        "progress": {"percent": 100},
        "consistency": "Stopped",
        "size": "1 GiB",
        "added": "1 MiB",
        "downtime": "12s",
        "duration": "4m10s",
        "failure": {"reason": "UnreadableFiles", "message": "two files"},
    },
    "RestoreRequest": {
        **WAITED,
        "phase": "Failed",
        "source": "nightly",
        "host": "srv1",
        "progress": {"percent": 40},
        "duration": "10s",
        "failure": {"reason": "DiskFull", "message": "full"},
    },
}
COLUMNS = {
    "ComposeHost": "NAME ENDPOINT ENGINE PROJECTS VOLUMES UNPROTECTED RESUMED READY AGE",
    "ArchiveRepository": "NAME FORMAT STORAGE SNAPSHOTS SIZE READY AGE",
    "BackupPolicy": "NAME HOST SCHEDULE SUSPENDED LAST SUCCESS NEXT RUN FRESH READY AGE",
    "BackupRun": "NAME POLICY PHASE PROGRESS CONSISTENCY SIZE ADDED DOWNTIME DURATION REASON QUEUE AGE",
    "RestoreRequest": "NAME SOURCE HOST PHASE PROGRESS DURATION REASON QUEUE AGE",
}
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "ComposeHost": {
        "agent": {
            "imagePullPolicy": "IfNotPresent",
            "cpus": 2,
            "memory": "1Gi",
            "network": "none",
            "dockerSocket": "/var/run/docker.sock",
        },
        "permit": {"hooks": False},
        "maxConcurrentRuns": 1,
        "probeIntervalSeconds": 60,
    },
    "ArchiveRepository": {
        "restic": {"passwordSecretRef": {"name": "main", "key": "password"}, "compression": "auto"},
        "create": "IfMissing",
    },
    "BackupPolicy": {
        "selector": {"allowEmpty": False},
        "timeZone": "UTC",
        "jitterSeconds": 0,
        "suspend": False,
        "retry": {"limit": 1, "backoffSeconds": 60},
        "quiesce": {"method": "Stop", "maxSeconds": 600, "stage": "Auto"},
        "history": {"succeeded": 5, "failed": 5},
    },
    "BackupRun": {"trigger": "Manual"},
    "RestoreRequest": {"existingData": "Fail", "quiesce": "Stop"},
}


@EVERY_KIND
def test_object_that_nobody_looked_at_is_known_as_such(kinds: Kinds, kind: Kind) -> None:
    assert kinds.apply(manifest(kind.name))["status"] == {"observedGeneration": -1}


@EVERY_KIND
def test_server_fills_in_what_the_spec_leaves_open(kinds: Kinds, kind: Kind) -> None:
    assert kinds.apply(manifest(kind.name))["spec"] == {**SPECS[kind.name], **DEFAULTS[kind.name]}


@EVERY_KIND
def test_defaults_of_the_server_are_those_of_the_types(kinds: Kinds, kind: Kind) -> None:
    stored = kind.spec.model_validate(kinds.apply(manifest(kind.name))["spec"])
    assert stored == kind.spec.model_validate(SPECS[kind.name])


@EVERY_KIND
def test_field_that_does_not_exist_is_refused(dry: Kinds, kind: Kind) -> None:
    assert 'unknown field "spec.shedule"' in dry.refusal(manifest(kind.name, shedule="@daily"))


@EVERY_KIND
def test_spec_is_needed(dry: Kinds, kind: Kind) -> None:
    document = manifest(kind.name)
    del document["spec"]
    assert "spec: Required value" in dry.refusal(document)


@EVERY_KIND
def test_columns_show_the_whole_story(kinds: Kinds, kind: Kind) -> None:
    document = manifest(kind.name)
    kinds.apply(document)
    kinds.status(document, STATUS[kind.name])
    header, row = kinds.table(kind.short_name)
    assert header.split() == COLUMNS[kind.name].split()
    cells = re.split(r"\s{2,}", row.strip())
    assert len(cells) == len(re.split(r"\s{2,}", header.strip()))
    assert not {"", "<none>", "<invalid>"} & set(cells)


@EVERY_KIND
def test_kind_answers_to_all_its_names(dry: Kinds, kind: Kind) -> None:
    for name in (kind.plural, kind.name.lower(), kind.short_name):
        assert dry.table(name) == []


def test_category_shows_all_kinds_at_once(kinds: Kinds) -> None:
    for kind in KINDS:
        kinds.apply(manifest(kind.name))
    names = [line.split()[0] for line in kinds.table("compose-backup", "--no-headers")]
    assert sorted(names) == sorted(f"{kind.name.lower()}.backup.dockerwarts.io/main" for kind in KINDS)


def test_runs_of_a_policy_are_found_by_the_server(kinds: Kinds) -> None:
    for name, policy in (("a", "nightly"), ("b", "weekly")):
        kinds.apply(manifest("BackupRun", name=name, policyRef={"name": policy}))
    found = kinds.table("brun", "--field-selector=spec.policyRef.name=weekly", "-o", "name")
    assert found == ["backuprun.backup.dockerwarts.io/b"]


def test_generation_moves_with_the_spec_alone(kinds: Kinds) -> None:
    document = manifest("BackupPolicy")
    kinds.apply(document)
    kinds.status(document, STATUS["BackupPolicy"])
    assert kinds.get("BackupPolicy")["metadata"]["generation"] == 1
    kinds.apply(manifest("BackupPolicy", suspend=True))
    assert kinds.get("BackupPolicy")["metadata"]["generation"] == 2


@pytest.mark.parametrize("ready", ["True", "False"])
def test_wait_returns_for_every_end(kinds: Kinds, ready: str) -> None:
    document = manifest("BackupRun")
    kinds.apply(document)
    kinds.status(document, {"observedGeneration": 1, "conditions": [condition("Ready", ready), condition("Finished")]})
    assert "condition met" in kinds.wait("backuprun/main", "--for=condition=Finished", "--timeout=60s")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("composehost.spec.endpoint", "Where the Docker Engine answers"),
        ("arepo.spec.create", "A repository that was seen and vanished is never created again"),
        ("bpol.spec.schedule", "Example: `0 2 * * *`, every night at two"),
        ("bpol.spec.selector", "Which volumes of the host"),
        ("brun.status.volumes.consistency", "`Stopped` when nothing that writes was running"),
        ("rr.spec.existingData", "`Mirror` deletes them"),
    ],
)
def test_explain_is_documentation(dry: Kinds, path: str, said: str) -> None:
    assert said in " ".join(dry.explain(path).split())


@EVERY_KIND
def test_explain_begins_with_what_the_kind_is(dry: Kinds, kind: Kind) -> None:
    told = (kind.spec.__doc__ or "").strip()
    assert told in dry.explain(kind.name)


def test_tables_of_this_file_cover_all_kinds() -> None:
    for table in (STATUS, COLUMNS, DEFAULTS, SPECS):
        assert table.keys() == BY_NAME.keys()
