"""Backup and restore with services that go down and come up, against real restic and an engine in memory."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from compose_backup.agent.looking import Executed
from compose_backup.api import reasons
from compose_backup.api.backup_run import VolumeResult
from compose_backup.api.job import Report
from compose_backup.api.record import RunRecord
from compose_backup.errors import AgentFailed
from compose_backup.planning import wholeness
from contracts.restic_bench import AGENT, Bench, empty_directory, plan, reason_of
from contracts.shop_bench import ALL_DOWN, ALL_UP, SHOP, observed_restic, slow_restic
from fakes.agent_engine import Call
from unit.agent.quiesce_scene import SERVICES, container, hook, planned


def shown(bench: Bench, report: Report) -> RunRecord:
    """Return the record that a backup has left in the repository."""
    assert report.backup is not None and report.backup.record_id is not None
    return RunRecord.model_validate_json(bench.restic("dump", report.backup.record_id, "/team-nightly.json"))


def cancel_when(bench: Bench, begun: Path) -> threading.Thread:
    """Cancel the job as soon as a file is there."""

    def watch() -> None:
        limit = time.monotonic() + 20
        while not begun.exists() and time.monotonic() < limit:
            time.sleep(0.01)
        bench.stop.cancel()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_services_are_down_while_volumes_are_read(shop: Bench) -> None:
    report = shop.backup("data", plan=plan(services=SHOP))
    assert reason_of(report) is None and shop.engine.states() == ALL_UP
    assert report.backup is not None and report.backup.volumes[0].consistency == "Stopped"
    assert report.backup.quiesce is not None and len(report.backup.quiesce.services) == 3
    assert report.backup.quiesce.downtime_seconds > 0.1
    record = shown(shop, report)
    assert record.quiesce == report.backup.quiesce and record.volumes[0].manifest is not None
    assert record.volumes[0].manifest.quiesce_method == "Stop"
    assert [event.window for event in shop.events if event.window][-1] == "Resuming"


@pytest.mark.parametrize(
    ("method", "left", "consistency"),
    [("Pause", (), "Frozen"), ("Stop", ("id-web",), "Live")],
    ids=["paused", "one-goes-on"],
)
def test_consistency(shop: Bench, method: str, left: tuple[str, ...], consistency: str) -> None:
    down = tuple(planned(name, method=method) for name in SERVICES if f"id-{name}" not in left)
    report = shop.backup("data", plan=plan(method=method, services=down, left_running=left))
    assert report.backup is not None and report.backup.volumes[0].consistency == consistency
    assert reason_of(report) is None and shown(shop, report).consistency == consistency
    assert shop.engine.states() == ALL_UP


def test_a_writer_that_comes_back_early_makes_the_copy_worthless(shop: Bench) -> None:
    def start(call: Call) -> None:
        if call.act == "stop" and call.container == "id-db":
            shop.engine.run("id-web")

    shop.engine.after = start
    report = shop.backup("data", plan=plan(services=SHOP))
    assert report.backup is not None and reason_of(report) == reasons.SERVICES_RUNNING
    assert report.backup.volumes[0].phase == "Failed" and shop.engine.states() == ALL_UP


def test_services_run_again_before_the_record_is_written(shop: Bench) -> None:
    with observed_restic(shop) as calls:
        report = shop.backup("data", plan=plan(services=SHOP))
    assert reason_of(report) is None and calls() == ["backup: down", "record: closed"]


def test_window_exceeded(shop: Bench) -> None:
    """Services first; what was archived stands, the rest has failed, and the record says so."""
    with slow_restic(shop, shop.named("more")):
        report = shop.backup("data", "more", plan=plan(services=SHOP, max_seconds=4))
    assert reason_of(report) == reasons.WINDOW_EXCEEDED and shop.engine.states() == ALL_UP
    record = shown(shop, report)
    assert record.verdict == "PartiallyFailed"
    assert [one.result.phase for one in record.volumes] == ["Succeeded", "Failed"]
    assert shop.restic("list", "locks") == ""


def test_cancelled_in_the_window(shop: Bench) -> None:
    with slow_restic(shop, "backup") as begun:
        thread = cancel_when(shop, begun)
        report = shop.backup("data", plan=plan(services=SHOP, post_hooks=(hook("thaw"),)))
        thread.join()
    assert report.cancelled and reason_of(report) == reasons.CANCELLED
    assert shop.engine.states() == ALL_UP and shop.engine.acts("exec") == ["exec thaw shop-db-1"]
    assert shop.engine.policies[AGENT].name == "no"


def test_a_pre_hook_that_fails(shop: Bench) -> None:
    shop.engine.commands = {("freeze",): Executed(1, "no")}
    report = shop.backup("data", plan=plan(services=SHOP, pre_hooks=(hook("freeze"),), post_hooks=(hook("thaw"),)))
    assert report.backup is not None and report.failure is not None
    assert (report.failure.reason, report.failure.retryable) == (reasons.HOOK_FAILED, True)
    assert shop.engine.acts("stop") == [] and [one.phase for one in report.backup.hooks] == ["pre", "post"]


def test_a_post_hook_that_fails(shop: Bench) -> None:
    shop.engine.commands = {("thaw",): Executed(1, "canary-7f3a is no password")}
    report = shop.backup("data", plan=plan(services=SHOP, post_hooks=(hook("thaw"),)))
    assert report.backup is not None and report.failure is not None
    assert (report.failure.reason, report.failure.retryable) == (reasons.HOOK_FAILED, False)
    assert (report.backup.verdict, shown(shop, report).verdict) == ("PartiallyFailed", "Succeeded")
    assert report.backup.hooks[0].output == "*** is no password"


def test_a_service_that_does_not_start(shop: Bench) -> None:
    shop.engine.start_errors["id-db"] = "port is already allocated"
    report = shop.backup("data", plan=plan(services=SHOP))
    assert reason_of(report) == reasons.SERVICE_NOT_RESUMED and report.backup is not None
    assert report.backup.verdict == "Succeeded" and shown(shop, report).verdict == "Succeeded"
    assert shop.engine.states() == ALL_UP | {"shop-db-1": "exited"}
    assert shop.events[-1].quiesce is not None and shop.events[-1].quiesce.services[2].error


def test_a_repository_that_cannot_be_opened_stops_nothing(shop: Bench) -> None:
    empty_directory(shop.repository)
    report = shop.backup("data", plan=plan(services=SHOP))
    assert reason_of(report) == reasons.REPOSITORY_ABSENT and shop.engine.calls == []


def archived(shop: Bench) -> VolumeResult:
    """Archive the volume while the shop is down, and change it."""
    report = shop.backup("data", plan=plan(services=SHOP))
    assert report.backup is not None
    (shop.volume("data") / "file").write_text("changed since")
    for name in SERVICES:  # each was started anew
        shop.engine.containers[f"id-{name}"] = container(name)
    empty_directory(shop.root / "journal")
    shop.engine.calls.clear()
    return report.backup.volumes[0]


def restore_plan() -> object:
    return plan(purpose="restore", services=SHOP)


def test_restore(shop: Bench) -> None:
    result = archived(shop)
    report = shop.restore(result, existing="Mirror", plan=restore_plan())
    assert reason_of(report) is None and shop.engine.states() == ALL_UP
    assert (shop.volume("data") / "file").read_text() == "data"
    assert report.restore is not None and report.restore.quiesce is not None
    assert report.restore.quiesce.downtime_seconds > 0 and not report.restore.quiesce.kept_stopped


def test_a_whole_restore_is_marked_on_the_host_before_a_service_is_started(shop: Bench) -> None:
    result = archived(shop)
    report = shop.restore(result, existing="Mirror", plan=restore_plan())
    acts = [act.partition(" ")[0] for act in shop.engine.acts("stop", "create", "start")]
    assert acts == ["stop"] * 3 + ["create"] + ["start"] * 3
    assert report.restore is not None
    assert wholeness.told_of("uid-0", shop.engine.look(()).inventory) == report.restore.volumes


def test_a_mark_that_cannot_be_made_keeps_nobody_stopped(shop: Bench) -> None:
    def refuse(call: Call) -> None:
        if call.act == "create":
            raise AgentFailed(reasons.ENGINE_ERROR, "no space left on device", retryable=True)

    result = archived(shop)
    shop.engine.before = refuse
    report = shop.restore(result, existing="Mirror", plan=restore_plan())
    assert reason_of(report) is None and shop.engine.states() == ALL_UP
    assert "no space left" in shop.diagnostics


def test_the_journal_says_that_a_target_is_touched_before_it_is(shop: Bench) -> None:
    result = archived(shop)
    with observed_restic(shop) as calls:
        shop.restore(result, existing="Mirror", plan=restore_plan())
    assert calls() == ["restore: touching"]


def test_restore_that_is_refused_before_it_writes(shop: Bench) -> None:
    result = archived(shop)
    report = shop.restore(result, existing="Fail", plan=restore_plan())
    assert reason_of(report) == reasons.TARGET_NOT_EMPTY and shop.engine.acts("stop") == []


def test_restore_that_fails_after_it_has_written(shop: Bench) -> None:
    result = archived(shop)
    with slow_restic(shop, "restore") as begun:
        thread = cancel_when(shop, begun)
        report = shop.restore(result, existing="Mirror", plan=restore_plan())
        thread.join()
    assert reason_of(report) == reasons.TARGET_INCOMPLETE and shop.engine.states() == ALL_DOWN
    assert shop.engine.acts("create") == []
    assert report.restore is not None and report.restore.quiesce is not None
    assert report.restore.quiesce.kept_stopped and shop.events[-1].target_touched
    assert {one.restart_policy.name for one in shop.engine.containers.values()} == {"no"}
