"""The means to keep services down for less, with real restic: stages by copies, and warm snapshots.

What a stage holds, and what clones do, is tried in tests/stage.
"""

from __future__ import annotations

import json
import mmap
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from compose_backup.agent.stage.looks import GRANULARITY_NS
from compose_backup.agent.warm import WORTHWHILE_BYTES
from compose_backup.api import reasons
from compose_backup.api.backup_run import VolumeResult, WindowUse
from compose_backup.api.job import Report, VolumeAhead
from contracts.restic_bench import Bench, plan, reason_of
from contracts.shop_bench import (
    ALL_UP,
    SHOP,
    failing_restic,
    observed_restic,
    shop_engine,
    slow_restic,
    surrounded_restic,
)
from fakes.agent_engine import Call

WARM = VolumeAhead(warm=True)
MIB = 1 << 20


@pytest.fixture
def staged(shop: Bench) -> VolumeAhead:
    """The volume `data` may have a stage; as the file system of a test may not clone, its files are copied."""
    stage = shop.root / "stage"
    stage.mkdir()
    return VolumeAhead(stage=str(stage), copies=True)


def backup(bench: Bench, ahead: VolumeAhead, day: int = 0, **settings: Any) -> Report:
    """Archive the volume with its services stopped; the second day begins as the first one did."""
    if day:
        bench.engine = shop_engine()
    return bench.backup("data", day=day, plan=plan(services=SHOP), ahead={"data": ahead}, **settings)


def result(report: Report) -> VolumeResult:
    assert report.backup is not None and reason_of(report) is None, report.failure
    return report.backup.volumes[0]


def use(report: Report) -> WindowUse:
    found = result(report).window
    assert found is not None
    return found


def content(bench: Bench, report: Report) -> bytes:
    """Restore the file of the volume with plain restic, elsewhere, and return it."""
    target = bench.root / "elsewhere"
    bench.restic("restore", f"{result(report).snapshot_id}:{bench.named('data')}", "--target", str(target))
    return (target / "file").read_bytes()


def summary(bench: Bench, report: Report) -> dict[str, int]:
    """Return what restic itself wrote down of a snapshot."""
    document = json.loads(bench.restic("cat", "snapshot", str(result(report).snapshot_id)))
    found: dict[str, int] = document["summary"]
    return found


def kinds(bench: Bench) -> set[str]:
    """Return the kinds of snapshots that are there."""
    return {tag for one in bench.snapshots() for tag in one["tags"] if tag.startswith("kind=")}  # type: ignore[attr-defined]


def writing_when_stopped(file: Path, text: bytes) -> Callable[[Call], None]:
    """Return what a database does that writes its last words when it is stopped."""

    def write(call: Call) -> None:
        if call.act == "stop" and call.container == "id-db":
            file.write_bytes(text)

    return write


