"""What one-shot objects name and what is not there, or not any more: waited for a moment, then told by name."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from compose_backup.api import reasons
from compose_backup.api.archive_repository import Storage
from compose_backup.api.backup_run import Failure
from compose_backup.planning import backup_end, checks, restore_source
from compose_backup.planning.agent_container import parent_mounts
from compose_backup.planning.repository import standing_of
from fakes import objects

NOW = objects.CREATED + dt.timedelta(hours=1)
A_MOMENT = dt.timedelta(seconds=1)
RESOLVED = objects.resolved_run("shop_data")
HOST = objects.host()


def test_what_is_applied_together_may_come_in_any_order() -> None:
    run = objects.run()
    assert checks.if_absent(run, run.created + A_MOMENT) == "wait"
    assert checks.if_absent(run, run.created + checks.PATIENCE) == "fail"


@pytest.mark.parametrize(
    ("source", "reason", "words"),
    [
        pytest.param({"runRef": {"name": "gone"}}, reasons.RUN_NOT_FOUND, "BackupRun gone", id="run"),
        pytest.param({"policyRef": {"name": "gone"}}, reasons.POLICY_NOT_FOUND, "BackupPolicy gone", id="policy"),
    ],
)
def test_a_missing_source_is_named(source: dict[str, Any], reason: str, words: str) -> None:
    objection = restore_source.missing(objects.restore(source=source), None, None, NOW)
    assert objection is not None
    assert (objection.reason, objection.then) == (reason, "fail")
    assert words in objection.message


def test_a_run_that_never_began_says_why() -> None:
    failure = Failure(reason=reasons.NOTHING_MATCHES, message="no volume matches")
    run = objects.status(objects.run("empty"), phase="Failed", failure=failure)
    objection = restore_source.missing(objects.restore(source={"runRef": {"name": "empty"}}), run, None, NOW)
    assert objection is not None and objection.reason == reasons.NO_GOOD_RUN
    assert "BackupRun empty" in objection.message and "no volume matches" in objection.message


@pytest.mark.parametrize(
    ("target", "policy", "expected"),
    [
        pytest.param({"hostRef": {"name": "srv2"}}, objects.policy(), "srv2", id="of the target"),
        pytest.param({}, objects.policy(), "srv1", id="of the policy"),
        pytest.param({}, None, "of the source", id="unknown"),
    ],
)
def test_the_host_of_a_restore_is_named(target: dict[str, Any], policy: Any, expected: str) -> None:
    assert restore_source.host_name(objects.restore(target=target), None, policy) == expected


def test_the_repository_of_a_restore_is_named() -> None:
    source = {"repositoryRef": {"name": "far"}, "host": "a/b/c"}
    assert restore_source.repository_name(objects.restore(source=source), None, None) == "far"
    assert restore_source.repository_name(objects.restore(), None, objects.policy()) == "main"


OTHER_ENGINE = objects.status(HOST, engine=objects.ENGINE.model_copy(update={"id": "engine-2"}))


@pytest.mark.parametrize(
    ("host", "words"),
    [
        pytest.param(HOST, None, id="the same"),
        pytest.param(replace(HOST, uid="another"), "ComposeHost srv1 was deleted and made anew", id="made anew"),
        pytest.param(OTHER_ENGINE, "ComposeHost srv1 leads to another Docker Engine", id="another engine"),
    ],
)
def test_a_run_ends_when_its_host_is_another(host: Any, words: str | None) -> None:
    failure = backup_end.moved(RESOLVED, host)
    assert (failure is None) == (words is None)
    assert words is None or (failure is not None and words in failure.message)


def test_what_was_deleted_under_a_run_is_named() -> None:
    assert "ComposeHost srv1 was deleted" in backup_end.deleted(RESOLVED, None).message
    assert "ArchiveRepository main was deleted" in backup_end.deleted(RESOLVED, HOST).message


def test_the_place_of_a_repository_is_told_with_every_failure() -> None:
    repository = objects.repository()
    standing = standing_of(repository.spec, Failure(reason=reasons.DISK_FULL, message="no space left"))
    assert standing.message == "srv1:/srv/backups/main: no space left"


def test_only_a_directory_that_may_be_made_needs_the_one_above_it() -> None:
    directory = Storage.model_validate({"hostPath": {"path": "/srv/backups/main/"}})
    (above,) = parent_mounts(directory, may_create=True)
    assert (above.kind, above.source, above.read_only) == ("bind", "/srv/backups", True)
    assert parent_mounts(directory, may_create=False) == ()
    assert parent_mounts(Storage.model_validate({"volume": {"name": "archives"}}), may_create=True) == ()
