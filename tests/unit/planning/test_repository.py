"""Where a repository lies, whether it may lie there, whether it may be created, and when it is opened."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from compose_backup.api import reasons
from compose_backup.api.archive_repository import Storage
from compose_backup.api.backup_run import Failure
from compose_backup.planning import repository
from compose_backup.planning.agent_container import memory_bytes, repository_mount
from compose_backup.planning.repository import ProbeFacts
from fakes import objects
from fakes.objects import CREATED, status

HOUR = dt.timedelta(hours=1)
OPENED = objects.repository()
BASELINE = ProbeFacts(OPENED, credentials_version="1", last_run_ended=None, retry_at=None, suspected=False)


def on(path: str) -> Storage:
    return Storage.model_validate({"hostPath": {"path": path}})


@pytest.mark.parametrize(
    ("path", "permitted"),
    [
        pytest.param("/srv/backups", True, id="the directory itself"),
        pytest.param("/srv/backups/main", True, id="below it"),
        pytest.param("/srv/backups/a/../b/", True, id="below it, in other words"),
        pytest.param("//srv//backups/main", True, id="below it, with more slashes"),
        pytest.param("/srv/backups2", False, id="a neighbour whose name begins alike"),
        pytest.param("/srv", False, id="above it"),
        pytest.param("/srv/backups/../../etc", False, id="out of it by way of dots"),
        pytest.param("/srv/backups/..", False, id="its parent"),
        pytest.param("/", False, id="everything"),
    ],
)
def test_permitted(path: str, permitted: bool) -> None:
    wanted = objects.repository(storage={"hostPath": {"path": path}})
    objection = repository.not_permitted(wanted, objects.host())
    assert (objection is None) is permitted
    assert objection is None or objection.reason == reasons.NOT_PERMITTED


def test_a_host_permits_nothing_by_itself_and_everything_by_its_root() -> None:
    assert repository.not_permitted(OPENED, objects.host(permit={})) is not None
    assert repository.not_permitted(OPENED, objects.host(permit={"hostPaths": ["/"]})) is None


def test_a_volume_needs_no_permit() -> None:
    assert (
        repository.not_permitted(objects.repository(storage={"volume": {"name": "b"}}), objects.host(permit={})) is None
    )


@pytest.mark.parametrize(
    "path", ["/srv/backups/main", "/srv/backups/main/", "//srv/backups/x/../main", "/srv/./backups/main"]
)
def test_one_place_has_one_name_and_one_mount(path: str) -> None:
    assert repository.place(on(path)) == "path:/srv/backups/main"
    assert repository_mount(on(path), read_only=True, may_create=False).source == "/srv/backups/main"


def test_a_volume_and_a_directory_of_one_name_are_two_places() -> None:
    volume = Storage.model_validate({"volume": {"name": "backups"}})
    assert repository.place(volume) != repository.place(on("/backups"))


@pytest.mark.parametrize(
    ("create", "known", "seen", "expected"),
    [
        pytest.param("IfMissing", None, None, True, id="never seen"),
        pytest.param("IfMissing", "id", None, False, id="seen by this object"),
        pytest.param("IfMissing", None, "id", False, id="seen on the host, by an earlier object"),
        pytest.param("Never", None, None, False, id="never, it says"),
    ],
)
def test_may_create(create: str, known: str | None, seen: str | None, expected: bool) -> None:
    assert repository.may_create(status(objects.repository(create=create), repository_id=known), seen) is expected


@pytest.mark.parametrize(
    ("facts", "after", "expected"),
    [
        pytest.param(BASELINE, HOUR - dt.timedelta(seconds=1), False, id="opened within the hour"),
        pytest.param(BASELINE, HOUR, True, id="an hour later"),
        pytest.param(replace(BASELINE, repository=replace(OPENED, generation=2)), HOUR / 2, True, id="edited"),
        pytest.param(replace(BASELINE, credentials_version="2"), HOUR / 2, True, id="another password"),
        pytest.param(replace(BASELINE, last_run_ended=CREATED + HOUR / 4), HOUR / 2, True, id="a run has ended since"),
        pytest.param(replace(BASELINE, last_run_ended=CREATED - HOUR), HOUR / 2, False, id="a run had ended before"),
        pytest.param(
            replace(BASELINE, suspected=True), HOUR / 2, True, id="a run failed for a reason that may lie in it"
        ),
        pytest.param(
            replace(BASELINE, repository=status(OPENED, conditions=objects.ready("False"))),
            HOUR / 2,
            True,
            id="its host was away meanwhile",
        ),
        pytest.param(
            replace(BASELINE, repository=status(OPENED, last_probe_time=None)), HOUR / 2, True, id="never opened"
        ),
        pytest.param(
            replace(BASELINE, retry_at=CREATED + HOUR), HOUR * 0.9, False, id="it failed, and the pause lasts"
        ),
        pytest.param(replace(BASELINE, retry_at=CREATED + HOUR), HOUR, True, id="it failed, and the pause is over"),
        pytest.param(
            replace(BASELINE, retry_at=CREATED + HOUR, credentials_version="2"),
            HOUR / 2,
            True,
            id="a new password at once",
        ),
    ],
)
def test_due(facts: ProbeFacts, after: dt.timedelta, expected: bool) -> None:
    assert repository.due(facts, CREATED + after) is expected


def test_pauses_double_up_to_ten_minutes() -> None:
    assert [repository.retry_seconds(n) for n in (0, 1, 2, 3, 9, 900)] == [30, 30, 60, 120, 600, 600]


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (reasons.WRONG_PASSWORD, "stalled"),
        (reasons.REPOSITORY_VANISHED, "stalled"),
        (reasons.REPOSITORY_LOCKED, "waiting"),
        (reasons.DISK_FULL, "waiting"),
        (reasons.AGENT_LOST, "waiting"),
    ],
)
def test_what_needs_a_person_stalls(reason: str, state: str) -> None:
    assert repository.standing_of(OPENED.spec, Failure(reason=reason, message="m")).state == state


def test_memory() -> None:
    assert (memory_bytes("512Mi"), memory_bytes("2Gi")) == (512 * 2**20, 2 * 2**30)
