"""Which containers go down, how, and what is refused."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from compose_backup.api import reasons
from compose_backup.api.backup_policy import Hooks, Quiesce
from compose_backup.api.compose_host import Permit
from compose_backup.api.journal import JournalPlan, RestartPolicy
from compose_backup.planning import quiescing
from compose_backup.planning.checks import Objection
from compose_backup.planning.facts import Container, Inventory, Mount, Volume
from compose_backup.planning.journals import volume_of
from compose_backup.planning.labels import Owner, agent_labels
from compose_backup.planning.quiescing import Intent, candidates, changes, make_plan

NOW = dt.datetime(2026, 10, 13, 2, 0, tzinfo=dt.UTC)
DATA, OTHER = Volume("shop_data"), Volume("shop_other")
WRITES = Mount("shop_data", "/x", writable=True)
READS = Mount("shop_data", "/x", writable=False)
WRITES_OTHER = Mount("shop_other", "/x", writable=True)
PLAIN: dict[str, Any] = {}


def container(name: str, *mounts: Mount, state: str = "running", depends: str = "", **changes: Any) -> Container:
    """Return a container of a service of the project shop, of the same name."""
    project = changes.pop("project", "shop")
    labels = {f"com.docker.compose.{key}": value for key, value in changes.pop("marks", PLAIN).items()}
    labels |= {"com.docker.compose.project": project, "com.docker.compose.service": name} if project else {}
    labels |= {"com.docker.compose.depends_on": depends} if depends else {}
    given = {"started_at": f"t-{name}", "labels": labels, "mounts": mounts} | changes
    return Container(f"id-of-{name}", name, "image", state, **given)


def engine(*containers: Container, volumes: tuple[Volume, ...] = ()) -> Inventory:
    return Inventory((DATA, OTHER, *volumes), containers)


def intent(purpose: Any = "run", **changes: Any) -> Intent:
    given: dict[str, Any] = {
        "purpose": purpose,
        "owner": "BackupRun prod/nightly-1",
        "agent": f"compose-backup-{purpose}-uid-1",
        "attempt": 1,
        "volumes": ("shop_data",),
        "quiesce": Quiesce(),
        "permit": Permit(),
    }
    return Intent(**given | changes)


def plan(look: Inventory, wanted: Intent | None = None) -> JournalPlan | Objection:
    return make_plan(wanted or intent(), look, look.containers, NOW)


def planned(look: Inventory, wanted: Intent | None = None) -> JournalPlan:
    made = plan(look, wanted)
    assert isinstance(made, JournalPlan), made
    return made


def down(made: JournalPlan) -> dict[str, str]:
    return {service.name: service.method for service in made.services}


def quiesce(method: str = "Stop", **services: str) -> Quiesce:
    named = [{"project": "shop", "service": name, "method": how} for name, how in services.items()]
    return Quiesce.model_validate({"method": method, "services": named})


DB = container("db", WRITES)
WEB = container("web")

CHOICES = [
    pytest.param((), "run", quiesce(), {}, id="nobody"),
    pytest.param((DB, WEB), "run", quiesce(), {"db": "Stop"}, id="who writes"),
    pytest.param((DB, WEB), "run", quiesce("Pause"), {"db": "Pause"}, id="who writes is paused"),
    pytest.param((DB,), "run", quiesce("None"), {}, id="a live copy is asked for"),
    pytest.param((container("db", READS),), "run", quiesce(), {}, id="who only reads goes on"),
    pytest.param((container("db", READS),), "restore", quiesce(), {"db": "Stop"}, id="not under a restore"),
    pytest.param((container("db", WRITES, state="exited"),), "run", quiesce(), {}, id="stopped already"),
    pytest.param((container("db", WRITES, state="created"),), "run", quiesce(), {}, id="never started"),
    pytest.param((container("db", WRITES, state="paused"),), "run", quiesce(), {}, id="paused by somebody else"),
    pytest.param(
        (container("db", WRITES, state="restarting"),), "run", quiesce("Pause"), {"db": "Stop"}, id="crashing"
    ),
    pytest.param((DB, WEB), "run", quiesce(web="Stop"), {"db": "Stop", "web": "Stop"}, id="one that is named"),
    pytest.param((DB, WEB), "run", quiesce("Pause", db="Stop"), {"db": "Stop"}, id="one that is treated differently"),
    pytest.param((DB, WEB), "run", quiesce(db="None"), {}, id="one that goes on"),
    pytest.param((DB, WEB), "run", quiesce("None", web="Stop"), {"web": "Stop"}, id="only one that is named"),
    pytest.param(
        (DB, container("side", joined=("id-of-db",)), container("side2", joined=("side",))),
        "run",
        quiesce(side="None"),
        {"db": "Stop", "side": "Stop", "side2": "Stop"},
        id="who is joined to it goes down with it",
    ),
    pytest.param(
        (DB, container("side", joined=("id-of-db",))), "run", quiesce("Pause"), {"db": "Pause"}, id="a pause keeps them"
    ),
    pytest.param((container("db", WRITES, project=""),), "run", quiesce(), {"db": "Stop"}, id="not made by Compose"),
]


@pytest.mark.parametrize(("containers", "purpose", "how", "expected"), CHOICES)
def test_who_goes_down(containers: tuple[Container, ...], purpose: str, how: Quiesce, expected: dict[str, str]) -> None:
    look = engine(*containers)
    made = planned(look, intent(purpose, quiesce=how))
    assert down(made) == expected
    assert {service.container_id for service in made.services} <= set(candidates(("shop_data",), look, how))
    assert made.needs_journal is bool(expected)


def test_who_goes_on_is_told() -> None:
    assert planned(engine(DB), intent(quiesce=quiesce("None"))).left_running == ("id-of-db",)
    assert planned(engine(DB), intent(quiesce=quiesce(db="None"))).left_running == ("id-of-db",)
    assert planned(engine(DB)).left_running == ()


def test_what_is_kept_of_a_container() -> None:
    always = RestartPolicy(name="always")
    marks = {"container-number": "2"}
    db = container("db", WRITES, health="healthy", health_seconds=90, restart_policy=always, marks=marks)
    web = container("web", WRITES, depends="db:service_healthy:false", health="unhealthy", health_seconds=5)
    web_, db_ = planned(engine(db, web)).services
    assert (db_.title, db_.number, db_.started_at, db_.level) == ("shop/db", 2, "t-db", 1)
    assert (db_.was_healthy, db_.waited_for, db_.health_seconds, db_.restart_policy) == (True, True, 90, always)
    assert (web_.title, web_.level, web_.was_healthy, web_.waited_for) == ("shop/web", 0, False, False)


def test_one_that_crashes_all_the_time_is_ours_whenever_it_is_down() -> None:
    (service,) = planned(engine(container("db", WRITES, state="restarting"))).services
    assert service.started_at == ""


def test_nobody_is_inspected_for_nothing() -> None:
    assert candidates(("shop_data",), engine(WEB, container("db", WRITES, state="exited")), quiesce()) == ()
    assert candidates(("shop_data",), engine(DB, WEB), quiesce("None")) == ()
    assert set(candidates(("shop_data",), engine(DB, WEB), quiesce())) == {"id-of-db", "id-of-web"}


def test_one_that_has_gone_since_the_list_was_made_is_left_out() -> None:
    assert make_plan(intent(), engine(DB), (), NOW).services == ()  # type: ignore[union-attr]


HOOK = {"project": "shop", "service": "db", "command": ["true"]}
AGENT = Owner("RestoreRequest", "prod", "rescue", "uid-2")
RESTORING = Container(
    "a", "compose-backup-restore-uid-2", "i", "running", mounts=(WRITES,), labels=agent_labels(AGENT, "x", "restore")
)


def hooks(**changes: Any) -> Hooks:
    return Hooks.model_validate({"pre": [HOOK | changes]})


MAY_HOOK = Permit(hooks=True)

REFUSALS = [
    pytest.param(
        engine(container("db", WRITES, marks={"oneoff": "True"})), intent(), reasons.SERVICES_RUNNING, "fail",
        "shop/db", id="compose run",
    ),
    pytest.param(
        engine(container("db", WRITES, removed_when_stopped=True)), intent(), reasons.SERVICES_RUNNING, "fail", "--rm",
        id="docker run --rm",
    ),
    pytest.param(
        engine(Container("i", "t.1", "i", "running", "t", {"com.docker.swarm.task.id": "t"}, (WRITES,))), intent(),
        reasons.SERVICES_RUNNING, "fail", "swarm", id="a task of a swarm",
    ),
    pytest.param(
        engine(container("db", WRITES, project="blog")), intent(permit=Permit(projects=("shop*",))),
        reasons.NOT_PERMITTED, "fail", "blog/db", id="a project that is not allowed",
    ),
    pytest.param(
        engine(DB, container("side", joined=("db",), project="")), intent(permit=Permit(projects=("shop",))),
        reasons.NOT_PERMITTED, "fail", "side", id="one of no project where others are ruled out",
    ),
    pytest.param(
        engine(DB), intent(quiesce=quiesce(bd="Stop")), reasons.INVALID_SPEC, "fail", "shop/bd", id="a typing error"
    ),
    pytest.param(engine(DB), intent(hooks=hooks()), reasons.NOT_PERMITTED, "fail", "permit.hooks", id="no hooks"),
    pytest.param(
        engine(DB), intent(hooks=hooks(service="bd"), permit=MAY_HOOK), reasons.HOOK_FAILED, "fail", "shop/bd",
        id="a hook in nothing",
    ),
    pytest.param(
        engine(container("db", state="exited")), intent(hooks=hooks(), permit=MAY_HOOK), reasons.HOOK_FAILED, "fail",
        "exited", id="a hook in something that does not run",
    ),
    pytest.param(
        engine(DB), intent(hooks=hooks(project="blog"), permit=Permit(hooks=True, projects=("shop",))),
        reasons.NOT_PERMITTED, "fail", "blog/db", id="a hook in a project that is not allowed",
    ),
    pytest.param(engine(RESTORING), intent(), reasons.STOPPED_BY_ANOTHER, "wait", "rescue", id="a restore writes"),
    pytest.param(
        engine(container("db", WRITES, state="paused")), intent("restore"), reasons.VOLUME_IN_USE, "wait", "shop/db",
        id="a restore under a paused one",
    ),
    pytest.param(
        engine(container("db", READS)), intent("restore", quiesce=quiesce("None")), reasons.VOLUME_IN_USE, "wait",
        "shop/db", id="a restore that stops nobody",
    ),
    pytest.param(
        engine(container("db", WRITES, marks={"oneoff": "True"})), intent("restore"), reasons.SERVICES_RUNNING, "wait",
        "shop/db", id="a restore waits for compose run",
    ),
    pytest.param(
        engine(*(container(f"c{number}", WRITES) for number in range(257))), intent(), reasons.INVALID_SPEC, "fail",
        "257", id="too many",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("look", "wanted", "reason", "then", "words"), REFUSALS)
def test_refusals(look: Inventory, wanted: Intent, reason: str, then: str, words: str) -> None:
    objection = plan(look, wanted)
    assert isinstance(objection, Objection), objection
    assert (objection.reason, objection.then) == (reason, then) and words in objection.message


@pytest.mark.parametrize(
    ("look", "wanted"),
    [
        pytest.param(engine(DB), intent(hooks=hooks(), permit=MAY_HOOK), id="a hook in a service that runs"),
        pytest.param(
            engine(),
            intent(hooks=hooks(onError="Continue"), permit=MAY_HOOK),
            id="a hook that may fail is only told of",
        ),
        pytest.param(engine(), intent(quiesce=quiesce(gone="Stop")), id="the whole project is down"),
        pytest.param(
            engine(container("db", WRITES, project="blog")),
            intent(permit=Permit(projects=("shop",)), quiesce=quiesce("None")),
            id="what goes on may belong to anybody",
        ),
        pytest.param(
            engine(replace(RESTORING, name="compose-backup-run-uid-1")), intent(), id="its own agent is no stranger"
        ),
    ],
)
def test_no_refusal(look: Inventory, wanted: Intent) -> None:
    planned(look, wanted)


def test_a_hook_alone_needs_a_journal() -> None:
    assert planned(engine(WEB, container("db")), intent(hooks=hooks(), permit=MAY_HOOK)).needs_journal


# ------------------------------------------------------------------------------------------- what another has left down

ALWAYS = RestartPolicy(name="always")
LEFT = container("db", WRITES, state="exited")


def left_over(purpose: Any, *volumes: str, containers: tuple[Container, ...] = (), agent: str = "uid-9") -> Volume:
    """Return the journal of another run or restore, made while these containers ran."""
    running = tuple(replace(one, state="running", health="healthy", restart_policy=ALWAYS) for one in containers)
    wanted = intent(purpose, volumes=volumes, agent=f"compose-backup-{purpose}-{agent}", owner=f"X prod/{agent}")
    made = make_plan(wanted, engine(*running), running, NOW - dt.timedelta(hours=1))
    assert isinstance(made, JournalPlan)
    return volume_of(made, Owner("X", "prod", agent, agent), "another-installation")


def journal_of(purpose: Any, *volumes: str) -> Volume:
    return left_over(purpose, *volumes, containers=(LEFT,))


@pytest.mark.parametrize("purpose", ["run", "restore"])
def test_what_a_dead_backup_has_left_down_is_ours_to_start(purpose: Any) -> None:
    held = replace(LEFT, restart_policy=RestartPolicy())
    (service,) = planned(engine(held, volumes=(journal_of("run", "shop_data"),)), intent(purpose)).services
    assert (service.name, service.method, service.started_at, service.was_healthy) == ("db", "Stop", "t-db", True)
    assert service.restart_policy == ALWAYS


def test_what_a_broken_restore_keeps_down_is_started_by_the_next_restore() -> None:
    look = engine(LEFT, volumes=(journal_of("restore", "shop_data"),))
    (service,) = planned(look, intent("restore")).services
    assert (service.name, service.only_when_whole) == ("db", True)
    assert LEFT.id in candidates(("shop_data",), look, quiesce())


def test_what_was_started_in_vain_since_a_dead_backup_left_it_is_still_ours() -> None:
    look = engine(replace(LEFT, started_at="after our try"), volumes=(journal_of("run", "shop_data"),))
    assert planned(look, intent("restore")).services == ()
    (service,) = planned(look, intent("restore", tried={LEFT.id: "after our try"})).services
    assert (service.started_at, service.only_when_whole) == ("after our try", False)


def test_a_backup_waits_while_a_broken_restore_keeps_services_down() -> None:
    objection = plan(engine(LEFT, volumes=(journal_of("restore", "shop_data"),)))
    assert isinstance(objection, Objection)
    assert (objection.reason, objection.then) == (reasons.STOPPED_BY_ANOTHER, "wait")
    assert "X prod/uid-9" in objection.message and "shop/db" in objection.message


def test_a_restore_of_a_part_starts_nobody_onto_the_rest() -> None:
    both = container("db", WRITES, WRITES_OTHER, state="exited")
    look = engine(both, volumes=(left_over("restore", "shop_data", "shop_other", containers=(both,)),))
    assert planned(look, intent("restore")).services == ()
    assert down(planned(look, intent("restore", volumes=("shop_data", "shop_other")))) == {"db": "Stop"}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(replace(LEFT, started_at="later"), {}, id="somebody has started and stopped it since"),
        pytest.param(replace(LEFT, id="another"), {}, id="somebody has made it anew"),
        pytest.param(replace(LEFT, state="running", started_at="later"), {"db": "Stop"}, id="somebody has started it"),
    ],
)
def test_what_is_owed_no_more_is_left_alone(found: Container, expected: dict[str, str]) -> None:
    assert down(planned(engine(found, volumes=(journal_of("restore", "shop_data"),)), intent("restore"))) == expected


# --------------------------------------------------------------------------------------- what the agent sees afterwards


@pytest.mark.parametrize(
    ("found", "words"),
    [
        pytest.param((DB,), (), id="as planned"),
        pytest.param((container("db", WRITES, state="exited"),), ("shop/db was stopped",), id="stopped by a person"),
        pytest.param((container("db", WRITES, state="paused"),), ("shop/db was stopped or paused",), id="paused"),
        pytest.param((container("db", WRITES, started_at="later"),), ("shop/db was started anew",), id="restarted"),
        pytest.param((), ("shop/db was started anew or removed",), id="removed"),
        pytest.param((DB, container("web", WRITES)), ("shop/web writes now",), id="a new writer"),
        pytest.param((DB, container("web", WRITES, state="paused")), (), id="a paused one does not write"),
        pytest.param((DB, container("web", WRITES, state="exited")), (), id="a stopped one does not write"),
        pytest.param((DB, container("web", READS)), (), id="a reader does not write"),
    ],
)
def test_changes(found: tuple[Container, ...], words: tuple[str, ...]) -> None:
    seen = changes(planned(engine(DB)), ("shop_data",), engine(*found))
    assert len(seen) == len(words) and all(word in one for word, one in zip(words, seen, strict=True))


def test_whoever_writes_is_no_change_where_a_live_copy_is_asked_for() -> None:
    made = planned(engine(DB), intent(quiesce=quiesce("None")))
    assert changes(made, ("shop_data",), engine(DB, container("web", WRITES))) == ()


def test_what_another_journal_has_left_down_is_no_change() -> None:
    look = engine(LEFT, volumes=(journal_of("run", "shop_data"),))
    assert changes(planned(look), ("shop_data",), look) == ()


def test_the_method_of_a_service_goes_before_that_of_all() -> None:
    assert quiescing.method_of(DB, quiesce("Pause", db="None")) == "None"
    assert quiescing.method_of(WEB, quiesce("Pause", db="None")) == "Pause"
