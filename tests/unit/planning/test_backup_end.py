"""How an attempt ends a run: only a record and every volume make it good, and a service that is down ends it."""

from __future__ import annotations

import datetime as dt
from typing import Any, get_args

import pytest

from compose_backup.api import reasons
from compose_backup.api.backup_policy import Retry
from compose_backup.api.backup_run import (
    BackupRunStatus,
    Failure,
    HookResult,
    QuiescedService,
    QuiesceResult,
    VolumeResult,
)
from compose_backup.api.job import BackupReport, CleanupReport, Report
from compose_backup.api.record import Verdict
from compose_backup.planning import backup_end
from compose_backup.planning.backup_end import after_attempt
from fakes.objects import resolved_run

SLOT = dt.datetime(2026, 10, 13, 2, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
LOST = Failure(reason=reasons.AGENT_LOST, message="gone", retryable=True)
DOWN = Failure(reason=reasons.SERVICE_NOT_RESUMED, message="shop/db: port taken", retryable=True)
HOOK = Failure(reason=reasons.HOOK_FAILED, message="exit code 1", retryable=False)
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
        pytest.param(1, Report(failure=DOWN), "Failed", None, id="a service that does not run is not stopped again"),
        pytest.param(
            1, Report(backup=WHOLE, failure=DOWN), "Failed", None, id="whole data, but a service does not run"
        ),
        pytest.param(
            1, Report(backup=partly(), failure=DOWN), "Failed", None, id="partial data, and a service does not run"
        ),
        pytest.param(1, Report(backup=WHOLE, failure=HOOK), "PartiallyFailed", None, id="a post hook failed"),
        pytest.param(1, Report(failure=HOOK), "Failed", None, id="a pre hook failed"),
        pytest.param(1, Report(cleanup=CleanupReport(), failure=LOST), None, 60, id="the agent was restarted"),
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


DB = QuiescedService(container="shop-db-1", service="shop/db", method="Stop", downtime_seconds=12.4, healthy=False)
QUIESCE = QuiesceResult(method="Stop", services=(DB,), downtime_seconds=12.4)
SAID = HookResult(phase="pre", service="shop/db", command="true", exit_code=0)


@pytest.mark.parametrize(
    "report",
    [
        pytest.param(Report(backup=WHOLE.model_copy(update={"quiesce": QUIESCE, "hooks": (SAID,)})), id="done"),
        pytest.param(
            Report(cleanup=CleanupReport(quiesce=QUIESCE, hooks=(SAID,)), failure=LOST), id="the agent was restarted"
        ),
    ],
)
def test_downtime_and_hooks_are_told(report: Report) -> None:
    after = after_attempt(STARTED, report, "", SLOT)
    assert (after.quiesce, after.downtime, after.hooks) == (QUIESCE, "12s", (SAID,))
    assert "down for at most 12s" in backup_end.done(after) and "not healthy yet: shop/db" in backup_end.done(after)


def test_what_is_known_of_services_outlives_a_report_that_does_not_tell() -> None:
    known = STARTED.model_copy(update={"quiesce": QUIESCE, "downtime": "12s"})
    after = after_attempt(known, Report(failure=FULL), "", SLOT)
    assert (after.quiesce, after.downtime) == (QUIESCE, "12s")


@pytest.mark.parametrize(
    ("kinds", "weakest"),
    [
        (("Stopped",), "Stopped"),
        (("Stopped", "Frozen"), "Frozen"),
        (("Frozen", "Live", "Stopped"), "Live"),
        ((), None),
    ],
    ids=["all stopped", "one frozen", "one live", "none"],
)
def test_the_weakest_volume_counts(kinds: tuple[str, ...], weakest: str | None) -> None:
    volumes = tuple(GOOD.model_copy(update={"name": kind, "consistency": kind}) for kind in kinds)
    after = after_attempt(STARTED, Report(backup=WHOLE.model_copy(update={"volumes": volumes})), "", SLOT)
    assert after.consistency == weakest
