"""The agent's jobs against real restic: what is archived comes back, and what is not is never called archived."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from compose_backup.api import reasons
from contracts.restic_bench import (
    HOST,
    POLICY,
    Bench,
    ScriptedEngine,
    empty_directory,
    inventory,
    reason_of,
    without_capabilities,
    writing_container,
)

ODD_NAMES = ("a[1]*?", "back\\slash", "new\nline", " leading", "-dash", "ü", "$HOME", "x" * 255)


def entries(directory: Path) -> dict[str, tuple[object, ...]]:
    """Return everything that must come back, the directory itself included as `.`."""
    paths = [directory, *directory.rglob("*")]
    return {str(path.relative_to(directory)): _facts(path) for path in paths}


def _facts(path: Path) -> tuple[object, ...]:
    found = path.lstat()
    attributes = {
        name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)
    }
    content = path.read_bytes() if stat.S_ISREG(found.st_mode) else os.readlink(path) if path.is_symlink() else None
    links = 0 if stat.S_ISDIR(found.st_mode) else found.st_nlink
    return found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns, links, attributes, content


def make_tree(directory: Path) -> None:
    """Fill a volume with everything that a copy may lose."""
    (directory / "sub/deep").mkdir(parents=True)
    for index, name in enumerate(ODD_NAMES):
        (directory / "sub" / name).write_bytes(bytes([index]) * (index * 1000))
    (directory / "one").write_text("linked")
    os.link(directory / "one", directory / "sub/two")
    (directory / "link").symlink_to("sub/two")
    os.mkfifo(directory / "pipe")
    os.mknod(directory / "device", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    (directory / "set").write_text("id")
    os.chown(directory / "set", 1000, 1001)
    (directory / "set").chmod(0o4750)
    (directory / "sub/deep").chmod(0o2775)
    os.setxattr(directory / "one", "user.note", b"kept")
    os.utime(directory / "one", ns=(1, 1_600_000_000_123_456_789))
    os.chown(directory, 999, 998)
    directory.chmod(0o1751)


class TestRoundTrip:
    def test_everything_comes_back_into_another_owners_volume(self, bench: Bench) -> None:
        """Owner and mode of the root too: databases refuse to start on a wrong one."""
        volume = bench.volume("data")
        make_tree(volume)
        before = entries(volume)
        (result,) = bench.archived("data")
        empty_directory(volume)
        os.chown(volume, 0, 0)
        volume.chmod(0o700)
        report = bench.restore(result)
        assert reason_of(report) is None
        assert entries(volume) == before
        assert result.phase == "Succeeded" and result.consistency == "Stopped" and result.files == len(ODD_NAMES) + 3

    def test_plain_restic_shows_and_restores_it(self, bench: Bench, tmp_path: Path) -> None:
        (bench.volume("data") / "file").write_text("content")
        (result,) = bench.archived("data")
        target = tmp_path / "elsewhere"
        bench.restic("restore", f"{result.snapshot_id}:{bench.named('data')}", "--target", str(target))
        assert (target / "file").read_text() == "content"

    @pytest.mark.parametrize("existing", ["Overwrite", "Mirror"])
    def test_existing_data(self, bench: Bench, existing: str) -> None:
        """Both bring back what changed; only Mirror removes what is not in the snapshot."""
        volume = bench.volume("data")
        (volume / "file").write_text("then")
        (result,) = bench.archived("data")
        (volume / "file").write_text("now!")
        (volume / "extra").write_text("new")
        report = bench.restore(result, existing=existing)  # type: ignore[arg-type]
        assert reason_of(report) is None and (volume / "file").read_text() == "then"
        assert (volume / "extra").exists() == (existing == "Overwrite")

    def test_mirror_leaves_other_volumes_alone(self, bench: Bench) -> None:
        """restic's --delete without an include erases everything else below the target."""
        (bench.volume("data") / "file").write_text("content")
        other = bench.volume("data2")
        (other / "precious").write_text("precious")
        (result,) = bench.archived("data")
        assert reason_of(bench.restore(result, existing="Mirror")) is None
        assert (other / "precious").exists()

    def test_equal_data_counts_as_restored(self, bench: Bench) -> None:
        (bench.volume("data") / "file").write_text("content")
        (result,) = bench.archived("data")
        assert reason_of(bench.restore(result, existing="Overwrite")) is None

    def test_empty_volume(self, bench: Bench) -> None:
        os.chown(bench.volume("data"), 5, 6)
        (result,) = bench.archived("data")
        assert result.phase == "Succeeded" and result.files == 0 and len(result.warnings) == 1
        os.chown(bench.volume("data"), 0, 0)
        assert reason_of(bench.restore(result)) is None
        assert bench.volume("data").stat().st_uid == 5


