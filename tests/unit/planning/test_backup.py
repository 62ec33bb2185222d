"""Whether a run may start, what it is started with, and how an attempt ends it."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any, get_args

import pytest

from compose_backup.api import reasons
from compose_backup.api.backup_policy import Retry
from compose_backup.api.backup_run import BackupRunStatus, Failure, VolumeResult
from compose_backup.api.job import BackupReport, Report
from compose_backup.api.record import Verdict
from compose_backup.api.resources import Host
from compose_backup.planning import backup
from compose_backup.planning.backup import RunFacts, admit, after_attempt, may_look
from compose_backup.planning.checks import Objection
from compose_backup.planning.facts import Inventory, Volume
from fakes import objects
from fakes.objects import REPOSITORY_ID, resolved_restore, resolved_run, spec, status

SLOT = dt.datetime(2026, 10, 13, 2, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
RUN = replace(objects.run(), created=SLOT)
HOST = objects.host()
BASELINE = RunFacts(
    run=RUN,
    policy=objects.policy(),
    host=HOST,
    hosts=(HOST,),
    repository=objects.repository(),
    inventory=Inventory((Volume("shop_data"), Volume("shop_db"))),
    repository_volumes=(),
    runs=(),
    restores=(),
    now=SLOT + MINUTE,
)
UNREADY = {"conditions": objects.ready("False", "Unreachable", "no answer")}
ACTIVE = status(objects.run("weekly-1", policyRef={"name": "weekly"}), phase="Running", resolved=resolved_run("other"))
RESTORING = status(objects.restore(), phase="Running", resolved=resolved_restore("shop_db"))
ROOMY = spec(HOST, max_concurrent_runs=3)
TWIN = replace(objects.host("srv1-too", maxConcurrentRuns=1), namespace="test")


def policy(**changes: Any) -> RunFacts:
    return replace(BASELINE, policy=objects.policy(**changes))


def alone_on(host: Host, *others: Host) -> RunFacts:
    return replace(BASELINE, host=host, hosts=(host, *others))


OBJECTIONS = [
    pytest.param(replace(BASELINE, policy=None), reasons.POLICY_NOT_FOUND, "fail", id="no policy"),
    pytest.param(
        replace(BASELINE, run=replace(RUN, owner_uids=frozenset({"uid-of-another"}))),
        reasons.POLICY_NOT_FOUND,
        "fail",
        id="the policy was made anew under its name",
    ),
    pytest.param(
        replace(policy(startingDeadlineSeconds=59)),
        reasons.STARTING_DEADLINE_EXCEEDED,
        "skip",
        id="the slot is too old",
    ),
    pytest.param(policy(deadlineSeconds=60), reasons.DEADLINE_EXCEEDED, "fail", id="it has waited for too long"),
    pytest.param(
        replace(BASELINE, runs=(status(objects.run("nightly-x"), resolved=resolved_run("a")),)),
        reasons.PENDING,
        "wait",
        id="another run of the policy is at work",
    ),
    pytest.param(
        replace(BASELINE, runs=(replace(objects.run("nightly-x"), created=SLOT - MINUTE),)),
        reasons.PENDING,
        "wait",
        id="an older run of the policy waits",
    ),
    pytest.param(
        replace(BASELINE, runs=(replace(objects.run("nightly-202610130100"), created=SLOT),)),
        reasons.PENDING,
        "wait",
        id="of two runs of one second the first by name goes first",
    ),
    pytest.param(replace(BASELINE, host=None), reasons.HOST_NOT_FOUND, "wait", id="no host"),
    pytest.param(replace(BASELINE, host=status(HOST, **UNREADY)), reasons.HOST_NOT_READY, "wait", id="host is away"),
    pytest.param(
        replace(BASELINE, host=replace(HOST, generation=2)), reasons.HOST_NOT_READY, "wait", id="host was just edited"
    ),
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
    pytest.param(replace(BASELINE, runs=(ACTIVE,)), reasons.HOST_BUSY, "wait", id="the engine has its one run"),
    pytest.param(
        replace(BASELINE, restores=(status(RESTORING, resolved=resolved_restore("x")),)),
        reasons.HOST_BUSY,
        "wait",
        id="a restore counts as well",
    ),
    pytest.param(
        replace(alone_on(ROOMY, TWIN), runs=(ACTIVE,)),
        reasons.HOST_BUSY,
        "wait",
        id="of two hosts on one engine the smaller number wins",
    ),
    pytest.param(policy(selector={"volumes": ["shp*"]}), reasons.NOTHING_MATCHES, "fail", id="nothing matches"),
    pytest.param(
        policy(selector={"volumes": ["shp*"], "allowEmpty": True}),
        reasons.NOTHING_MATCHES,
        "skip",
        id="nothing matches, and may",
    ),
    pytest.param(
        replace(BASELINE, inventory=Inventory(tuple(Volume(f"v{number}") for number in range(257)))),
        reasons.INVALID_SPEC,
        "fail",
        id="more volumes than a status holds",
    ),
    pytest.param(
        replace(alone_on(ROOMY), restores=(RESTORING,)),
        reasons.RESTORE_ACTIVE,
        "wait",
        id="a restore writes to a volume",
    ),
]


@pytest.mark.parametrize(("facts", "reason", "then"), OBJECTIONS)
def test_each_question_objects(facts: RunFacts, reason: str, then: str) -> None:
    verdict = admit(facts)
    assert isinstance(verdict, Objection)
    assert (verdict.reason, verdict.then) == (reason, then)


def test_questions_are_asked_in_this_order() -> None:
    facts, reasons_given = BASELINE, []
    for parameter in reversed(OBJECTIONS):
        worse: Any = parameter.values[0]
        changes = {key: value for key, value in vars(worse).items() if value != vars(BASELINE)[key]}
        if parameter.id in SIMPLEST:
            facts = replace(facts, **changes)
            verdict = admit(facts)
            assert isinstance(verdict, Objection)
            reasons_given.append(verdict.reason)
    assert reasons_given == [
        reasons.HOST_BUSY,
        reasons.REPOSITORY_NOT_FOUND,
        reasons.HOST_NOT_FOUND,
        reasons.PENDING,
        reasons.DEADLINE_EXCEEDED,
        reasons.POLICY_NOT_FOUND,
    ]


SIMPLEST = {
    "no policy",
    "it has waited for too long",
    "an older run of the policy waits",
    "no host",
    "no repository",
    "a restore counts as well",
}


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(BASELINE, id="all is well"),
        pytest.param(replace(BASELINE, run=replace(RUN, owner_uids=frozenset())), id="made by hand"),
        pytest.param(policy(startingDeadlineSeconds=60), id="late, but not too late"),
        pytest.param(
            replace(policy(startingDeadlineSeconds=60, jitterSeconds=7200), now=SLOT + 30 * MINUTE),
            id="jitter is no delay",
        ),
        pytest.param(
            replace(policy(startingDeadlineSeconds=1), run=replace(objects.run(trigger="Request"), created=SLOT)),
            id="a request has no starting deadline",
        ),
        pytest.param(
            replace(BASELINE, runs=(replace(objects.run("nightly-y"), created=SLOT + MINUTE),)),
            id="a younger run waits",
        ),
        pytest.param(
            replace(BASELINE, runs=(replace(objects.run("nightly-a"), namespace="test", created=SLOT - MINUTE),)),
            id="another namespace has a policy of this name",
        ),
        pytest.param(replace(alone_on(ROOMY), runs=(ACTIVE,)), id="the engine has room"),
        pytest.param(
            replace(BASELINE, runs=(status(ACTIVE, resolved=resolved_run("other", engine_id="engine-2")),)),
            id="work on another engine",
        ),
        pytest.param(replace(BASELINE, runs=(status(ACTIVE, phase="Pending"),)), id="waiting is no work"),
        pytest.param(
            replace(alone_on(ROOMY), restores=(status(RESTORING, resolved=resolved_restore("else")),)),
            id="a restore writes to another volume",
        ),
        pytest.param(
            replace(BASELINE, restores=(status(RESTORING, phase="Pending"),)), id="a restore that waits stops nobody"
        ),
    ],
)
def test_admitted(facts: RunFacts) -> None:
    verdict = admit(facts)
    assert not isinstance(verdict, Objection), verdict
    assert verdict.volumes == ("shop_data", "shop_db")
    assert may_look(replace(facts, inventory=None)) is None


def test_what_a_run_is_started_with_is_pinned() -> None:
    changes = {"deadlineSeconds": 3600, "excludeFiles": ["*.log"], "retry": {"limit": 3}, "quiesce": {"method": "None"}}
    verdict = admit(policy(**changes))
    assert not isinstance(verdict, Objection)
    assert verdict.policy_uid == "uid-of-nightly" and verdict.host.engine_id == "engine-1"
    assert verdict.repository.repository_id == REPOSITORY_ID and verdict.slot == SLOT
    assert verdict.deadline == SLOT + 60 * MINUTE and verdict.exclude_files == ("*.log",)
    assert verdict.retry.limit == 3 and verdict.live_copy_allowed


def test_a_live_copy_must_be_asked_for() -> None:
    verdict = admit(BASELINE)
    assert not isinstance(verdict, Objection) and not verdict.live_copy_allowed


def test_the_slot_of_a_run_made_by_hand_is_its_creation() -> None:
    assert backup.slot_of(replace(objects.run(slot=None), created=SLOT)) == SLOT


# ----------------------------------------------------------------------------------------------------------------------

LOST = Failure(reason=reasons.AGENT_LOST, message="gone", retryable=True)
FULL = Failure(reason=reasons.DISK_FULL, message="full", retryable=False)
GOOD = VolumeResult(name="shop_data", phase="Succeeded", snapshot_id="aa", consistency="Stopped", bytes_processed=2048)
WHOLE = BackupReport(verdict="Succeeded", volumes=(GOOD,), record_id="rr")
STARTED = BackupRunStatus(
    phase="Running",
    attempts=1,
    start_time=SLOT,
    resolved=resolved_run("shop_data", retry=Retry(limit=2, backoff_seconds=60)),
)


def partly(**changes: Any) -> BackupReport:
    return WHOLE.model_copy(update={"verdict": "PartiallyFailed", **changes})


@pytest.mark.parametrize(
    ("attempts", "report", "phase", "retry_after"),
    [
        pytest.param(1, Report(backup=WHOLE), "Succeeded", None, id="a record makes a run good"),
        pytest.param(1, Report(failure=LOST), None, 60, id="a failure that may pass is tried again"),
        pytest.param(2, Report(failure=LOST), None, 120, id="the pause doubles"),
        pytest.param(3, Report(failure=LOST), "Failed", None, id="the limit is kept"),
        pytest.param(1, Report(failure=FULL), "Failed", None, id="one that stays is not"),
        pytest.param(1, Report(backup=partly(), failure=FULL), "PartiallyFailed", None, id="some data is archived"),
        pytest.param(
            1,
            Report(backup=partly(record_id=None), failure=FULL),
            "Failed",
            None,
            id="partly without a record is nothing",
        ),
        pytest.param(3, Report(backup=partly(), failure=LOST), "PartiallyFailed", None, id="partly after the last try"),
        pytest.param(3, Report(), "Failed", None, id="an empty report"),
        pytest.param(3, Report(backup=WHOLE.model_copy(update={"record_id": None})), "Failed", None, id="no record"),
        pytest.param(3, Report(backup=WHOLE.model_copy(update={"volumes": ()})), "Failed", None, id="no volume"),
        pytest.param(
            3,
            Report(backup=WHOLE.model_copy(update={"volumes": (GOOD.model_copy(update={"phase": "Failed"}),)})),
            "Failed",
            None,
            id="a volume that failed under a good verdict",
        ),
        pytest.param(
            3,
            Report(backup=WHOLE.model_copy(update={"volumes": (GOOD.model_copy(update={"name": "another"}),)})),
            "Failed",
            None,
            id="a volume of the run is not in the report",
        ),
    ],
)
def test_after_attempt(attempts: int, report: Report, phase: str | None, retry_after: int | None) -> None:
    now = SLOT + 5 * MINUTE
    after = after_attempt(STARTED.model_copy(update={"attempts": attempts}), report, "", now)
    if retry_after:
        assert after.retry_at == now + dt.timedelta(seconds=retry_after)
        assert (after.phase, after.completion_time, after.agent) == ("Running", None, None)
    else:
        assert (after.phase, after.completion_time, after.duration) == (phase, now, "5m0s")
        assert (after.failure is None) == (phase == "Succeeded")


@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_only_a_good_verdict_without_a_failure_is_green(verdict: Verdict) -> None:
    report = Report(backup=WHOLE.model_copy(update={"verdict": verdict}))
    after = after_attempt(STARTED.model_copy(update={"attempts": 9}), report, "", SLOT)
    assert (after.phase == "Succeeded") == (verdict == "Succeeded")


def test_results_are_told_in_columns() -> None:
    live = GOOD.model_copy(update={"name": "b", "consistency": "Live", "bytes_added": 1536})
    after = after_attempt(STARTED, Report(backup=WHOLE.model_copy(update={"volumes": (GOOD, live)})), "tail", SLOT)
    assert (after.consistency, after.size, after.added, after.record) == ("Live", "4.0 KiB", "1.5 KiB", "rr")
    assert after.log_tail == "tail"
