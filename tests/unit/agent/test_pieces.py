"""The small pure parts of the jobs: progress, verdicts, includes, counts, and the look through the Docker socket."""

from __future__ import annotations

import datetime as dt
import gc
from pathlib import Path
from typing import Any

import docker.errors
import pytest

from compose_backup.agent import run_record
from compose_backup.agent.archive import Archived
from compose_backup.agent.looking import Look
from compose_backup.agent.manifest import manifest_of
from compose_backup.agent.probe import foreign_entries
from compose_backup.agent.progress import Tally
from compose_backup.agent.quiesce.engine import DockerEngine
from compose_backup.agent.restore_checks import Wanted, normalized
from compose_backup.agent.texts import shorten
from compose_backup.api import reasons
from compose_backup.api.backup_run import VolumeResult
from compose_backup.api.record import RootDirectory
from compose_backup.errors import AgentFailed
from compose_backup.planning import labels
from compose_backup.planning.facts import Container, Inventory, Mount, Volume
from compose_backup.planning.records import Snapshot


def archived(phase: Any, consistency: Any = "Stopped") -> Archived:
    return Archived(VolumeResult(name="v", phase=phase, consistency=consistency))


@pytest.mark.parametrize(
    ("phases", "verdict"),
    [
        (("Succeeded", "Succeeded"), "Succeeded"),
        (("Succeeded", "PartiallyFailed"), "PartiallyFailed"),
        (("Succeeded", "Failed"), "PartiallyFailed"),
        (("PartiallyFailed",), "PartiallyFailed"),
        (("Failed", "Failed"), "Failed"),
        ((), "Failed"),
    ],
    ids=str,
)
def test_verdict(phases: tuple[str, ...], verdict: str) -> None:
    assert run_record.verdict_on([archived(phase) for phase in phases]) == verdict


@pytest.mark.parametrize(
    ("seen", "weakest"),
    [
        (("Stopped", "Stopped"), "Stopped"),
        (("Stopped", "Live"), "Live"),
        (("Stopped", None), "Stopped"),
        ((None,), "Live"),
        ((), "Live"),
    ],
    ids=str,
)
def test_weakest(seen: tuple[str | None, ...], weakest: str) -> None:
    assert run_record.weakest([archived("Succeeded", one) for one in seen]) == weakest


def test_progress_over_two_volumes() -> None:
    tally = Tally(("a", "b"), {"a": 100, "b": 300})
    first = tally.take("a", {"bytes_done": 50, "total_bytes": 80, "files_done": 2})
    assert (first.percent, first.bytes_done, first.bytes_total, first.files_done) == (12, 50, 400, 2)
    assert tally.finish("a", 200, 5).bytes_total == 500
    restoring = tally.take("b", {"bytes_restored": 100, "bytes_skipped": 200, "total_bytes": 100})
    assert (restoring.percent, restoring.volume) == (100, "b")


def test_progress_before_anything_is_known() -> None:
    assert Tally(("a",), {}).take("a", {}).percent == 0


@pytest.mark.parametrize(
    ("includes", "expected"),
    [
        pytest.param((), (), id="none"),
        pytest.param(("/conf/app.ini", "data/"), ("conf/app.ini", "data"), id="slashes"),
        pytest.param(("a//b/./c",), ("a/b/c",), id="detours"),
        pytest.param(("conf", "/"), (), id="everything"),
        pytest.param(("..hidden",), ("..hidden",), id="two-dots-in-a-name"),
    ],
)
def test_includes(includes: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert normalized(includes) == expected


@pytest.mark.parametrize("include", ["..", "../x", "a/../../x", "/../x"])
def test_includes_outside(include: str) -> None:
    with pytest.raises(AgentFailed) as caught:
        normalized((include,))
    assert caught.value.reason == reasons.INVALID_SPEC


@pytest.mark.parametrize(
    ("files", "directories", "expected"),
    [
        pytest.param(5, 6, 8, id="four-files-four-directories"),
        pytest.param(1, 3, 1, id="empty"),
        pytest.param(0, 0, 1, id="restic-before-0.17-tells-nothing"),
    ],
)
def test_least_entries(files: int, directories: int, expected: int) -> None:
    when = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)
    snapshot = Snapshot("x", when, "h", ("/manifest/v.json", "/volumes/v"), {}, files, directories)
    assert Wanted("v", "v", snapshot, "/volumes/v").least_entries == expected