class TestRefusals:
    def test_data_in_any_target_stops_all(self, bench: Bench) -> None:
        for name in ("a", "b"):
            (bench.volume(name) / "file").write_text(name)
        results = bench.archived("a", "b")
        empty_directory(bench.volume("a"))
        report = bench.restore(*results)
        assert reason_of(report) == reasons.TARGET_NOT_EMPTY
        assert not list(bench.volume("a").iterdir())
        assert not any(event.target_touched for event in bench.events)

    def test_lost_and_found_is_no_data(self, bench: Bench) -> None:
        (bench.volume("data") / "file").write_text("content")
        (result,) = bench.archived("data")
        empty_directory(bench.volume("data"))
        (bench.volume("data") / "lost+found").mkdir()
        assert reason_of(bench.restore(result)) is None

    @pytest.mark.parametrize(
        ("include", "reason"),
        [
            pytest.param("sub/nothing", reasons.INCLUDE_MATCHES_NOTHING, id="absent"),
            pytest.param("su?", reasons.INCLUDE_MATCHES_NOTHING, id="no-glob"),
            pytest.param("../other", reasons.INVALID_SPEC, id="outside"),
        ],
    )
    def test_include(self, bench: Bench, include: str, reason: str) -> None:
        make_tree(bench.volume("data"))
        (result,) = bench.archived("data")
        empty_directory(bench.volume("data"))
        assert reason_of(bench.restore(result, include=("sub", include))) == reason
        assert not list(bench.volume("data").iterdir())

    def test_snapshot_of_another_volume(self, bench: Bench) -> None:
        (result,) = bench.archived(bench.volume("data").name)
        wrong = result.model_copy(update={"name": bench.volume("other").name})
        assert reason_of(bench.restore(wrong)) == reasons.SNAPSHOT_NOT_FOUND


class TestIncludes:
    @pytest.mark.parametrize("name", ["a[1]*?", "back\\slash", "new\nline", "-dash"])
    def test_odd_name_alone(self, bench: Bench, name: str) -> None:
        make_tree(bench.volume("data"))
        (result,) = bench.archived("data")
        empty_directory(bench.volume("data"))
        report = bench.restore(result, include=(f"/sub/{name}",))
        assert reason_of(report) is None
        assert [path.name for path in (bench.volume("data") / "sub").iterdir()] == [name]

    def test_mirror_deletes_below_the_include_only(self, bench: Bench) -> None:
        volume = bench.volume("data")
        make_tree(volume)
        (result,) = bench.archived("data")
        (volume / "sub/extra").write_text("x")
        (volume / "extra").write_text("x")
        assert reason_of(bench.restore(result, existing="Mirror", include=("sub",))) is None
        assert not (volume / "sub/extra").exists() and (volume / "extra").exists()


