"""Objects of the five kinds as a healthy cluster has them, to be changed by `replace`, `spec` and `status`.

Used by the tests of planning/ and reconcile/.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from compose_backup.api import kinds
from compose_backup.api.archive_repository import ArchiveRepositorySpec, ArchiveRepositoryStatus
from compose_backup.api.backup_policy import BackupPolicySpec
from compose_backup.api.backup_run import BackupRunSpec, HostChoice, RepositoryChoice, ResolvedRun
from compose_backup.api.base import API_VERSION, Model
from compose_backup.api.compose_host import ComposeHostSpec, ComposeHostStatus, EngineFacts
from compose_backup.api.conditions import READY, Condition
from compose_backup.api.kinds import Kind
from compose_backup.api.resources import Host, Policy, Repository, Resource, Restore, Run, parse
from compose_backup.api.restore_request import ResolvedRestore, ResolvedVolume, RestoreRequestSpec
from compose_backup.planning import competitors
from compose_backup.planning.competitors import Place
from compose_backup.planning.turns import Party

NAMESPACE = "prod"
CREATED = dt.datetime(2026, 10, 12, 12, 0, tzinfo=dt.UTC)
ENGINE = EngineFacts(id="engine-1", version="28.5.2", api_version="1.51", operating_system="Debian 12")
REPOSITORY_ID = "5e" * 32

ResourceT = TypeVar("ResourceT", bound=Resource[Any, Any])


def body(
    kind: Kind,
    name: str,
    wanted: Model,
    *,
    uid: str | None = None,
    owners: Sequence[str] = (),
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return an object as a person applies it, with the metadata that the API server would add where a UID is given."""
    metadata: dict[str, Any] = {"namespace": NAMESPACE, "name": name, "annotations": dict(annotations or {})}
    if owners:
        metadata["ownerReferences"] = [{"uid": owner} for owner in owners]
    if uid:
        created = CREATED.strftime("%Y-%m-%dT%H:%M:%SZ")
        metadata |= {"uid": uid, "generation": 1, "resourceVersion": "1", "creationTimestamp": created}
    return {"apiVersion": API_VERSION, "kind": kind.name, "metadata": metadata, "spec": wanted.to_wire()}


def spec(resource: ResourceT, **changes: Any) -> ResourceT:
    """Return the object with other fields in its spec, which is the same generation to everybody."""
    return replace(resource, spec=resource.spec.model_copy(update=changes))


def status(resource: ResourceT, **changes: Any) -> ResourceT:
    """Return the object with other fields in its status."""
    return replace(resource, status=resource.status.model_copy(update=changes))


def ready(truth: str = "True", reason: str = "Connected", message: str = "all is well") -> tuple[Condition, ...]:
    """Return the condition Ready of the first generation."""
    given = {"type": READY, "status": truth, "reason": reason, "message": message}
    return (Condition.model_validate({**given, "observed_generation": 1, "last_transition_time": CREATED}),)


def host_spec(**changes: Any) -> ComposeHostSpec:
    """Return how srv1 is reached."""
    return ComposeHostSpec.model_validate(
        {"endpoint": "unix:///srv1.sock", "permit": {"hostPaths": ["/srv/backups"]}} | changes
    )


def repository_spec(**changes: Any) -> ArchiveRepositorySpec:
    """Return a repository in a directory of srv1."""
    return ArchiveRepositorySpec.model_validate(
        {
            "restic": {"passwordSecretRef": {"name": "restic"}},
            "storage": {"hostPath": {"path": "/srv/backups/main"}},
            "hostRef": {"name": "srv1"},
        }
        | changes
    )


def policy_spec(**changes: Any) -> BackupPolicySpec:
    """Return a policy that archives all volumes of srv1 every night at two."""
    references = {"hostRef": {"name": "srv1"}, "repositoryRef": {"name": "main"}}
    return BackupPolicySpec.model_validate({**references, "schedule": "0 2 * * *"} | changes)


def restore_spec(**changes: Any) -> RestoreRequestSpec:
    """Return a request for the newest good run of the policy nightly."""
    return RestoreRequestSpec.model_validate({"source": {"policyRef": {"name": "nightly"}}} | changes)


