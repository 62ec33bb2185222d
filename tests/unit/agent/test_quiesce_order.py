"""What must have been done before something else: the journal before a stop, a look before it, a flush before a read.

Run by pytest.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest

from compose_backup.agent.archive import archive
from compose_backup.agent.context import Context, Places
from compose_backup.agent.engines.restic import Restic
from compose_backup.agent.looking import Look
from compose_backup.agent.manifest import manifest_of
from compose_backup.agent.processes import Runner
from compose_backup.agent.quiesce.checks import look_for, refuse_changes
from compose_backup.agent.snapshots import Source
from compose_backup.api import reasons
from compose_backup.api.job import BackupJob, RepositoryAccess
from compose_backup.api.record import RootDirectory
from compose_backup.errors import AgentFailed
from compose_backup.planning.facts import Container, Inventory, Volume
from compose_backup.planning.journals import volume_of
from compose_backup.planning.labels import Owner
from fakes.agent_engine import Call
from unit.agent.quiesce_scene import BEFORE, HASTY, MADE_AT, Scene, container, plan

OTHER = plan(
    owner="RestoreRequest team/theirs",
    agent="compose-backup-restore-2",
    purpose="restore",
    made_at=MADE_AT - dt.timedelta(seconds=1),
)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.mark.parametrize("purpose", ["run", "restore"])
def test_each_stop_is_in_the_journal_before_it_is_done(scene: Scene, purpose: str) -> None:
    written: list[bool] = []

    def look(call: Call) -> None:
        if call.act == "stop":
            entries = [(entry.step, entry.container) for entry in scene.journal.entries]
            written.append(("going-down", call.container) in entries and scene.journal.plan is not None)

    scene.engine.before = look
    with scene.quiescence(plan(purpose=purpose)):
        pass
    assert written == [True, True, True]


def refusal(scene: Scene) -> AgentFailed:
    with pytest.raises(AgentFailed) as caught:
        refuse_changes(plan(), ("data",), look_for(plan(), ("data",), scene.engine, HASTY))
    return caught.value


def test_the_older_journal_of_another_one_goes_first(scene: Scene) -> None:
    """Just before the first stop, whichever installation it is of."""
    theirs = volume_of(OTHER, Owner("RestoreRequest", "team", "theirs", "2"), "another-installation")
    scene.engine.volumes = (*scene.engine.volumes, theirs)
    scene.engine.containers["agent"] = Container("agent", OTHER.agent, "image", "running", BEFORE)
    error = refusal(scene)
    assert (error.reason, error.retryable) == (reasons.STOPPED_BY_ANOTHER, True)
    assert "RestoreRequest team/theirs" in error.message


@pytest.mark.parametrize(
    ("found", "words"),
    [
        pytest.param(container("new"), "shop/new writes now", id="a new writer"),
        pytest.param(container("web", started_at="2026-11-24T03:00:00Z"), "shop/web was started anew", id="restarted"),
    ],
)
def test_what_has_changed_since_the_plan_was_made_is_not_stopped(scene: Scene, found: Container, words: str) -> None:
    scene.engine.containers[found.id] = found
    error = refusal(scene)
    assert (error.reason, error.retryable) == (reasons.SERVICES_CHANGED, True) and words in error.message


def test_a_volume_is_flushed_before_it_is_read(scene: Scene) -> None:
    """A disk that reports an error at the flush is not read: here it is gone altogether."""
    program = scene.root / "restic"
    program.write_text(f"#!/bin/sh\ntouch {scene.root / 'was-run'}\nexit 1\n")
    program.chmod(0o755)
    (scene.root / "manifest").mkdir()
    context = context_of(scene, program)
    root = RootDirectory(uid=0, gid=0, mode=0o755)
    manifest = manifest_of(Volume("data"), root, Look(Inventory(), {}), str, ("1", "2"))
    with pytest.raises(FileNotFoundError):
        archive("data", manifest, job(), Source(scene.root), context, lambda _: None)
    assert (scene.root / "manifest" / "data.json").exists() and not (scene.root / "was-run").exists()


def context_of(scene: Scene, program: Path) -> Context:
    """Return the outside of a job with a program of ours for restic."""
    access = RepositoryAccess.model_validate({"password": "canary"})
    places = Places(live=str(scene.root), source=str(scene.root / "source"))
    restic = Restic(Runner(scene.stop), access, str(scene.root), str(program), str(scene.root), lambda _: None)
    outside = replace(scene.outside(), places=places)
    return Context(**vars(outside), access=access, restic=restic)


def job() -> BackupJob:
    """Return the job of archiving one volume."""
    return BackupJob(
        run="nightly-1",
        run_uid="1",
        policy="team/nightly",
        policy_uid="p",
        host="cluster/team/srv1",
        installation="i",
        attempt=1,
        slot=MADE_AT,
        volumes=("data",),
        plan=plan(),
    )
