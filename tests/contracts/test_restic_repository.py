"""Opening, creating and losing a repository, and ends before the end, by the agent against real restic."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose_backup.api import reasons
from compose_backup.api.job import RepositoryAccess
from contracts.restic_bench import (
    PASSWORD,
    Bench,
    ScriptedEngine,
    empty_directory,
    inventory,
    reason_of,
)


class TestRepository:
    def test_probe_counts_volumes_not_records(self, bench: Bench) -> None:
        bench.archived(bench.volume("data").name)
        found = bench.probe().probe
        assert found is not None and found.snapshots == 1 and found.size_bytes > 1000 and not found.created

    def test_absent_is_not_created_unasked(self, bench: Bench) -> None:
        empty_directory(bench.repository)
        assert reason_of(bench.probe()) == reasons.REPOSITORY_ABSENT
        assert not list(bench.repository.iterdir())

    def test_vanished_is_never_created_again(self, bench: Bench) -> None:
        seen = bench.probe().probe
        assert seen is not None
        empty_directory(bench.repository)
        bench.access = bench.access.model_copy(update={"expected_id": seen.repository_id})
        for report in (bench.probe(create=True), bench.backup(bench.volume("data").name)):
            assert reason_of(report) == reasons.REPOSITORY_VANISHED
        assert not list(bench.repository.iterdir())

    def test_replaced(self, bench: Bench) -> None:
        bench.access = bench.access.model_copy(update={"expected_id": "0" * 64})
        assert reason_of(bench.probe(create=True)) == reasons.REPOSITORY_REPLACED

    def test_foreign_files_are_left_alone(self, bench: Bench) -> None:
        empty_directory(bench.repository)
        (bench.repository / "holiday.jpg").write_text("precious")
        report = bench.probe(create=True)
        assert reason_of(report) == reasons.REPOSITORY_ABSENT
        assert report.failure is not None and "holiday.jpg" in report.failure.message

    def test_wrong_password_is_named_and_not_shown(self, bench: Bench) -> None:
        bench.access = RepositoryAccess.model_validate({"password": "other-canary"})
        report = bench.probe()
        assert reason_of(report) == reasons.WRONG_PASSWORD
        said = bench.diagnostics + "".join(event.model_dump_json() for event in bench.events)
        assert "other-canary" not in said and PASSWORD not in said

    @pytest.mark.parametrize("damage", [b"", b"x" * 155], ids=["truncated", "overwritten"])
    def test_damaged_config(self, bench: Bench, damage: bytes) -> None:
        (bench.repository / "config").chmod(0o600)
        (bench.repository / "config").write_bytes(damage)
        assert reason_of(bench.probe(create=True)) == reasons.REPOSITORY_DAMAGED

    def test_read_only_file_system(self, small_disk: Bench) -> None:
        """restic alone would try to write its lock for a quarter of an hour."""
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk.repository)], check=True)
        small_disk.engine = ScriptedEngine(inventory(small_disk.volume("data").name))
        assert reason_of(small_disk.backup("data")) == reasons.REPOSITORY_NOT_READY

    def test_full_disk(self, small_disk: Bench) -> None:
        (small_disk.volume("a") / "big").write_bytes(os.urandom(6_000_000))
        (small_disk.volume("b") / "small").write_text("small")
        small_disk.engine = ScriptedEngine(inventory("a", "b"))
        report = small_disk.backup("a", "b")
        assert reason_of(report) == reasons.DISK_FULL
        assert report.backup is not None and "not reached" in (report.backup.volumes[1].error or "")

    @pytest.fixture
    def small_disk(self, bench: Bench, template: Path) -> Iterator[Bench]:
        """The repository on a file system of 4 MiB."""
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4M", "none", str(bench.repository)], check=True)
        try:
            shutil.copytree(template, bench.repository, dirs_exist_ok=True)
            yield bench
        finally:
            subprocess.run(["umount", str(bench.repository)], check=True)


class TestEarlyEnds:
    def test_deadline(self, bench: Bench) -> None:
        bench.engine = ScriptedEngine(inventory("data"))
        bench.volume("data")
        report = bench.backup("data", seconds_left=0)
        assert reason_of(report) == reasons.DEADLINE_EXCEEDED and not report.cancelled

    def test_cancelled(self, bench: Bench) -> None:
        bench.stop.cancel()
        report = bench.probe()
        assert reason_of(report) == reasons.CANCELLED and report.cancelled
        assert not list((bench.repository / "locks").iterdir())