@contextmanager
def small_disk(place: Path) -> Iterator[Callable[[], object]]:
    """Mount a disk of its own on a directory; yield what fills it but for less than must stay free."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "small", place], check=True)
    ballast = place / "ballast"
    try:
        yield lambda: ballast.write_bytes(bytes(int(3.8 * MIB)))
    finally:
        subprocess.run(["umount", place], check=True)


def age(root: Path) -> None:
    """Wait until no file has changed so shortly before that a change of the same time could hide."""
    newest = max(path.lstat().st_ctime_ns for path in (root, *root.rglob("*")))
    while time.time_ns() <= newest + GRANULARITY_NS:
        time.sleep(0.05)


class TestStage:
    def test_services_are_up_again_while_it_is_archived(self, shop: Bench, staged: VolumeAhead) -> None:
        with observed_restic(shop) as calls:
            report = backup(shop, staged)
        assert calls() == ["backup: closed", "record: closed"] and shop.engine.states() == ALL_UP
        assert use(report).means == "Copy" and result(report).consistency == "Stopped"
        assert content(shop, report) == b"data" and result(report).files == 1

    def test_what_was_written_while_services_still_ran_is_in_it(self, shop: Bench, staged: VolumeAhead) -> None:
        file = shop.volume("data") / "file"
        shop.engine.after = writing_when_stopped(file, b"late")
        assert content(shop, backup(shop, staged)) == b"late"

    def test_it_is_gone_afterwards(self, shop: Bench, staged: VolumeAhead) -> None:
        backup(shop, staged)
        assert list(Path(str(staged.stage)).iterdir()) == []

    def test_a_dead_attempt_has_left_something_in_it(self, shop: Bench, staged: VolumeAhead) -> None:
        old = Path(str(staged.stage)) / "volumes" / "data"
        old.mkdir(parents=True)
        (old / "half").write_text("old")
        assert result(backup(shop, staged)).files == 1

    def test_nothing_is_read_again_that_has_not_changed(self, shop: Bench, staged: VolumeAhead) -> None:
        for number in range(20):
            (shop.volume("data") / f"file{number}").write_bytes(os.urandom(1000))
        age(shop.volume("data"))
        backup(shop, staged)
        again = summary(shop, backup(shop, staged, day=1))
        # The manifest beside it is written anew each time; the volume's files are trusted.
        assert again["files_unmodified"] == 21

    def test_a_change_that_hides_its_time_is_read(self, shop: Bench, staged: VolumeAhead) -> None:
        file = shop.volume("data") / "file"
        age(shop.volume("data"))
        backup(shop, staged)
        before = file.stat()
        file.write_bytes(b"DATA")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        report = backup(shop, staged, day=1)
        assert content(shop, report) == b"DATA"
        assert kinds(shop) == {"kind=run", "kind=record"}

    def test_after_a_run_without_a_stage_all_is_read(self, shop: Bench, staged: VolumeAhead) -> None:
        file = shop.volume("data") / "file"
        shop.backup("data", plan=plan(services=SHOP))
        before = file.stat()
        file.write_bytes(b"DATA")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert content(shop, backup(shop, staged, day=1)) == b"DATA"

    def test_patterns_of_the_policy_hold(self, shop: Bench, staged: VolumeAhead) -> None:
        (shop.volume("data") / "skip.log").write_text("x")
        assert result(backup(shop, staged, exclude_files=("*.log",))).files == 1

    def test_a_writer_that_comes_back_early_makes_it_worthless(self, shop: Bench, staged: VolumeAhead) -> None:
        def start(call: Call) -> None:
            if call.act == "stop" and call.container == "id-db":
                shop.engine.run("id-web")

        shop.engine.after = start
        report = backup(shop, staged)
        assert reason_of(report) == reasons.SERVICES_RUNNING and shop.engine.states() == ALL_UP

    def test_what_was_captured_in_time_is_archived_though_the_window_is_over(
        self, shop: Bench, staged: VolumeAhead
    ) -> None:
        """`data` is staged, `more` is read too slowly: the one is good, the other is not."""
        with slow_restic(shop, shop.named("more")):
            report = shop.backup("data", "more", plan=plan(services=SHOP, max_seconds=4), ahead={"data": staged})
        assert report.backup is not None and reason_of(report) == reasons.WINDOW_EXCEEDED
        assert [one.phase for one in report.backup.volumes] == ["Succeeded", "Failed"]

    def test_a_disk_that_runs_full_while_it_is_archived_ends_the_attempt(
        self, shop: Bench, staged: VolumeAhead
    ) -> None:
        """What restic has read by then may be half gone; services are up, and the next attempt takes no stage."""
        with small_disk(Path(str(staged.stage))) as fill:
            with surrounded_restic(shop, "--tag=kind=run", fill, lambda: None):
                report = backup(shop, staged)
            assert reason_of(report) == reasons.STAGE_DROPPED and report.failure and report.failure.retryable
            assert shop.engine.states() == ALL_UP and [one.name for one in Path(str(staged.stage)).iterdir()] == [
                "ballast"
            ]
        assert kinds(shop) == {"kind=run", "kind=record"}

    def test_a_disk_that_is_full_before_is_told(self, shop: Bench, staged: VolumeAhead) -> None:
        with small_disk(Path(str(staged.stage))) as fill:
            fill()
            report = backup(shop, staged)
        assert use(report).means == "Everything" and "must stay free" in str(use(report).reason)

    def test_one_that_is_dropped_while_it_is_read_ends_the_attempt_as_such(
        self, shop: Bench, staged: VolumeAhead
    ) -> None:
        """Whatever restic says of files that are gone."""
        with small_disk(Path(str(staged.stage))) as fill:

            def drop() -> None:
                fill()
                for name in ("volumes", "manifest"):
                    shutil.rmtree(Path(str(staged.stage)) / name)

            with surrounded_restic(shop, "--tag=kind=run", drop, lambda: None):
                report = backup(shop, staged)
        assert reason_of(report) == reasons.STAGE_DROPPED

    def test_a_service_that_does_not_start_does_not_wait_for_the_archive(
        self, shop: Bench, staged: VolumeAhead
    ) -> None:
        def heal(call: Call) -> None:
            if call.act == "start" and '"resumed"' in (shop.root / "journal" / "progress.jsonl").read_text():
                shop.engine.start_errors.clear()

        seen: list[dict[str, str]] = []
        shop.engine.start_errors["id-db"] = "port is already allocated"
        shop.engine.before = heal
        with surrounded_restic(shop, "--tag=kind=run", lambda: seen.append(shop.engine.states()), lambda: None):
            result(backup(shop, staged))
        assert seen == [ALL_UP]

    def test_it_goes_before_volumes_that_take_long(self, shop: Bench, staged: VolumeAhead) -> None:
        with slow_restic(shop, shop.named("data")):
            report = shop.backup("data", "more", plan=plan(services=SHOP, max_seconds=4), ahead={"more": staged})
        assert report.backup is not None
        assert [one.phase for one in report.backup.volumes] == ["Failed", "Succeeded"]

    def test_a_disk_that_runs_full_before_services_are_stopped_costs_only_the_stage(
        self, shop: Bench, staged: VolumeAhead
    ) -> None:
        """It does while another volume is made ready; the run goes on, and says so."""
        (shop.volume("more") / "file").write_bytes(bytes(WORTHWHILE_BYTES))
        ahead = {"data": staged, "more": WARM}
        with (
            small_disk(Path(str(staged.stage))) as fill,
            surrounded_restic(shop, "--tag=kind=warm", fill, lambda: None),
        ):
            report = shop.backup("data", "more", plan=plan(services=SHOP), ahead=ahead)
        assert use(report).means == "Everything" and "must stay free" in str(use(report).reason)
        assert content(shop, report) == b"data"

    def test_where_it_cannot_be_the_reason_is_told(self, shop: Bench, staged: VolumeAhead) -> None:
        """Without leave to copy, and on a file system without clones."""
        report = backup(shop, VolumeAhead(no_stage="the volume's driver is nfs"))
        assert (use(report).means, use(report).reason) == ("Everything", "the volume's driver is nfs")

    def test_nothing_goes_down(self, shop: Bench) -> None:
        report = shop.backup("data", plan=plan(method="None", left_running=("id-db", "id-app", "id-web")))
        assert result(report).window is None


class TestWarm:
    def test_only_what_has_changed_since_is_read_while_services_are_down(self, shop: Bench) -> None:
        for number in range(20):
            (shop.volume("data") / f"file{number}").write_bytes(os.urandom(2 * MIB))
        age(shop.volume("data"))
        shop.engine.after = writing_when_stopped(shop.volume("data") / "file", b"late")
        with observed_restic(shop) as calls:
            report = backup(shop, WARM)
        assert calls()[0] == "backup: down" and use(report).means == "Warm"
        assert content(shop, report) == b"late" and summary(shop, report)["files_unmodified"] == 20
        assert kinds(shop) == {"kind=run", "kind=record"}

    def test_what_is_written_without_a_trace_is_read(self, shop: Bench) -> None:
        """The page is dirty when the live pass reads it, and so its next change alters no time."""
        file = shop.volume("data") / "file"
        file.write_bytes(bytes(WORTHWHILE_BYTES))
        age(shop.volume("data"))
        with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as mapped:

            def write(text: bytes) -> None:
                mapped[:5] = text

            with surrounded_restic(shop, "--tag=kind=warm", partial(write, b"first"), partial(write, b"later")):
                report = backup(shop, WARM)
        assert content(shop, report)[:5] == b"later"

    def test_warm_snapshots_of_runs_that_died_are_removed(self, shop: Bench) -> None:
        file = shop.volume("data") / "file"
        file.write_bytes(bytes(WORTHWHILE_BYTES))
        with failing_restic(shop, "forget"):
            backup(shop, WARM)
        assert "kind=warm" in kinds(shop)
        assert use(backup(shop, WARM, day=1)).means == "Everything"
        assert "kind=warm" not in kinds(shop)

    def test_after_a_stage_all_is_new_to_restic(self, shop: Bench, staged: VolumeAhead) -> None:
        (shop.volume("data") / "file").write_bytes(bytes(WORTHWHILE_BYTES))
        backup(shop, staged)
        assert use(backup(shop, WARM, day=1)).means == "Warm"

    def test_where_little_is_to_be_read_it_is_left_out(self, shop: Bench) -> None:
        report = backup(shop, WARM)
        assert use(report).means == "Everything" and "little is to be read: 4 B in 1 files" in str(use(report).reason)
