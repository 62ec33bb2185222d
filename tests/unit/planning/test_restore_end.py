"""How a restore ends: only every volume restored is a success, and half-restored data is never kept quiet."""

from __future__ import annotations

import datetime as dt

import pytest

from compose_backup.api import reasons
from compose_backup.api.backup_run import Failure, QuiescedService, QuiesceResult
from compose_backup.api.job import CleanupReport, Report, RestoreReport
from compose_backup.api.restore_request import RestoredVolume, RestoreRequestStatus
from compose_backup.planning import restore_end
from compose_backup.planning.agent_state import Died
from fakes.objects import resolved_restore

SLOT = dt.datetime(2026, 10, 13, 2, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
RUNNING = RestoreRequestStatus(phase="Running", start_time=SLOT, resolved=resolved_restore("shop_data"))
FAILURE = Failure(reason=reasons.TARGET_NOT_EMPTY, message="there is data")

INTERRUPTED = Failure(reason=reasons.INTERRUPTED, message="restarted", retryable=True)
DOWN = Failure(reason=reasons.SERVICE_NOT_RESUMED, message="shop/db: port taken")
DB = QuiescedService(container="shop-db-1", service="shop/db", method="Stop", down_time=SLOT)
QUIESCE = QuiesceResult(method="Stop", services=(DB,))


def test_an_agent_that_fails_by_a_fault_of_its_own_may_have_left_anything() -> None:
    fault = Report(failure=Failure(reason=reasons.ARCHIVE_FAILED, message="the agent failed: OSError()"))
    after = restore_end.after_report(RUNNING, fault, "", SLOT, touched=True)
    assert after.failure is not None and after.failure.reason == reasons.TARGET_INCOMPLETE
    before = restore_end.after_report(RUNNING, fault, "", SLOT)
    assert before.failure is not None and before.failure.reason == reasons.ARCHIVE_FAILED


def volumes(phase: str, name: str = "shop_data") -> RestoreReport:
    return RestoreReport(volumes=(RestoredVolume.model_validate({"name": name, "phase": phase}),))


@pytest.mark.parametrize(
    ("report", "phase", "reason"),
    [
        pytest.param(Report(restore=volumes("Succeeded")), "Succeeded", None, id="every volume is there"),
        pytest.param(Report(restore=volumes("Succeeded", "x")), "Failed", reasons.NOTHING_RESTORED, id="another one"),
        pytest.param(Report(restore=volumes("Failed")), "Failed", reasons.NOTHING_RESTORED, id="a silent failure"),
        pytest.param(Report(), "Failed", reasons.NOTHING_RESTORED, id="an empty report"),
        pytest.param(Report(failure=FAILURE), "Failed", reasons.TARGET_NOT_EMPTY, id="a failure"),
        pytest.param(
            Report(cancelled=True, failure=FAILURE), "Cancelled", reasons.TARGET_NOT_EMPTY, id="cancelled in time"
        ),
        pytest.param(
            Report(cancelled=True, failure=FAILURE, restore=volumes("TargetIncomplete")),
            "Failed",
            reasons.TARGET_INCOMPLETE,
            id="cancelled after the first byte",
        ),
        pytest.param(
            Report(cleanup=CleanupReport(target_incomplete=True), failure=INTERRUPTED),
            "Failed",
            reasons.TARGET_INCOMPLETE,
            id="the agent was restarted after the first byte",
        ),
        pytest.param(
            Report(cleanup=CleanupReport(), failure=INTERRUPTED),
            "Failed",
            reasons.INTERRUPTED,
            id="the agent was restarted before the first byte",
        ),
        pytest.param(
            Report(restore=volumes("Succeeded"), failure=DOWN),
            "Failed",
            reasons.SERVICE_NOT_RESUMED,
            id="whole data, but a service does not run",
        ),
    ],
)
def test_after_report(report: Report, phase: str, reason: str | None) -> None:
    after = restore_end.after_report(RUNNING, report, "", SLOT + MINUTE)
    assert (after.phase, after.failure.reason if after.failure else None) == (phase, reason)
    assert (after.completion_time, after.duration) == (SLOT + MINUTE, "1m0s")


@pytest.mark.parametrize(
    ("touched", "reason"),
    [(True, reasons.TARGET_INCOMPLETE), (False, reasons.TARGET_NOT_EMPTY)],
    ids=["touched", "untouched"],
)
def test_after_death(touched: bool, reason: str) -> None:
    after = restore_end.after_death(RUNNING, Died(FAILURE, touched, "tail"), SLOT)
    assert after.phase == "Failed" and after.failure and after.failure.reason == reason
    assert ("shop_data" in after.failure.message) is touched


@pytest.mark.parametrize("touched", [True, False], ids=["touched", "untouched"])
def test_a_death_says_what_stays_down(touched: bool) -> None:
    after = restore_end.after_death(RUNNING, Died(FAILURE, touched, "", QUIESCE), SLOT)
    assert after.quiesce and after.failure
    assert after.quiesce.kept_stopped is touched and ("kept stopped: shop/db" in after.failure.message) is touched


def test_a_report_says_what_stays_down() -> None:
    kept = QUIESCE.model_copy(update={"kept_stopped": True})
    report = volumes("TargetIncomplete").model_copy(update={"quiesce": kept})
    after = restore_end.after_report(RUNNING, Report(restore=report, failure=FAILURE), "", SLOT)
    assert after.quiesce == kept and after.failure and "kept stopped: shop/db" in after.failure.message


def test_a_good_end_says_how_long_services_were_down_and_which_is_not_healthy() -> None:
    db = DB.model_copy(update={"up_time": SLOT + MINUTE, "downtime_seconds": 60.0, "healthy": False})
    quiesce = QuiesceResult(method="Stop", services=(db,), downtime_seconds=60.0)
    report = volumes("Succeeded").model_copy(update={"quiesce": quiesce})
    after = restore_end.after_report(RUNNING, Report(restore=report), "", SLOT)
    assert after.phase == "Succeeded" and after.downtime == "1m0s"
    assert restore_end.done(after).endswith("for at most 1m0s; running again, but not healthy yet: shop/db")
