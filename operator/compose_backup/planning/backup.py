"""Whether a run may start, and what it is started with. Called by reconcile/backup_run.py."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass, replace

from compose_backup.api import reasons
from compose_backup.api.backup_policy import MAX_VOLUMES
from compose_backup.api.backup_run import HostChoice, RepositoryChoice, ResolvedRun
from compose_backup.api.conditions import READY
from compose_backup.api.resources import Host, Policy, Repository, Run
from compose_backup.planning import competitors, hooks, humanize, permits, readiness, schedule, turns, window
from compose_backup.planning.checks import Objection, first_objection, if_absent
from compose_backup.planning.competitors import Place, Usage
from compose_backup.planning.facts import Inventory, Volume
from compose_backup.planning.selection import selected
from compose_backup.planning.turns import Party


@dataclass(frozen=True)
class RunFacts:
    """What decides whether a run may start. `host` and `repository` are its policy's, None where there is none."""

    run: Run
    policy: Policy | None
    host: Host | None
    hosts: tuple[Host, ...]
    """All hosts of the cluster: several may be one engine."""
    repository: Repository | None
    inventory: Inventory | None
    repository_volumes: Collection[str]
    others: tuple[Party, ...]
    """All other runs and restores that are not finished."""
    usage: Usage
    """Who uses which volumes of the host, as last seen."""
    now: dt.datetime
    earlier: tuple[Run, ...] = ()
    """Finished runs of the namespace: they tell how long services will be down."""

    @property
    def party(self) -> Party:
        """What the run means to others: by what is on the host, where that was listed for it, else by what is known."""
        party = competitors.of_run(self.run, self.policy, Place(self.host, self.repository, self.usage), self.now)
        if self.inventory is None or self.policy is None or party.began:
            return party
        names = frozenset(volume.name for volume in self.volumes)
        return replace(party, volumes=names, services=self.usage.services("run", names, self.policy.spec.quiesce))

    @property
    def volumes(self) -> tuple[Volume, ...]:
        """The volumes that the policy selects."""
        if self.policy is None or self.inventory is None:
            return ()
        return selected(self.policy.spec.selector, self.inventory, self.repository_volumes)


def policy_missing(facts: RunFacts) -> Objection | None:
    """Object to a run whose policy does not exist, or is another one of the same name."""
    policy, name = facts.policy, facts.run.spec.policy_ref.name
    if policy is None:
        message = f"BackupPolicy {name} does not exist in this namespace; create another run once it is there"
        return Objection(reasons.POLICY_NOT_FOUND, message, if_absent(facts.run, facts.now))
    owners = facts.run.owner_uids
    if owners and policy.uid not in owners:
        return Objection(
            reasons.POLICY_NOT_FOUND, f"the BackupPolicy {name} of this run was deleted and made anew", "fail"
        )
    return None


def too_late(facts: RunFacts) -> Objection | None:
    """Object to a slot that is older than the policy's starting deadline."""
    assert facts.policy
    limit = facts.policy.spec.starting_deadline_seconds
    if limit is None or facts.run.spec.trigger != "Schedule":
        return None
    # A slot is put off by jitter on purpose: only what comes on top of it is late.
    jitter = schedule.jitter_of(facts.policy.uid, facts.policy.spec.jitter_seconds)
    late = facts.now - slot_of(facts.run) - jitter
    if late.total_seconds() <= limit:
        return None
    return Objection(
        reasons.STARTING_DEADLINE_EXCEEDED,
        f"the slot is {humanize.duration(late)} past, and spec.startingDeadlineSeconds of the policy allows {limit} s",
        "skip",
    )


def waited_too_long(facts: RunFacts) -> Objection | None:
    """Object to a run that has used up its deadline before it could start."""
    assert facts.policy
    deadline = deadline_of(facts)
    if deadline is None or facts.now < deadline:
        return None
    return Objection(
        reasons.DEADLINE_EXCEEDED,
        "the run could not start within spec.deadlineSeconds of the policy; "
        f"it waited for: {facts.run.condition(READY)}",
        "fail",
    )


def host_not_ready(facts: RunFacts) -> Objection | None:
    """Object to a host that is missing or does not answer."""
    assert facts.policy
    return readiness.host_not_ready(facts.host, facts.policy.spec.host_ref.name)


