"""Every rule of the CRDs on a real API server: which manifest it refuses, and in which words.

Run by pytest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from crds.manifests import SPECS, Kinds, Manifest, manifest
from realparts import installed

RUN = {"runRef": {"name": "run"}}
POLICY = {"policyRef": {"name": "nightly"}}
REPOSITORY = {"repositoryRef": {"name": "main"}}
AS_OF = {"asOf": "2026-10-13T02:00:00Z"}
HOST = {"host": "cluster/apps/srv1"}
SNAPSHOT = {"snapshotId": "0123abcd"}
TARGET = {"hostRef": {"name": "srv1"}}


def restore(*source: dict[str, Any], target: dict[str, Any] | None = TARGET) -> Manifest:
    """Return a RestoreRequest from these parts of a source."""
    merged = {key: value for part in source for key, value in part.items()}
    return manifest("RestoreRequest", source=merged, target=target)


def repository(**storage: Any) -> Manifest:
    """Return an ArchiveRepository on this storage."""
    return manifest("ArchiveRepository", storage=storage)


ONE_STORAGE = "exactly one of hostPath and volume must be given"
ONE_SOURCE = "exactly one of runRef, policyRef and repositoryRef must be given"
AS_OF_GOES_WITH = (
    "asOf goes with policyRef, or with repositoryRef and host: a run and a snapshot have their time already"
)
REPOSITORY_NEEDS = "repositoryRef needs exactly one of host and snapshotId, and neither goes without it"
VOLUME_GOES_WITH = "volume goes with repositoryRef and host"
TARGET_NEEDED = "target.hostRef is required when the source is repositoryRef: the archive does not name a ComposeHost"
FIVE_FIELDS = (
    "schedule must have five fields: minute hour day-of-month month day-of-week; a field for seconds is not supported"
)
STOP_TIMEOUT = (
    "quiesce.stopTimeoutSeconds must not be longer than quiesce.maxSeconds, the longest that services may be down"
)
PROGRAM = "command must begin with the program to run"
HOOK = {"project": "shop", "service": "db"}
NAME = "the name of a BackupPolicy has at most 50 characters, since the names of its runs are made of it"
ENDPOINT = "endpoint must be ssh://user@host[:port][/path/to/docker.sock], tcp://host:port or unix:///path"
CREDENTIALS = (
    "ssh:// and tcp:// endpoints need spec.credentialsSecretRef: a Secret with ssh-privatekey and known_hosts, "
    "or with tls.crt, tls.key and ca.crt"
)

REFUSED = [
    pytest.param(manifest("ComposeHost", endpoint="http://srv1:2375"), ENDPOINT, id="docker over http"),
    pytest.param(manifest("ComposeHost", credentialsSecretRef=None), CREDENTIALS, id="ssh without a key"),
    pytest.param(
        manifest("ComposeHost", endpoint="tcp://srv1:2376", credentialsSecretRef=None),
        CREDENTIALS,
        id="tcp without TLS",
    ),
    pytest.param(repository(), ONE_STORAGE, id="no storage"),
    pytest.param(repository(hostPath={"path": "/srv"}, volume={"name": "archives"}), ONE_STORAGE, id="two storages"),
    pytest.param(manifest("BackupPolicy", name="n" * 60), NAME, id="policy name of 60 characters"),
    pytest.param(manifest("BackupPolicy", schedule="0 0 2 * * *"), FIVE_FIELDS, id="cron with seconds"),
    pytest.param(manifest("BackupPolicy", schedule="  0  2 * *  "), FIVE_FIELDS, id="cron with four fields"),
    pytest.param(manifest("BackupPolicy", schedule="every night"), FIVE_FIELDS, id="no cron at all"),
    pytest.param(
        manifest("BackupPolicy", quiesce={"stopTimeoutSeconds": 601}), STOP_TIMEOUT, id="a stop longer than the window"
    ),
    pytest.param(manifest("BackupPolicy", hooks={"pre": [{**HOOK, "command": [""]}]}), PROGRAM, id="a hook of nothing"),
    pytest.param(restore(), ONE_SOURCE, id="no source"),
    pytest.param(restore(RUN, POLICY), ONE_SOURCE, id="run and policy"),
    pytest.param(restore(POLICY, REPOSITORY, HOST), ONE_SOURCE, id="policy and repository"),
    pytest.param(restore(RUN, AS_OF), AS_OF_GOES_WITH, id="run at another time"),
    pytest.param(restore(REPOSITORY, SNAPSHOT, AS_OF), AS_OF_GOES_WITH, id="snapshot at another time"),
    pytest.param(restore(REPOSITORY), REPOSITORY_NEEDS, id="repository alone"),
    pytest.param(restore(REPOSITORY, HOST, SNAPSHOT), REPOSITORY_NEEDS, id="host and snapshot"),
    pytest.param(restore(RUN, HOST), REPOSITORY_NEEDS, id="run of a host"),
    pytest.param(restore(POLICY, SNAPSHOT), REPOSITORY_NEEDS, id="snapshot of a policy"),
    pytest.param(restore(RUN, {"volume": "shop_data"}), VOLUME_GOES_WITH, id="volume of a run"),
    pytest.param(restore(REPOSITORY, HOST, target=None), TARGET_NEEDED, id="repository without a target"),
    pytest.param(restore(REPOSITORY, HOST, target={}), TARGET_NEEDED, id="repository with an empty target"),
]
ACCEPTED = [
    *(pytest.param(manifest(kind), id=kind) for kind in SPECS),
    pytest.param(
        manifest("ComposeHost", endpoint="unix:///run/docker.sock", credentialsSecretRef=None),
        id="socket without Secret",
    ),
    pytest.param(manifest("ComposeHost", endpoint="ssh://me@srv1:2222/run/user/1/docker.sock"), id="rootless by ssh"),
    pytest.param(repository(volume={"name": "archives"}), id="repository on a volume"),
    pytest.param(manifest("BackupPolicy", name="n" * 50), id="policy name of 50 characters"),
    pytest.param(manifest("BackupPolicy", schedule=" 0  2 * * 1-5 "), id="cron with spaces around"),
    pytest.param(restore(POLICY, AS_OF), id="policy at a time"),
    pytest.param(restore(REPOSITORY, HOST, AS_OF, {"volume": "shop_data"}), id="one volume of a host at a time"),
    pytest.param(restore(REPOSITORY, SNAPSHOT), id="one snapshot"),
]
IMMUTABLE = "the spec is immutable: create a new object instead"
PLACE_IMMUTABLE = "storage and hostRef are immutable: archives do not move with them; create another ArchiveRepository"
FINAL = "a finished object never leaves its phase"
CHANGED = [
    pytest.param("BackupRun", {"trigger": "Request"}, IMMUTABLE, id="trigger of a run"),
    pytest.param("BackupRun", {"scheduledFor": "2026-10-13T02:00:00Z"}, IMMUTABLE, id="slot added to a run"),
    pytest.param("RestoreRequest", {"existingData": "Mirror"}, IMMUTABLE, id="mode of a restore"),
    pytest.param("RestoreRequest", {"deadlineSeconds": 60}, IMMUTABLE, id="deadline added to a restore"),
    pytest.param("ArchiveRepository", {"hostRef": {"name": "srv2"}}, PLACE_IMMUTABLE, id="host of a repository"),
    pytest.param(
        "ArchiveRepository", {"storage": {"volume": {"name": "other"}}}, PLACE_IMMUTABLE, id="storage of a repository"
    ),
]
ENDED = {"observedGeneration": 1, "phase": "Failed", "completionTime": "2026-10-13T02:10:00Z"}
LEFT = [
    pytest.param({**ENDED, "phase": "Running"}, id="works again"),
    pytest.param({"observedGeneration": 1, "phase": "Failed"}, id="without its time"),
    pytest.param({"observedGeneration": 1}, id="forgotten"),
    pytest.param({**ENDED, "completionTime": "2026-10-13T03:00:00Z"}, id="at another time"),
]


@pytest.mark.parametrize(("document", "message"), REFUSED)
def test_manifest_is_refused_in_words(dry: Kinds, document: Manifest, message: str) -> None:
    assert message in dry.refusal(document)


@pytest.mark.parametrize("document", ACCEPTED)
def test_manifest_is_accepted(dry: Kinds, document: Manifest) -> None:
    assert dry.refusal(document).endswith("created (server dry run)\n")


@pytest.mark.parametrize(("kind", "change", "message"), CHANGED)
def test_change_is_refused_in_words(kinds: Kinds, kind: str, change: dict[str, Any], message: str) -> None:
    kinds.apply(manifest(kind))
    assert message in kinds.refusal(manifest(kind, **change))


@pytest.mark.parametrize("kind", ["BackupRun", "RestoreRequest"])
@pytest.mark.parametrize("status", LEFT)
def test_end_is_never_left(kinds: Kinds, kind: str, status: dict[str, Any]) -> None:
    kinds.apply(manifest(kind))
    kinds.status(manifest(kind), ENDED)
    assert FINAL in kinds.status(manifest(kind), status, check=False)
    assert kinds.get(kind)["status"] == ENDED


def test_end_may_be_told_in_more_words(kinds: Kinds) -> None:
    kinds.apply(manifest("BackupRun"))
    kinds.status(manifest("BackupRun"), ENDED)
    kinds.status(manifest("BackupRun"), {**ENDED, "attempts": 2})
    assert kinds.get("BackupRun")["status"] == {**ENDED, "attempts": 2}


def test_every_rule_is_tried() -> None:
    tried = {param.values[1] for param in REFUSED} | {param.values[2] for param in CHANGED} | {FINAL}
    assert {rule["message"] for rule in rules()} == tried


def rules() -> Iterator[dict[str, str]]:
    """Find all CEL rules in the committed CRDs."""
    for path in installed.CRDS.glob("*.yaml"):
        yield from _rules_in(yaml.safe_load(path.read_text()))


def _rules_in(node: Any) -> Iterator[dict[str, str]]:
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _rules_in(value)
    if isinstance(node, dict):
        yield from node.get("x-kubernetes-validations", ())
