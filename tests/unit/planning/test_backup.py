"""Whether a run may start, and what it is started with."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from compose_backup.api import reasons
from compose_backup.api.backup_policy import Quiesce
from compose_backup.api.backup_run import QuiescedService, QuiesceResult
from compose_backup.api.compose_host import Permit
from compose_backup.api.resources import Host, Run
from compose_backup.planning import backup, window
from compose_backup.planning.backup import RunFacts, admit, may_look
from compose_backup.planning.checks import Objection
from compose_backup.planning.competitors import NOTHING_SEEN, Usage
from compose_backup.planning.facts import PROJECT_LABEL, SERVICE_LABEL, Container, Inventory, Mount, Volume
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
    others=(),
    usage=NOTHING_SEEN,
    now=SLOT + MINUTE,
)
UNREADY = {"conditions": objects.ready("False", "Unreachable", "no answer")}
ACTIVE = status(objects.run("weekly-1", policyRef={"name": "weekly"}), phase="Running", resolved=resolved_run("other"))
RESTORING = status(objects.restore(), phase="Running", resolved=resolved_restore("shop_db"))
WAITS = status(ACTIVE, phase="Pending")
READING = status(ACTIVE, resolved=resolved_run("shop_db"))
HELD_UP = objects.ready("Unknown", reasons.VOLUME_IN_USE, "stop them")
DATABASE = Container(
    "db",
    "shop-db-1",
    "i",
    "running",
    labels={PROJECT_LABEL: "shop", SERVICE_LABEL: "db"},
    mounts=(Mount("shop_data", "/", True),),
)
STOPPING = replace(*objects.parties(ACTIVE), services=frozenset({"shop/db"}))
SHOP = Usage(Inventory((Volume("shop_data"),), (DATABASE,)))
ROOMY = spec(HOST, max_concurrent_runs=3)
TWIN = replace(objects.host("srv1-too", maxConcurrentRuns=1), namespace="test")


ALLOWS_OTHERS = spec(HOST, permit=Permit(projects=("blog-*",)))
HOOK = {"project": "shop", "service": "db", "command": ["true"]}


def down_for(seconds: float, **changes: Any) -> Run:
    """Return a good run of the policy whose services were down for so long."""
    measured = QuiesceResult(
        method="Stop",
        services=(QuiescedService(container="db", service="shop/db", method="Stop"),),
        downtime_seconds=seconds,
    )
    given = {"phase": "Succeeded", "resolved": resolved_run("shop_data", "shop_db"), "quiesce": measured} | changes
    return status(objects.run(f"nightly-{seconds}"), **given)


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
        replace(BASELINE, others=objects.parties(status(objects.run("nightly-x"), resolved=resolved_run("a")))),
        reasons.PENDING,
        "wait",
        id="another run of the policy is at work",
    ),
    pytest.param(
        replace(BASELINE, others=objects.parties(replace(objects.run("nightly-x"), created=SLOT - MINUTE))),
        reasons.PENDING,
        "wait",
        id="an older run of the policy waits",
    ),
    pytest.param(
        replace(BASELINE, others=objects.parties(replace(objects.run("nightly-202610130100"), created=SLOT))),
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
    pytest.param(
        replace(BASELINE, others=objects.parties(ACTIVE)), reasons.HOST_BUSY, "wait", id="the engine has its one run"
    ),
    pytest.param(
        replace(BASELINE, others=objects.parties(status(RESTORING, resolved=resolved_restore("x")))),
        reasons.HOST_BUSY,
        "wait",
        id="a restore counts as well",
    ),
    pytest.param(
        replace(alone_on(ROOMY, TWIN), others=objects.parties(ACTIVE)),
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
        replace(alone_on(ROOMY), others=objects.parties(RESTORING)),
        reasons.RESTORE_ACTIVE,
        "wait",
        id="a restore writes to a volume",
    ),
    pytest.param(
        replace(alone_on(ROOMY), others=objects.parties(status(RESTORING, phase="Resuming"))),
        reasons.RESTORE_ACTIVE,
        "wait",
        id="a restore starts its services again",
    ),
    pytest.param(
        replace(alone_on(ROOMY), others=objects.parties(status(RESTORING, phase="Pending"))),
        reasons.RESTORE_ACTIVE,
        "wait",
        id="a restore waits for its turn",
    ),
    pytest.param(
        replace(alone_on(ROOMY), others=objects.parties(READING)), reasons.VOLUMES_BUSY, "wait", id="a backup reads"
    ),
    pytest.param(
        replace(
            alone_on(ROOMY), others=(replace(*objects.parties(ACTIVE), services=frozenset({"shop/db"})),), usage=SHOP
        ),
        reasons.SERVICES_BUSY,
        "wait",
        id="its service is down for another policy",
    ),
    pytest.param(
        replace(BASELINE, others=objects.parties(status(ACTIVE, phase="Resuming"))),
        reasons.HOST_BUSY,
        "wait",
        id="the engine's one run starts its services again",
    ),
    pytest.param(alone_on(ALLOWS_OTHERS), reasons.NOT_PERMITTED, "fail", id="volumes of a project that is not allowed"),
    pytest.param(policy(hooks={"pre": [HOOK]}), reasons.NOT_PERMITTED, "fail", id="hooks are not allowed"),
    pytest.param(
        replace(BASELINE, earlier=(down_for(601.0),)),
        reasons.WINDOW_EXCEEDED,
        "fail",
        id="services would be down for too long",
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
        reasons.DEADLINE_EXCEEDED,
        reasons.POLICY_NOT_FOUND,
    ]


SIMPLEST = {
    "no policy",
    "it has waited for too long",
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
            replace(BASELINE, others=objects.parties(replace(objects.run("nightly-y"), created=SLOT + MINUTE))),
            id="a younger run waits",
        ),
        pytest.param(
            replace(
                alone_on(ROOMY),
                others=objects.parties(replace(objects.run("nightly-a"), namespace="test", created=SLOT - MINUTE)),
            ),
            id="another namespace has a policy of this name",
        ),
        pytest.param(replace(alone_on(ROOMY), others=objects.parties(ACTIVE)), id="the engine has room"),
        pytest.param(
            replace(
                BASELINE, others=objects.parties(status(ACTIVE, resolved=resolved_run("other", engine_id="engine-2")))
            ),
            id="work on another engine",
        ),
        pytest.param(
            replace(BASELINE, others=objects.parties(replace(WAITS, created=SLOT + MINUTE))), id="waiting is no work"
        ),
        pytest.param(
            replace(alone_on(ROOMY), others=objects.parties(status(RESTORING, resolved=resolved_restore("else")))),
            id="a restore writes to another volume",
        ),
        pytest.param(
            replace(BASELINE, others=objects.parties(status(RESTORING, phase="Pending", conditions=HELD_UP))),
            id="a restore that waits for a person stops nobody",
        ),
        pytest.param(replace(BASELINE, earlier=(down_for(600.0),)), id="services would be down just long enough"),
        pytest.param(
            replace(alone_on(spec(HOST, permit=Permit(hooks=True))), policy=objects.policy(hooks={"pre": [HOOK]})),
            id="hooks are allowed",
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
    assert verdict.retry.limit == 3 and verdict.quiesce.method == "None"


def test_a_live_copy_must_be_asked_for() -> None:
    verdict = admit(BASELINE)
    assert not isinstance(verdict, Objection) and verdict.quiesce.method == "Stop"


def test_the_slot_of_a_run_made_by_hand_is_its_creation() -> None:
    assert backup.slot_of(replace(objects.run(slot=None), created=SLOT)) == SLOT


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param([], None, id="no earlier run"),
        pytest.param([down_for(10.0)], 10.0, id="one"),
        pytest.param([down_for(10.0), down_for(30.0)], 20.0, id="two"),
        pytest.param(
            [down_for(900.0 + hour, completion_time=SLOT + hour * 60 * MINUTE) for hour in range(5)],
            903.0,
            id="the last three",
        ),
        pytest.param([down_for(10.0, phase="PartiallyFailed")], None, id="not a good one"),
        pytest.param([down_for(10.0, resolved=resolved_run("shop_data"))], None, id="of other volumes"),
        pytest.param(
            [down_for(10.0, resolved=resolved_run("shop_data", "shop_db", quiesce=Quiesce(method="Pause")))],
            None,
            id="by another method",
        ),
        pytest.param(
            [down_for(10.0, resolved=resolved_run("shop_data", "shop_db", policy_uid="x"))], None, id="another's"
        ),
        pytest.param([down_for(0.0, quiesce=QuiesceResult(method="Stop"))], None, id="nothing was down"),
    ],
)
def test_how_long_services_will_be_down(seconds: list[Run], expected: float | None) -> None:
    assert window.estimate(seconds, "uid-of-nightly", ["shop_data", "shop_db"], Quiesce()) == expected


def test_a_window_that_is_too_long_is_told_with_its_number() -> None:
    objection = window.too_long([down_for(754.0)], "uid-of-nightly", ["shop_data", "shop_db"], Quiesce())
    assert objection is not None
    assert "12m34s" in objection.message and "600 s" in objection.message