def repository_not_ready(facts: RunFacts) -> Objection | None:
    """Object to a repository that is missing, lies on another host, or cannot be opened."""
    assert facts.policy
    spec = facts.policy.spec
    return readiness.repository_not_ready(facts.repository, spec.repository_ref.name, spec.host_ref.name)


def hooks_not_permitted(facts: RunFacts) -> Objection | None:
    """Object to commands that the host does not allow."""
    assert facts.policy and facts.host
    return hooks.not_permitted(facts.policy.spec.hooks, facts.host.spec.permit)


def nothing_matches(facts: RunFacts) -> Objection | None:
    """Object to a selector without a volume: a typing error must not look like a backup."""
    assert facts.policy
    if len(facts.volumes) > MAX_VOLUMES:
        return Objection(
            reasons.INVALID_SPEC,
            f"the selector matches {len(facts.volumes)} volumes, more than {MAX_VOLUMES}; split it",
            "fail",
        )
    if facts.volumes:
        return None
    if facts.policy.spec.selector.allow_empty:
        return Objection(reasons.NOTHING_MATCHES, "no volume matches, which selector.allowEmpty allows", "skip")
    return Objection(
        reasons.NOTHING_MATCHES,
        f"no volume on ComposeHost {facts.policy.spec.host_ref.name} matches spec.selector; compare it with "
        "`docker volume ls`, or set selector.allowEmpty",
        "fail",
    )


def not_its_turn(facts: RunFacts) -> Objection | None:
    """Object while others work on what the run wants, or come first."""
    assert facts.host
    return turns.turn(facts.party, facts.others, turns.room_of(facts.host, facts.hosts))


def volumes_not_permitted(facts: RunFacts) -> Objection | None:
    """Object to volumes of projects that the host does not allow."""
    assert facts.host and facts.inventory
    return permits.volumes_refused(facts.host.spec.permit, facts.volumes, facts.inventory)


def down_for_too_long(facts: RunFacts) -> Objection | None:
    """Object to a run whose services would be down for longer than the policy allows, judged by earlier runs."""
    assert facts.policy
    names = [volume.name for volume in facts.volumes]
    return window.too_long(facts.earlier, facts.policy.uid, names, facts.policy.spec.quiesce)


# What the cluster alone tells comes first: while one run works, those that wait do not ask the engine all the time.
BEFORE_LOOK = (
    policy_missing,
    too_late,
    waited_too_long,
    host_not_ready,
    repository_not_ready,
    hooks_not_permitted,
    not_its_turn,
)
QUESTIONS = (*BEFORE_LOOK, nothing_matches, volumes_not_permitted, down_for_too_long)


def may_look(facts: RunFacts) -> Objection | None:
    """Return why the run would not start now, whatever is on its host, or None."""
    return first_objection(BEFORE_LOOK, facts)


def admit(facts: RunFacts) -> ResolvedRun | Objection:
    """Return what the run is started with, or why it is not started now."""
    if objection := first_objection(QUESTIONS, facts):
        return objection
    policy, host, repository = facts.policy, facts.host, facts.repository
    assert facts.inventory is not None
    assert policy and host and repository and host.status.engine and repository.status.repository_id
    return ResolvedRun(
        policy_uid=policy.uid,
        policy_generation=policy.generation,
        host=HostChoice(name=host.name, uid=host.uid, engine_id=host.status.engine.id),
        repository=RepositoryChoice(
            name=repository.name, uid=repository.uid, repository_id=repository.status.repository_id
        ),
        slot=slot_of(facts.run),
        volumes=tuple(volume.name for volume in facts.volumes),
        quiesce=policy.spec.quiesce,
        hooks=policy.spec.hooks,
        exclude_files=policy.spec.exclude_files,
        retry=policy.spec.retry,
        deadline=deadline_of(facts),
    )


def slot_of(run: Run) -> dt.datetime:
    """Return the time that the snapshots of a run carry."""
    return run.spec.scheduled_for or run.created


def deadline_of(facts: RunFacts) -> dt.datetime | None:
    """Return when the run is ended at the latest."""
    seconds = facts.policy.spec.deadline_seconds if facts.policy else None
    return facts.run.created + dt.timedelta(seconds=seconds) if seconds else None
