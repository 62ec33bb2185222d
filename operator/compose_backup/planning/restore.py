"""What a restore request means, and whether it may start. Called by reconcile/restore_request.py."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from compose_backup.api import reasons
from compose_backup.api.backup_run import HostChoice, RepositoryChoice
from compose_backup.api.conditions import READY
from compose_backup.api.job import CatalogJob, CatalogReport
from compose_backup.api.record import VolumeManifest
from compose_backup.api.resources import Host, Policy, Repository, Restore, Run
from compose_backup.api.restore_request import ResolvedRestore, ResolvedVolume, VolumeDefinition
from compose_backup.planning import competitors, humanize, permits, readiness, restore_source, turns, writers
from compose_backup.planning.checks import Objection, first_objection
from compose_backup.planning.competitors import Place, Usage
from compose_backup.planning.facts import Inventory, Volume
from compose_backup.planning.labels import archive_identity
from compose_backup.planning.selection import is_ours, repository_volumes
from compose_backup.planning.turns import Party

COMPOSE_PREFIX = "com.docker.compose."


@dataclass(frozen=True)
class RestoreFacts:
    """What decides whether a restore may start. `repository` is that of the source."""

    restore: Restore
    source_run: Run | None
    source_policy: Policy | None
    host: Host | None
    hosts: tuple[Host, ...]
    """All hosts of the cluster: several may be one engine."""
    repository: Repository | None
    repository_volumes: Collection[str]
    """The volumes of the host that hold a repository."""
    inventory: Inventory | None
    others: tuple[Party, ...]
    """All other runs and restores that are not finished."""
    usage: Usage
    """Who uses which volumes of the host, as last seen."""
    now: dt.datetime


def describe_source(restore: Restore) -> str:
    """Return the source in short, for a column."""
    source = restore.spec.source
    if source.run_ref:
        return source.run_ref.name
    at = f"@{source.as_of:%Y-%m-%dT%H:%MZ}" if source.as_of else ""
    if source.policy_ref:
        return f"{source.policy_ref.name}{at}"
    assert source.repository_ref
    return f"{source.repository_ref.name}:{source.snapshot_id or source.host}{at}"


def expired(facts: RestoreFacts) -> Objection | None:
    """Object to a request that is applied again after its time."""
    limit = facts.restore.spec.start_before
    if limit is None or facts.now <= limit:
        return None
    return Objection(
        reasons.EXPIRED,
        f"spec.startBefore {limit:%Y-%m-%dT%H:%M:%SZ} had passed before the restore could start; nothing was touched; "
        "create another request if it is still wanted",
        "skip",
    )


def waited_too_long(facts: RestoreFacts) -> Objection | None:
    """Object to a request that has used up its deadline before it could start."""
    deadline = deadline_of(facts.restore)
    if deadline is None or facts.now < deadline:
        return None
    return Objection(
        reasons.DEADLINE_EXCEEDED,
        f"the restore could not start within spec.deadlineSeconds; it waited for: {facts.restore.condition(READY)}",
        "fail",
    )


def source_missing(facts: RestoreFacts) -> Objection | None:
    """Object to a run or policy that does not exist, or to a run that cannot be restored."""
    return restore_source.missing(facts.restore, facts.source_run, facts.source_policy, facts.now)


def repository_not_ready(facts: RestoreFacts) -> Objection | None:
    """Object to a repository that is missing, on another host, or cannot be opened."""
    name = restore_source.repository_name(facts.restore, facts.source_run, facts.source_policy)
    return readiness.repository_not_ready(facts.repository, name, facts.host.name if facts.host else None)


def host_not_ready(facts: RestoreFacts) -> Objection | None:
    """Object to a host that is missing or does not answer."""
    name = restore_source.host_name(facts.restore, facts.source_run, facts.source_policy)
    if objection := readiness.host_not_ready(facts.host, name):
        return objection
    if facts.inventory is None:
        return Objection(reasons.HOST_NOT_READY, f"the volumes of ComposeHost {name} were not listed yet")
    return None


BEFORE_SEARCH = (expired, waited_too_long, source_missing, host_not_ready, repository_not_ready)


def may_search(facts: RestoreFacts) -> Objection | None:
    """Return why the repository cannot be searched for the source now, or None."""
    return first_objection(BEFORE_SEARCH, facts)


def search(facts: RestoreFacts, cluster_name: str) -> CatalogJob:
    """Return what is looked for in the repository: records decide, never the objects of the cluster."""
    source, namespace = facts.restore.spec.source, facts.restore.namespace
    if source.run_ref:
        assert facts.source_run
        return CatalogJob(run_uid=facts.source_run.uid)
    if source.policy_ref:
        assert facts.source_policy
        return CatalogJob(
            policy=f"{namespace}/{source.policy_ref.name}",
            host=archive_identity(cluster_name, namespace, facts.source_policy.spec.host_ref.name),
            as_of=source.as_of,
        )
    return CatalogJob(host=source.host, volume=source.volume, as_of=source.as_of, snapshot_id=source.snapshot_id)


@dataclass(frozen=True)
class Candidate:
    """One volume in the archive."""

    volume: str
    snapshot_id: str
    manifest: VolumeManifest | None


def resolve(facts: RestoreFacts, found: CatalogReport) -> ResolvedRestore | Objection:
    """Return what the restore is started with, or why the source cannot give it."""
    candidates = {candidate.volume: candidate for candidate in _candidates(facts, found)}
    if not candidates:
        return _nothing_found(facts)
    wanted = [(m.source, m.target or m.source) for m in facts.restore.spec.target.volumes]
    pairs = wanted or [(name, name) for name in sorted(candidates)]
    if missing := sorted({source for source, _ in pairs} - candidates.keys()):
        return Objection(
            reasons.VOLUME_NOT_IN_SOURCE,
            f"the source holds no good archive of {humanize.listed(missing)}; "
            f"it holds {humanize.listed(sorted(candidates))}",
            "fail",
        )
    targets = [target for _, target in pairs]
    if doubled := sorted({target for target in targets if targets.count(target) > 1}):
        return Objection(
            reasons.INVALID_SPEC, f"spec.target.volumes names {humanize.listed(doubled)} twice as a target", "fail"
        )
    if objection := _holds_archives(facts, targets):
        return objection
    volumes = [_resolved(facts, candidates[source], target) for source, target in pairs]
    if objection := next((volume for volume in volumes if isinstance(volume, Objection)), None):
        return objection
    assert facts.host and facts.host.status.engine and facts.repository and facts.repository.status.repository_id
    return ResolvedRestore(
        host=HostChoice(name=facts.host.name, uid=facts.host.uid, engine_id=facts.host.status.engine.id),
        repository=RepositoryChoice(
            name=facts.repository.name,
            uid=facts.repository.uid,
            repository_id=facts.repository.status.repository_id,
        ),
        run=found.record.run if found.record else None,
        time=found.record.slot if found.record else found.snapshot.time if found.snapshot else facts.now,
        volumes=tuple(volume for volume in volumes if isinstance(volume, ResolvedVolume)),
        deadline=deadline_of(facts.restore),
    )


def _candidates(facts: RestoreFacts, found: CatalogReport) -> list[Candidate]:
    if found.snapshot:
        return [Candidate(found.snapshot.volume, found.snapshot.snapshot_id, found.snapshot.manifest)]
    if found.record is None:
        return []
    only = facts.restore.spec.source.volume
    return [
        Candidate(volume.result.name, volume.result.snapshot_id, volume.manifest)
        for volume in found.record.volumes
        if volume.result.snapshot_id and volume.result.phase != "Failed" and only in (None, volume.result.name)
    ]


def _holds_archives(facts: RestoreFacts, targets: list[str]) -> Objection | None:
    """Object to a target that holds a repository, or is ours: `Mirror` would delete the archives of others."""
    assert facts.inventory
    mine = {volume.name for volume in facts.inventory.volumes if is_ours(volume)}
    held = {*facts.repository_volumes, *repository_volumes(facts.inventory), *mine}
    if not (wrong := sorted(held.intersection(targets))):
        return None
    return Objection(
        reasons.INVALID_SPEC,
        f"spec.target.volumes names {humanize.listed(wrong)}, which holds a repository or belongs to the operator; "
        "choose another target",
        "fail",
    )


def _nothing_found(facts: RestoreFacts) -> Objection:
    source = facts.restore.spec.source
    if source.snapshot_id:
        return Objection(
            reasons.SNAPSHOT_NOT_FOUND, f"the repository holds no snapshot {source.snapshot_id} of a volume", "fail"
        )
    at = f" at or before {source.as_of:%Y-%m-%dT%H:%M:%SZ}" if source.as_of else ""
    return Objection(
        reasons.NO_GOOD_RUN,
        f"the repository holds no good run of {describe_source(facts.restore)}{at}; "
        "`restic snapshots --tag kind=record` lists what there is",
        "fail",
    )


def _resolved(facts: RestoreFacts, candidate: Candidate, target: str) -> ResolvedVolume | Objection:
    assert facts.inventory
    definition = None
    if facts.inventory.volume(target) is None:
        if candidate.manifest is None:
            return Objection(
                reasons.VOLUME_NOT_FOUND,
                f"volume {target} does not exist, and the archive has no manifest to make it from; create it, then "
                "restore",
                "fail",
            )
        definition = definition_of(candidate.manifest, target)
    return ResolvedVolume(
        source=candidate.volume, target=target, snapshot_id=candidate.snapshot_id, definition=definition
    )


def definition_of(manifest: VolumeManifest, target: str) -> VolumeDefinition:
    """Return how a missing volume is made: driver, options and labels verbatim.

    Under another name the labels of Compose are left out, since they name the volume of the old one: with a hash that
    does not fit its file, Compose offers to recreate a volume, without data (docker/compose, pkg/compose/reconcile.go).
    """
    labels = dict(manifest.labels)
    if target != manifest.volume:
        labels = {key: value for key, value in labels.items() if not key.startswith(COMPOSE_PREFIX)}
    return VolumeDefinition(driver=manifest.driver, options=dict(manifest.options), labels=labels)


def volumes_in_use(facts: RestoreFacts) -> Objection | None:
    """Object while a running container uses a target and is not to be stopped: it would see data that is half there."""
    assert facts.inventory and facts.restore.status.resolved
    if facts.restore.spec.quiesce == "Stop":
        return None  # planning/quiescing.py says who goes down
    users = [
        f"{container.title} ({target})"
        for target in (volume.target for volume in facts.restore.status.resolved.volumes)
        if (volume := facts.inventory.volume(target))
        for container in writers.users(volume, facts.inventory)
        if writers.is_active(container)
    ]
    if not users:
        return None
    return Objection(
        reasons.VOLUME_IN_USE,
        f"running containers hold the target volumes: {humanize.listed(sorted(users))}; stop them, the restore then "
        "starts",
    )


def not_permitted(facts: RestoreFacts) -> Objection | None:
    """Object to targets of projects that the host does not allow, missing ones included."""
    assert facts.host and facts.inventory and facts.restore.status.resolved
    targets = [
        facts.inventory.volume(one.target) or Volume(one.target, labels=one.definition.labels if one.definition else {})
        for one in facts.restore.status.resolved.volumes
    ]
    return permits.volumes_refused(facts.host.spec.permit, targets, facts.inventory)


def host_changed(facts: RestoreFacts) -> Objection | None:
    """Object to another engine under the name of the host: volumes of the same names there are not the ones."""
    assert facts.restore.status.resolved
    host, chosen = facts.host, facts.restore.status.resolved.host
    if host is None or (host.uid == chosen.uid and host.status.engine and host.status.engine.id == chosen.engine_id):
        return None
    return Objection(
        reasons.HOST_NOT_FOUND,
        f"ComposeHost {host.name} is another engine than when the request was resolved; nothing was written; make a "
        "new RestoreRequest",
        "fail",
    )


def not_its_turn(facts: RestoreFacts) -> Objection | None:
    """Object while others work on the targets, or come first."""
    party = competitors.of_restore(facts.restore, Place(facts.host, facts.repository, facts.usage))
    assert facts.host and party
    return turns.turn(party, facts.others, turns.room_of(facts.host, facts.hosts))


BEFORE_START = (
    expired,
    waited_too_long,
    host_not_ready,
    host_changed,
    not_permitted,
    not_its_turn,
    volumes_in_use,
)


def may_start(facts: RestoreFacts) -> Objection | None:
    """Return why a resolved restore does not start now, or None."""
    return first_objection(BEFORE_START, facts)


def deadline_of(restore: Restore) -> dt.datetime | None:
    """Return when the restore is ended at the latest."""
    seconds = restore.spec.deadline_seconds
    return restore.created + dt.timedelta(seconds=seconds) if seconds else None