class TestExcludes:
    @pytest.mark.parametrize(
        ("patterns", "left"),
        [
            pytest.param(("*.log",), {"keep", "cache/x"}, id="name"),
            pytest.param(("/cache",), {"keep", "a.log", "sub/b.log"}, id="anchored-in-the-volume"),
            pytest.param(("sub/b.log",), {"keep", "a.log", "cache/x"}, id="path"),
            pytest.param(("data",), {"keep", "a.log", "sub/b.log", "cache/x"}, id="name-of-the-volume"),
            pytest.param(("volumes",), {"keep", "a.log", "sub/b.log", "cache/x"}, id="name-of-the-mount"),
            pytest.param(("*.log", "!a.log"), {"keep", "a.log", "cache/x"}, id="negated"),
        ],
    )
    def test_what_is_left(self, bench: Bench, patterns: tuple[str, ...], left: set[str]) -> None:
        volume = bench.volume("data")
        for name in ("keep", "a.log", "sub/b.log", "cache/x"):
            (volume / name).parent.mkdir(exist_ok=True)
            (volume / name).write_text(name)
        (result,) = bench.archived("data", exclude_files=patterns)
        root = bench.named("data")
        listed = bench.restic("ls", "--recursive", "--json", str(result.snapshot_id), root).splitlines()[1:]
        files = [node["path"] for node in map(json.loads, listed) if node["type"] == "file"]
        assert {str(Path(path).relative_to(root)) for path in files} == left

    @pytest.mark.parametrize("patterns", [("*",), ("file",), ("/",)], ids=["all", "the-only-file", "root"])
    def test_nothing_left_is_a_failure(self, bench: Bench, patterns: tuple[str, ...]) -> None:
        (bench.volume("data") / "file").write_text("content")
        (result,) = bench.archived("data", exclude_files=patterns)
        assert result.phase == "Failed" and "narrow the patterns" in (result.error or "")

    def test_bad_pattern(self, bench: Bench) -> None:
        (bench.volume("data") / "file").write_text("content")
        bench.engine = ScriptedEngine(inventory("data"))
        assert reason_of(bench.backup("data", exclude_files=("[",))) == reasons.INVALID_SPEC


class TestUnreadable:
    @pytest.fixture
    def weak(self, bench: Bench) -> Bench:
        """restic without the right to read what belongs to others."""
        bench.program = without_capabilities(bench.root, bench.program, "-dac_override,-dac_read_search")
        return bench

    def test_one_file(self, weak: Bench) -> None:
        for name in ("mine", "theirs"):
            (weak.volume("data") / name).write_text(name)
        (weak.volume("data") / "theirs").chmod(0)
        os.chown(weak.volume("data") / "theirs", 1000, 1000)
        weak.engine = ScriptedEngine(inventory("data"))
        report = weak.backup("data")
        assert report.backup is not None and report.backup.verdict == "PartiallyFailed"
        assert reason_of(report) == reasons.UNREADABLE_FILES
        assert "theirs" in report.backup.volumes[0].warnings[0]

    def test_the_root_itself(self, weak: Bench) -> None:
        """restic makes a snapshot without the volume then; it must not be offered for a restore."""
        (weak.volume("data") / "file").write_text("content")
        weak.volume("data").chmod(0)
        os.chown(weak.volume("data"), 1000, 1000)
        (result,) = weak.archived("data")
        assert result.phase == "Failed" and result.snapshot_id is None

    def test_target(self, weak: Bench, program: str) -> None:
        """A restore that may not write leaves an incomplete volume, and says so for ever."""
        weak.program, weak_program = program, weak.program
        make_tree(weak.volume("data"))
        (result,) = weak.archived("data")
        empty_directory(weak.volume("data"))
        weak.volume("data").chmod(0o700)
        weak.program = weak_program
        report = weak.restore(result)
        assert reason_of(report) == reasons.TARGET_INCOMPLETE
        assert report.restore is not None and report.restore.volumes[0].phase == "TargetIncomplete"
        assert weak.events[-1].target_touched


class TestWriters:
    @pytest.mark.parametrize(
        ("before", "after", "live", "phase", "consistency"),
        [
            pytest.param("running", "running", True, "Succeeded", "Live", id="asked-for-live"),
            pytest.param("exited", "exited", False, "Succeeded", "Stopped", id="stopped"),
            pytest.param("exited", "running", False, "Failed", "Live", id="started-meanwhile"),
            pytest.param("exited", "running", True, "Succeeded", "Live", id="started-meanwhile-live"),
        ],
    )
    def test_consistency(self, bench: Bench, before: str, after: str, live: bool, phase: str, consistency: str) -> None:
        (bench.volume("data") / "file").write_text("content")
        looks = [inventory("data", containers=[writing_container("data", state)]) for state in (before, after)]
        bench.engine = ScriptedEngine(*looks)
        report = bench.backup("data", live=live)
        assert report.backup is not None
        assert (report.backup.volumes[0].phase, report.backup.volumes[0].consistency) == (phase, consistency)

    def test_running_writer_that_was_not_planned_with_is_named_and_nothing_is_read(self, bench: Bench) -> None:
        bench.engine = ScriptedEngine(inventory("data", containers=[writing_container("data")]))
        report = bench.backup("data")
        assert reason_of(report) == reasons.SERVICES_CHANGED
        assert report.failure is not None and "shop/db writes now" in report.failure.message
        assert report.failure.retryable and bench.snapshots() == []

    def test_volume_that_docker_does_not_know(self, bench: Bench) -> None:
        for name in ("here", "gone"):
            (bench.volume(name) / "file").write_text(name)
        bench.engine = ScriptedEngine(inventory("here"))
        report = bench.backup("gone", "here")
        assert report.backup is not None and report.backup.verdict == "PartiallyFailed"
        assert [one.phase for one in report.backup.volumes] == ["Failed", "Succeeded"]
        assert reason_of(report) == reasons.VOLUME_NOT_FOUND