@pytest.mark.parametrize(
    ("names", "foreign"),
    [
        pytest.param((), [], id="empty"),
        pytest.param(("lost+found/", "data/", "keys/"), [], id="a-creation-that-was-killed"),
        pytest.param(("keys/k",), ["keys"], id="a-key-without-config"),
        pytest.param(("photo",), ["photo"], id="a-file"),
        pytest.param(("folder/",), ["folder"], id="a-directory"),
    ],
)
def test_foreign_entries(tmp_path: Path, names: tuple[str, ...], foreign: list[str]) -> None:
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.mkdir() if name.endswith("/") else path.write_text("")
    assert list(foreign_entries(tmp_path)) == foreign


def test_shorten_keeps_both_ends() -> None:
    short = shorten("cause " + "x" * 2000 + " next step", 100)
    assert len(short) <= 100 and short.startswith("cause") and short.endswith("next step")


def test_manifest_leaves_our_own_containers_out() -> None:
    mount = (Mount("v", "", True),)
    agent = Container(
        "a", "compose-backup-backup-1", "agent", "running", labels={labels.PURPOSE: "backup"}, mounts=mount
    )
    database = Container("d", "db", "mariadb:11", "exited", mounts=mount)
    look = Look(Inventory((Volume("v"),), (agent, database)), {"d": "sha256:1"})
    manifest = manifest_of(
        Volume("v"), RootDirectory(uid=1, gid=2, mode=0o700), look, "digest of {}".format, ("1", "2")
    )
    (using,) = manifest.containers
    assert (using.name, using.image_digest, using.running) == ("db", "digest of sha256:1", False)


class Client:
    """docker's APIClient, as far as it is used; the container `gone` vanishes between list and inspect."""

    def volumes(self) -> dict[str, Any]:
        return {"Volumes": [{"Name": "v"}, {"Name": "w"}]}

    def containers(self, *, all: bool) -> list[dict[str, Any]]:
        assert all
        return [
            {"Id": name, "Names": [f"/{name}"], "State": "exited", "Mounts": [{"Type": "volume", "Name": volume}]}
            for name, volume in (("db", "v"), ("gone", "v"), ("web", "w"))
        ]

    def inspect_container(self, identity: str) -> dict[str, Any]:
        if identity == "gone":
            raise docker.errors.NotFound("no such container")
        mounts = [{"Type": "volume", "Name": "v", "RW": True}]
        state = {"Status": "running", "StartedAt": "t1"}
        return {"Id": identity, "Name": f"/{identity}", "Image": "sha256:1", "State": state, "Mounts": mounts}

    def inspect_image(self, identity: str) -> dict[str, Any]:
        return {"RepoDigests": [f"mariadb@{identity}"]}


def test_look_inspects_users_only_and_forgets_what_is_gone() -> None:
    engine = DockerEngine("/nowhere", Client())
    look = engine.look(("v",))
    found = {one.name: (one.state, one.started_at) for one in look.inventory.containers}
    assert found == {"db": ("running", "t1"), "web": ("exited", None)}
    assert look.images == {"db": "sha256:1"} and engine.digest("sha256:1") == "mariadb@sha256:1"


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_engine_that_does_not_answer(tmp_path: Path) -> None:
    with pytest.raises(AgentFailed) as caught:
        DockerEngine(str(tmp_path / "docker.sock")).look(("v",))
    gc.collect()  # the SDK leaves a socket open that could not be connected
    assert caught.value.reason == reasons.ENGINE_ERROR and caught.value.retryable