def host(name: str = "srv1", **changes: Any) -> Host:
    """Return a host that answers."""
    found: Host = parse(kinds.COMPOSE_HOST, body(kinds.COMPOSE_HOST, name, host_spec(**changes), uid=f"uid-of-{name}"))
    return replace(found, status=ComposeHostStatus(observed_generation=1, conditions=ready(), engine=ENGINE))


def repository(name: str = "main", **changes: Any) -> Repository:
    """Return a repository that was opened."""
    wanted = body(kinds.ARCHIVE_REPOSITORY, name, repository_spec(**changes), uid=f"uid-of-{name}")
    found: Repository = parse(kinds.ARCHIVE_REPOSITORY, wanted)
    seen = ArchiveRepositoryStatus(
        observed_generation=1,
        conditions=ready(reason="Opened"),
        repository_id=REPOSITORY_ID,
        snapshots=0,
        last_probe_time=CREATED,
        credentials_version="1",
    )
    return replace(found, status=seen)


def policy(name: str = "nightly", annotations: Mapping[str, str] | None = None, **changes: Any) -> Policy:
    """Return a policy that nobody has looked at yet."""
    wanted = body(kinds.BACKUP_POLICY, name, policy_spec(**changes), uid=f"uid-of-{name}", annotations=annotations)
    found: Policy = parse(kinds.BACKUP_POLICY, wanted)
    return found


def run(
    name: str = "nightly-202610130200",
    slot: dt.datetime | None = dt.datetime(2026, 10, 13, 2, 0, tzinfo=dt.UTC),
    annotations: Mapping[str, str] | None = None,
    **changes: Any,
) -> Run:
    """Return a run of the policy nightly that has not begun."""
    given = {"policyRef": {"name": "nightly"}, "trigger": "Schedule", "scheduledFor": slot}
    wanted = BackupRunSpec.model_validate(given | changes)
    owners = ("uid-of-nightly",)
    made = body(kinds.BACKUP_RUN, name, wanted, uid=f"uid-of-{name}", owners=owners, annotations=annotations)
    found: Run = parse(kinds.BACKUP_RUN, made)
    return found


def restore(name: str = "rescue", annotations: Mapping[str, str] | None = None, **changes: Any) -> Restore:
    """Return a request that has not begun."""
    wanted = body(kinds.RESTORE_REQUEST, name, restore_spec(**changes), uid=f"uid-of-{name}", annotations=annotations)
    found: Restore = parse(kinds.RESTORE_REQUEST, wanted)
    return found


def resolved_run(*volumes: str, engine_id: str = "engine-1", **changes: Any) -> ResolvedRun:
    """Return what a run on srv1 was started with."""
    given = ResolvedRun(
        policy_uid="uid-of-nightly",
        policy_generation=1,
        host=HostChoice(name="srv1", uid="uid-of-srv1", engine_id=engine_id),
        repository=RepositoryChoice(name="main", uid="uid-of-main", repository_id=REPOSITORY_ID),
        slot=dt.datetime(2026, 10, 13, 2, 0, tzinfo=dt.UTC),
        volumes=volumes,
    )
    return given.model_copy(update=changes)


def resolved_restore(*targets: str, engine_id: str = "engine-1", **changes: Any) -> ResolvedRestore:
    """Return what a restore on srv1 was started with."""
    given = ResolvedRestore(
        host=HostChoice(name="srv1", uid="uid-of-srv1", engine_id=engine_id),
        repository=RepositoryChoice(name="main", uid="uid-of-main", repository_id=REPOSITORY_ID),
        run="nightly-202610130200",
        time=dt.datetime(2026, 10, 13, 2, 0, tzinfo=dt.UTC),
        volumes=tuple(ResolvedVolume(source=name, target=name, snapshot_id="aa" * 32) for name in targets),
    )
    return given.model_copy(update=changes)


def parties(*others: Run | Restore) -> tuple[Party, ...]:
    """Return what other runs and restores on srv1 mean to one that asks, when nothing is known of who uses what."""
    place = Place(host(), repository())
    found: list[Any] = [*others]
    parties = (
        competitors.of_run(one, None, place, CREATED)
        if one.kind is kinds.BACKUP_RUN
        else competitors.of_restore(one, place)
        for one in found
    )
    return tuple(party for party in parties if party)
