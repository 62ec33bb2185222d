"""The window on an engine in memory: order, what is owed after a death at any act, hooks, limits, and what is told."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

import pytest

from compose_backup.agent.looking import EngineUnreachable, Executed
from compose_backup.agent.quiesce.checks import look_for
from compose_backup.agent.quiesce.reaching import EngineGone
from compose_backup.agent.stopping import Stop
from compose_backup.api import reasons
from compose_backup.api.journal import RestartPolicy
from compose_backup.errors import AgentFailed
from fakes.agent_engine import Call, Killed
from unit.agent.quiesce_scene import AGENT, HASTY, SERVICES, UNLESS_STOPPED, Scene, container, hook, plan, planned

ALL_UP = dict.fromkeys(("shop-web-1", "shop-app-1", "shop-db-1"), "running")
ALL_DOWN = dict.fromkeys(ALL_UP, "exited")
HOOKS = {"pre_hooks": (hook("freeze"),), "post_hooks": (hook("thaw"), hook("tell"))}
ACTS = 13
"""own policy, freeze, three stops, three starts, thaw, tell, own policy; and two more than there are."""


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_dependants_go_down_first_and_come_up_last(scene: Scene) -> None:
    with scene.quiescence(plan(**HOOKS)) as quiescence:
        assert scene.engine.states() == ALL_DOWN
    assert scene.engine.acts() == [
        f"restart=always {AGENT}",
        "exec freeze shop-db-1",
        *(f"stop shop-{name}-1" for name in ("web", "app", "db")),
        *(f"start shop-{name}-1" for name in ("db", "app", "web")),
        "exec thaw shop-db-1",
        "exec tell shop-db-1",
        f"restart=no {AGENT}",
    ]
    assert scene.steps[:3] == ["opened", "pre-hook", "going-down"] and scene.steps[-1] == "closed"
    assert quiescence.failure is None and not scene.journal.is_open


def test_nothing_to_do_costs_nothing(scene: Scene) -> None:
    nothing = plan().model_copy(update={"services": ()})
    scene.engine.dead = True
    with scene.quiescence(nothing) as quiescence:
        pass
    quiescence.finish()
    assert quiescence.result is None and list(scene.journal_root.iterdir()) == [] and scene.events == []


def test_every_event_tells_where_services_are(scene: Scene) -> None:
    with scene.quiescence(plan()) as quiescence:
        down = scene.events[-1]
        assert down.window == "Quiesced" and down.quiesce is not None and len(down.quiesce.services) == 3
    windows = [event.window for event in scene.events]
    assert list(dict.fromkeys(windows)) == ["Quiescing", "Quiesced", "Resuming", None]
    result = quiescence.result
    assert result is not None and result.start_time and result.end_time
    seconds = [one.downtime_seconds for one in result.services]
    assert all(value is not None and 0 <= value < 1 for value in seconds)
    assert result.downtime_seconds == max(value or 0 for value in seconds)
    assert scene.events[-1].quiesce == result


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(ACTS))
def test_killed_at_any_act(scene: Scene, number: int, done: bool) -> None:
    """What is owed is started by the next agent, whatever the last one was at; and post hooks come to their end."""
    scene.die_at(number, done=done)
    with suppress(Killed), scene.quiescence(plan(**HOOKS)):
        pass
    died = scene.engine.dead
    report = scene.reborn()
    assert scene.engine.states() == ALL_UP
    assert not scene.journal.is_open
    if died:
        assert report is not None and report.failure is not None and report.failure.reason == reasons.INTERRUPTED
        assert {"exec thaw shop-db-1", "exec tell shop-db-1"} <= set(scene.engine.acts("exec"))
        assert scene.engine.policies[AGENT] == RestartPolicy()
    else:
        assert report is None and number > 10  # after the last act


def test_recovery_does_what_is_owed_and_no_more(scene: Scene) -> None:
    """A person has started one, and stopped it again, and removed another: both are theirs."""
    with pytest.raises(Killed), scene.quiescence(plan(pre_hooks=(hook("freeze"),))):
        scene.engine.run("id-web")
        scene.engine.containers["id-web"] = container("web", "exited", started_at="2026-11-24T03:00:00Z")
        del scene.engine.containers["id-app"]
        scene.engine.dead = True
    scene.engine.calls.clear()
    assert scene.reborn() is not None
    assert scene.engine.acts("start") == ["start shop-db-1"]
    assert scene.engine.states() == {"shop-web-1": "exited", "shop-db-1": "running"}


def test_recovery_twice_is_recovery_once(scene: Scene) -> None:
    scene.die_at(3, done=True)
    with pytest.raises(Killed), scene.quiescence(plan()):
        pass
    scene.engine.revive()
    scene.journal_root = scene.journal_root.rename(scene.root / "journal-of-the-second")
    scene.die_at(1, done=True)
    with pytest.raises(Killed):
        scene.recovered()
    assert scene.engine.dead
    assert scene.reborn() is not None and scene.engine.states() == ALL_UP


@pytest.mark.parametrize("number", range(ACTS))
def test_cancelled_at_any_act(scene: Scene, number: int) -> None:
    countdown = iter(range(number, -1, -1))

    def cancel(_: Call) -> None:
        if next(countdown, None) == 0:
            scene.stop.cancel()

    scene.engine.before = cancel
    quiescence = scene.quiescence(plan(**HOOKS))
    with suppress(AgentFailed), quiescence:
        scene.stop.check()
    quiescence.finish()
    assert scene.stop.cancelled == (number < 11)
    assert scene.engine.states() == ALL_UP and not scene.journal.is_open
    assert scene.engine.acts("exec")[-2:] == ["exec thaw shop-db-1", "exec tell shop-db-1"]


def test_window_ends_by_itself_and_is_closed_again(tmp_path: Path) -> None:
    clock = [0.0]
    scene = Scene(tmp_path, stop=Stop(lambda: clock[0]))
    with pytest.raises(AgentFailed) as caught, scene.quiescence(plan(max_seconds=10)):
        clock[0] = 9.9
        scene.stop.check()
        clock[0] = 10.0
        scene.stop.check()
    assert caught.value.reason == reasons.WINDOW_EXCEEDED
    assert scene.stop.cause is None and scene.engine.states() == ALL_UP


def test_a_pre_hook_that_fails_stops_nothing(scene: Scene) -> None:
    scene.engine.commands = {("freeze",): Executed(3, "no\n")}
    quiescence = scene.quiescence(plan(**HOOKS))
    with pytest.raises(AgentFailed) as caught, quiescence:
        raise AssertionError("not reached")
    assert caught.value.reason == reasons.HOOK_FAILED and scene.engine.acts("stop") == []
    assert [(one.phase, one.exit_code, one.output) for one in quiescence.hooks] == [
        ("pre", 3, "no"),
        ("post", 0, "done"),
        ("post", 0, "done"),
    ]
    assert not scene.journal.is_open


@pytest.mark.parametrize(
    ("phase", "executed", "words"),
    [
        ("pre", Executed(None, "still at it"), "did not end within 7 s"),
        ("post", Executed(1, "no"), "ended with 1"),
    ],
)
def test_a_hook_that_may_fail(scene: Scene, phase: str, executed: Executed, words: str) -> None:
    scene.engine.commands = {("x",): executed}
    quiescence = scene.quiescence(plan(**{f"{phase}_hooks": (hook("x", on_error="Continue", timeout_seconds=7),)}))
    with quiescence:
        assert scene.engine.states() == ALL_DOWN
    (result,) = quiescence.hooks
    assert words in (result.error or "") and quiescence.failure is None


def test_a_post_hook_that_must_not_fail(scene: Scene) -> None:
    scene.engine.commands = {("thaw",): Executed(1, "x" * 5000 + "end")}
    with scene.quiescence(plan(post_hooks=(hook("thaw"), hook("tell", service="gone")))) as quiescence:
        pass
    assert quiescence.failure is not None and quiescence.failure.reason == reasons.HOOK_FAILED
    first, second = quiescence.hooks
    assert first.output is not None and len(first.output) == 1024 and first.output.endswith("end")
    assert second.error == "was not run: no container of the service is running"


def test_a_service_that_does_not_stop(scene: Scene) -> None:
    scene.engine.stop_errors["id-app"] = "cannot"
    quiescence = scene.quiescence(plan())
    with pytest.raises(AgentFailed, match=r"shop/app \(shop-app-1\) could not be quiesced: cannot"), quiescence:
        raise AssertionError("not reached")
    assert scene.engine.states() == ALL_UP and scene.engine.acts("stop") == ["stop shop-web-1", "stop shop-app-1"]
    assert quiescence.result is not None and quiescence.result.services[1].downtime_seconds == 0


def test_a_service_that_does_not_start(scene: Scene) -> None:
    scene.engine.start_errors["id-db"] = "port is already allocated"
    with scene.quiescence(plan(post_hooks=(hook("tell", service="web"),))) as quiescence:
        pass
    assert scene.engine.states() == ALL_UP | {"shop-db-1": "exited"}
    assert scene.journal.is_open and scene.engine.policies[AGENT].name == "always"
    assert [one.error for one in quiescence.hooks] == [None]
    assert scene.events[-1].window == "Resuming"
    quiescence.finish()
    failure = quiescence.failure
    assert failure is not None and failure.reason == reasons.SERVICE_NOT_RESUMED and scene.events[-1].window is None
    assert "shop/db (shop-db-1): port is already allocated" in failure.message
    assert scene.journal.is_open and scene.engine.policies[AGENT].name == "no"
    assert len(scene.engine.acts("start")) > 4


def test_a_service_that_starts_in_the_end(scene: Scene) -> None:
    scene.engine.start_errors["id-db"] = "port is already allocated"
    with scene.quiescence(plan()) as quiescence:
        pass
    threading.Timer(0.1, scene.engine.start_errors.clear).start()
    quiescence.finish()
    assert quiescence.failure is None and scene.engine.states() == ALL_UP and not scene.journal.is_open


def test_a_service_that_ends_at_once(scene: Scene) -> None:
    scene.engine.end_at_once.add("id-db")
    with scene.quiescence(plan()) as quiescence:
        pass
    assert quiescence.failure is not None and "it ended as soon as it was started" in quiescence.failure.message
    scene.engine.end_at_once.clear()
    quiescence.finish()
    assert quiescence.failure is None and scene.engine.states() == ALL_UP


def test_cancelled_while_a_service_does_not_start(scene: Scene) -> None:
    scene.engine.start_errors["id-db"] = "no"
    with scene.quiescence(plan()) as quiescence:
        pass
    tried = len(scene.engine.acts("start"))
    scene.stop.cancel()
    quiescence.finish()
    assert len(scene.engine.acts("start")) == tried and quiescence.failure is not None


def test_pause(scene: Scene) -> None:
    paused = plan(*(planned(name, method="Pause") for name in SERVICES), method="Pause")
    with scene.quiescence(paused) as quiescence:
        assert set(scene.engine.states().values()) == {"paused"}
    assert scene.engine.states() == ALL_UP and scene.engine.acts("start") == []
    assert quiescence.result is not None and quiescence.result.method == "Pause" and quiescence.result.end_time


@pytest.mark.parametrize("heal", [True, False])
def test_health(scene: Scene, heal: bool) -> None:
    """A dependant waits for what it asked for, but not for ever; and what is not healthy again is said."""
    scene.engine.heal = heal
    scene.engine.containers["id-db"] = container("db", health="healthy")
    healthy = planned("db", was_healthy=True, health_seconds=0 if not heal else 5, waited_for=True)
    with scene.quiescence(plan(planned("web"), healthy)) as quiescence:
        pass
    assert quiescence.result is not None
    assert {one.container: one.healthy for one in quiescence.result.services} == {
        "shop-web-1": None,
        "shop-db-1": heal,
    }
    assert quiescence.failure is None


@pytest.mark.parametrize(("calls", "gone"), [(3, False), (10**6, True)], ids=["for-a-moment", "for-good"])
def test_an_engine_that_refuses(scene: Scene, calls: int, gone: bool) -> None:
    def window() -> None:
        with scene.quiescence(plan()):
            scene.engine.refuses = calls

    if not gone:
        window()
        assert scene.engine.states() == ALL_UP
        return
    with pytest.raises(EngineGone):
        window()
    assert scene.journal.is_open and scene.engine.policies[AGENT].name == "always"
    scene.engine.refuses = 0
    assert scene.reborn() is not None and scene.engine.states() == ALL_UP


@pytest.mark.parametrize("calls", [3, 10**6], ids=["for-a-moment", "for-good"])
def test_a_look_at_an_engine_that_refuses(scene: Scene, calls: int) -> None:
    scene.engine.refuses = calls
    if calls == 3:
        assert look_for(plan(), ("data",), scene.engine, HASTY).inventory.containers
        return
    with pytest.raises(EngineUnreachable):
        look_for(plan(), ("data",), scene.engine, HASTY)


def test_restore_holds_restart_policies(scene: Scene) -> None:
    with scene.quiescence(plan(purpose="restore")) as quiescence:
        quiescence.touching()
        assert {one.restart_policy.name for one in scene.engine.containers.values()} == {"no"}
        quiescence.whole()
    assert scene.engine.states() == ALL_UP
    assert all(one.restart_policy == UNLESS_STOPPED for one in scene.engine.containers.values())
    assert not scene.journal.is_open


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(14))
def test_a_restore_killed_at_any_act(scene: Scene, number: int, done: bool) -> None:
    """Nothing was written, or all of it: services are up, and their restart policies are what they were."""
    scene.die_at(number, done=done)
    with suppress(Killed), scene.quiescence(plan(purpose="restore")) as quiescence:
        quiescence.touching()
        quiescence.whole()
    report = scene.reborn()
    assert report is not None and scene.engine.states() == ALL_UP and not scene.journal.is_open
    assert all(one.restart_policy == UNLESS_STOPPED for one in scene.engine.containers.values())


def test_a_restore_that_fails_before_it_writes(scene: Scene) -> None:
    with pytest.raises(AgentFailed), scene.quiescence(plan(purpose="restore")):
        raise AgentFailed(reasons.DISK_FULL, "no", retryable=False)
    assert scene.engine.states() == ALL_UP and not scene.journal.is_open
    assert all(one.restart_policy == UNLESS_STOPPED for one in scene.engine.containers.values())


def test_a_restore_that_fails_after_it_has_written(scene: Scene) -> None:
    with scene.quiescence(plan(purpose="restore")) as quiescence:
        quiescence.touching()
    quiescence.finish()
    assert scene.engine.states() == ALL_DOWN and scene.engine.acts("start") == []
    assert all(one.restart_policy.name == "no" for one in scene.engine.containers.values())
    assert quiescence.result is not None and quiescence.result.kept_stopped
    assert scene.journal.is_open and scene.engine.policies[AGENT].name == "no"


@pytest.mark.parametrize("end", ["early", "killed", "whole"])
def test_what_an_earlier_restore_keeps_stopped_is_started_only_onto_whole_data(scene: Scene, end: str) -> None:
    scene.engine.containers["id-db"] = container("db", "exited", restart_policy=RestartPolicy())
    kept = plan(planned("web"), planned("db", only_when_whole=True), purpose="restore")
    with suppress(Killed, AgentFailed), scene.quiescence(kept) as quiescence:
        if end == "early":
            raise AgentFailed(reasons.DISK_FULL, "no", retryable=False)
        if end == "whole":
            quiescence.touching()
            quiescence.whole()
        scene.engine.dead = end == "killed"
    if end == "killed":
        assert scene.reborn() is not None
    db = scene.engine.containers["id-db"]
    expected = ("running", UNLESS_STOPPED) if end == "whole" else ("exited", RestartPolicy())
    assert (db.state, db.restart_policy) == expected
    assert scene.engine.states()["shop-web-1"] == "running" and not scene.journal.is_open


@pytest.mark.parametrize("whole", [False, True])
def test_a_restore_whose_agent_is_killed_after_it_has_written(scene: Scene, whole: bool) -> None:
    with pytest.raises(Killed), scene.quiescence(plan(purpose="restore")) as quiescence:
        quiescence.touching()
        if whole:
            quiescence.whole()
        scene.engine.dead = True
    report = scene.reborn()
    assert report is not None and report.cleanup is not None and report.failure is not None
    assert report.cleanup.target_incomplete is not whole and scene.events[-1].target_touched
    assert scene.engine.states() == (ALL_UP if whole else ALL_DOWN)
    assert report.failure.reason == (reasons.INTERRUPTED if whole else reasons.TARGET_INCOMPLETE)


def test_a_cleanup_that_was_asked_for_is_no_failure(scene: Scene) -> None:
    scene.die_at(3, done=True)
    with pytest.raises(Killed), scene.quiescence(plan()):
        pass
    report = scene.reborn(asked_for=lambda: True)
    assert report is not None and report.failure is None and report.cleanup is not None
    assert report.cleanup.quiesce is not None and len(report.cleanup.quiesce.services) == 3


def test_a_journal_that_cannot_be_written_stops_nothing(scene: Scene) -> None:
    scene.journal_root.rmdir()
    with pytest.raises(AgentFailed, match="journal"), scene.quiescence(plan()):
        raise AssertionError("not reached")
    assert scene.engine.calls == []


def test_a_line_that_a_crash_has_cut_off(scene: Scene) -> None:
    scene.journal.open(plan())
    progress = scene.journal_root / "progress.jsonl"
    progress.write_bytes(progress.read_bytes() + b'\n{"step":"going-d')
    scene.journal.write("down", container="x")
    assert scene.steps == ["opened", "down"] and scene.journal.is_open
