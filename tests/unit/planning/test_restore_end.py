"""How a restore ends: only every volume restored is a success, and half-restored data is never kept quiet."""

from __future__ import annotations

import datetime as dt

import pytest

from compose_backup.api import reasons
from compose_backup.api.backup_run import Failure
from compose_backup.api.job import Report, RestoreReport
from compose_backup.api.restore_request import RestoredVolume, RestoreRequestStatus
from compose_backup.planning import restore_end
from compose_backup.planning.agent_state import Died
from fakes.objects import resolved_restore

SLOT = dt.datetime(2026, 10, 13, 2, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
RUNNING = RestoreRequestStatus(phase="Running", start_time=SLOT, resolved=resolved_restore("shop_data"))
FAILURE = Failure(reason=reasons.TARGET_NOT_EMPTY, message="there is data")


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
            reasons.TARGET_NOT_EMPTY,
            id="cancelled after the first byte",
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