class TestRecords:
    def test_tags_slot_and_parent(self, bench: Bench) -> None:
        (bench.volume("data") / "file").write_text("content")
        first, second = bench.archived("data")[0], bench.archived("data", day=1)[0]
        snapshots = {one["id"]: one for one in bench.snapshots()}
        found = snapshots[second.snapshot_id]
        assert found["parent"] == first.snapshot_id
        assert found["time"] == "2026-11-25T02:00:00Z" and found["hostname"] == HOST
        expected = [
            "kind=run",
            f"policy={POLICY}",
            "run=nightly-1",
            "uid=uid-1",
            "attempt=1",
            "installation=installation-uid",
        ]
        assert found["tags"] == expected
        assert second.bytes_added < 3000

    def test_a_backup_tells_of_the_repository_what_a_probe_would(self, bench: Bench) -> None:
        for name in ("data", "other"):
            (bench.volume(name) / "file").write_text("content")
        bench.archived("data", "other")
        report = bench.backup("data", "other", day=1)
        assert report.backup is not None and report.backup.repository == bench.probe().probe

    def test_catalog_finds_good_runs_only(self, bench: Bench) -> None:
        (bench.volume("data") / "file").write_text("content")
        (good,) = bench.archived("data")
        bench.engine = ScriptedEngine(inventory("another"))
        bench.backup("data", day=1)
        newest = bench.catalog(policy=POLICY, host=HOST).catalog
        assert newest is not None and newest.record is not None
        assert newest.record.run_uid == "uid-0" and [point.run_uid for point in newest.points] == ["uid-0"]
        manifest = newest.record.volumes[0].manifest
        assert manifest is not None and manifest.labels == {"keep": "me"} and manifest.restic_version.startswith("0.")
        by_uid = bench.catalog(run_uid="uid-1").catalog
        assert by_uid is not None and by_uid.record is not None and by_uid.record.verdict == "Failed"
        nothing = bench.catalog(policy="team/other").catalog
        assert nothing is not None and nothing.record is None and nothing.points == ()
        by_id = bench.catalog(snapshot_id=str(good.snapshot_id)[:8]).catalog
        assert by_id is not None and by_id.snapshot is not None
        assert by_id.snapshot.volume == "data" and by_id.snapshot.manifest == manifest

    @pytest.mark.parametrize("prefix", ["00000000", ""], ids=["absent", "ambiguous"])
    def test_catalog_of_an_id(self, bench: Bench, prefix: str) -> None:
        bench.archived(bench.volume("data").name)
        assert reason_of(bench.catalog(snapshot_id=prefix)) == reasons.SNAPSHOT_NOT_FOUND

    def test_without_a_record_it_did_not_succeed(self, bench: Bench) -> None:
        """The disk that fills up between the last volume and its record."""
        bench.program = _failing_on(bench, "--stdin")
        (bench.volume("data") / "file").write_text("content")
        bench.engine = ScriptedEngine(inventory("data"))
        report = bench.backup("data")
        assert report.backup is not None and report.backup.verdict == "Failed" and report.backup.record_id is None
        assert reason_of(report) == reasons.DISK_FULL


def _failing_on(bench: Bench, argument: str) -> str:
    """Return a restic that reports a full disk when it gets this argument."""
    script = bench.root / "full-restic"
    script.write_text(
        f'#!/bin/sh\ncase " $* " in *" {argument} "*) echo "Fatal: write: no space left on device" >&2; exit 1;; esac\n'
        f'exec "{bench.program}" "$@"\n'
    )
    script.chmod(0o755)
    return str(script)
