"""Which volumes may have a stage, and when a live pass is expected to pay."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from compose_backup.api import reasons
from compose_backup.api.backup_policy import Quiesce
from compose_backup.api.backup_run import Failure, VolumeResult, WindowUse
from compose_backup.api.journal import JournalPlan
from compose_backup.api.resources import Run
from compose_backup.planning import staging
from compose_backup.planning.facts import Inventory, Mount, Volume
from compose_backup.planning.labels import Owner
from fakes import objects
from unit.agent.quiesce_scene import container, plan, planned

PLAN = plan(planned("db"))
NFS = {"type": "nfs", "o": "addr=10.0.0.1", "device": ":/export"}
BIND = {"type": "none", "o": "bind", "device": "/data"}


def ahead(
    *volumes: Volume, wanted: JournalPlan = PLAN, stage: str = "Auto", run: Run | None = None, earlier: Any = ()
) -> staging.Ahead:
    resolved = objects.resolved_run(*(one.name for one in volumes), quiesce=Quiesce.model_validate({"stage": stage}))
    return staging.ahead(run or objects.run(), resolved, wanted, Inventory(tuple(volumes)), earlier)


def ended(means: str, *, seconds: float = 0.0, before: float = 0.0, added: int = 0, minute: int = 0) -> Run:
    """Return an earlier good run of the volume `data`."""
    use = WindowUse.model_validate({"means": means, "seconds": seconds, "ahead_seconds": before})
    result = VolumeResult(name="data", phase="Succeeded", bytes_added=added, window=use)
    run = objects.status(
        objects.run(), phase="Succeeded", resolved=objects.resolved_run("data"), volumes=(result,), completion_time=None
    )
    return replace(run, created=objects.CREATED.replace(minute=minute))


IN_VAIN = ended("Warm", seconds=9.5, before=10)
LATER = objects.CREATED.replace(minute=5)


def test_each_volume_has_a_stage_of_its_own() -> None:
    found = ahead(Volume("data"), Volume("more"))
    assert [one.stage for one in found.values()] == ["/stage/0", "/stage/1"]
    assert staging.stages_of(found, "7") == {
        "compose-backup-stage-7-0": "/stage/0",
        "compose-backup-stage-7-1": "/stage/1",
    }


def test_names_and_places_fit_where_some_have_none() -> None:
    found = ahead(Volume("data", options=NFS), Volume("more"))
    assert staging.stages_of(found, "7") == {"compose-backup-stage-7-1": "/stage/1"}


@pytest.mark.parametrize(
    ("volume", "words"),
    [
        pytest.param(Volume("data", driver="rexray"), "driver is rexray", id="driver"),
        pytest.param(Volume("data", options=BIND), "o=bind", id="bind"),
        pytest.param(Volume("data", options=NFS), "options of its own (device, o, type)", id="nfs"),
        pytest.param(Volume("data", options={"type": "tmpfs", "device": "tmpfs"}), "(device, type)", id="tmpfs"),
    ],
)
@pytest.mark.parametrize("stage", ["Auto", "Copy"])
def test_where_ours_would_lie_elsewhere_there_is_none(volume: Volume, words: str, stage: str) -> None:
    found = ahead(volume, stage=stage)["data"]
    assert found.stage is None and words in str(found.no_stage) and found.warm


def test_a_size_alone_is_no_other_place() -> None:
    assert ahead(Volume("data", options={"size": "10G"}))["data"].stage


def test_copies_must_be_asked_for() -> None:
    assert not ahead(Volume("data"))["data"].copies and ahead(Volume("data"), stage="Copy")["data"].copies


def test_nothing_is_done_ahead_if_that_is_wanted() -> None:
    found = ahead(Volume("data"), stage="None")["data"]
    assert found.stage is None and not found.warm


def test_after_an_attempt_that_has_filled_the_disk_there_is_only_a_live_pass() -> None:
    failure = Failure(reason=reasons.STAGE_DROPPED, message="", retryable=True)
    found = ahead(Volume("data"), run=objects.status(objects.run(), failure=failure))["data"]
    assert found.stage is None and found.warm and "give it up" in str(found.no_stage)


def test_nothing_is_done_ahead_of_a_window_that_does_not_come() -> None:
    assert ahead(Volume("data"), wanted=plan(services=())) == {}


@pytest.mark.parametrize(
    ("earlier", "expected"),
    [
        pytest.param((), True, id="nothing is known"),
        pytest.param((ended("Warm", seconds=2, before=10),), True, id="it saved most"),
        pytest.param((ended("Warm", seconds=9, before=10),), True, id="one may be chance"),
        pytest.param((IN_VAIN, replace(IN_VAIN, created=LATER)), False, id="two saved a twentieth"),
        pytest.param((IN_VAIN, ended("Warm", seconds=9, before=10, minute=9)), True, id="one of two saved a tenth"),
        pytest.param(
            (IN_VAIN, replace(IN_VAIN, created=LATER), ended("Everything", minute=9)), False, id="they are remembered"
        ),
        pytest.param(
            (IN_VAIN, replace(IN_VAIN, created=LATER), ended("Warm", seconds=2, before=10, minute=9)),
            True,
            id="the last one saved most",
        ),
    ],
)
def test_a_live_pass_that_does_not_pay_is_not_repeated(earlier: tuple[Run, ...], expected: bool) -> None:
    assert ahead(Volume("data"), earlier=earlier)["data"].warm == expected


def test_nothing_is_done_ahead_for_a_volume_that_somebody_goes_on_writing_to() -> None:
    """As was asked: nothing would be gained, and a stage is no copy of what changes while it is made."""
    going_on = replace(container("web"), mounts=(Mount("data", "", writable=True),))
    volumes = (Volume("data"), Volume("more"))
    resolved = objects.resolved_run("data", "more")
    wanted = plan(planned("db"), left_running=(going_on.id,))
    assert list(staging.ahead(objects.run(), resolved, wanted, Inventory(volumes, (going_on,)), ())) == ["more"]


def test_what_the_last_run_added_must_stay_free() -> None:
    earlier = (ended("Clone", added=7, minute=1), ended("Clone", added=9, minute=2))
    assert ahead(Volume("data"), earlier=earlier)["data"].churn_bytes == 9


def test_only_stages_of_our_installation_are_found() -> None:
    owner = Owner("BackupRun", "prod", "nightly", "7")
    ours, theirs = (staging.stage_volume(f"stage-{name}", owner, name) for name in ("ours", "theirs"))
    assert staging.made_stages(Inventory((Volume("data"), ours, theirs)), "ours") == (("stage-ours", owner),)
