"""What the store takes in and what it refuses, whatever the order in which events and answers come."""

from __future__ import annotations

import datetime as dt
from typing import Any

from compose_backup.api.kinds import BACKUP_POLICY, BACKUP_RUN
from compose_backup.reconcile.queue import Key
from compose_backup.reconcile.store import MOST_BURIED, Store
from fakes import objects

KEY = Key("BackupPolicy", "prod", "nightly")


def policy(uid: str = "one", version: int = 1, **metadata: Any) -> dict[str, Any]:
    body = objects.body(BACKUP_POLICY, "nightly", objects.policy_spec(), uid=uid)
    body["metadata"] |= {"resourceVersion": str(version), **metadata}
    return body


def run(name: str, status: dict[str, Any] | None = None, version: int = 1) -> dict[str, Any]:
    body = dict(objects.run(name).body)
    body["metadata"] = {**body["metadata"], "resourceVersion": str(version)}
    return {**body, "status": status or {}}


def version_in(store: Store) -> str | None:
    body = store.body(KEY)
    return body["metadata"]["resourceVersion"] if body else None


def test_an_older_version_does_not_replace_a_newer_one() -> None:
    store = Store()
    assert store.put(BACKUP_POLICY, policy(version=10))
    assert not store.put(BACKUP_POLICY, policy(version=9))
    assert not store.put(BACKUP_POLICY, policy(version=10))
    assert version_in(store) == "10"


def test_an_answer_that_comes_after_the_deletion_brings_nothing_back() -> None:
    store = Store()
    store.put(BACKUP_POLICY, policy(version=1))
    store.remove(KEY)
    assert not store.put(BACKUP_POLICY, policy(version=2))
    assert store.body(KEY) is None


def test_an_object_made_anew_in_the_same_second_takes_its_name_for_good() -> None:
    store = Store()
    store.put(BACKUP_POLICY, policy("old", version=5))
    assert store.put(BACKUP_POLICY, policy("new", version=7))
    assert not store.put(BACKUP_POLICY, policy("old", version=6))
    assert not store.put(BACKUP_POLICY, policy("old", version=8))
    body = store.body(KEY)
    assert body and body["metadata"]["uid"] == "new"


def test_the_graveyard_is_bounded() -> None:
    store = Store()
    for number in range(MOST_BURIED + 10):
        store.bury(f"uid-{number}")
    assert store.put(BACKUP_POLICY, policy("uid-0")) and len(store._buried) == MOST_BURIED


def test_a_run_that_has_ended_is_active_no_more() -> None:
    store = Store()
    store.put(BACKUP_RUN, run("a"))
    store.put(BACKUP_RUN, run("b"))
    store.put(BACKUP_RUN, run("a", {"phase": "Failed"}, 2))
    store.remove(Key("BackupRun", "prod", "b"))
    assert list(store.active_runs()) == []
    assert [one.name for one in store.runs_of("prod", "nightly")] == ["a"]


def test_what_is_large_and_never_read_is_left_out() -> None:
    store = Store()
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "1"}
    store.put(BACKUP_POLICY, policy(managedFields=[{"manager": "kubectl"}], annotations=annotations))
    body = store.body(KEY)
    assert body and "managedFields" not in body["metadata"] and body["metadata"]["annotations"] == {"mine": "1"}


def test_a_spec_that_does_not_fit_is_no_object_to_others() -> None:
    store = Store()
    store.put(BACKUP_POLICY, {**policy(), "spec": {"schedule": 7}})
    assert store.policy("prod", "nightly") is None
    assert store.body(KEY) is not None


def test_the_last_end_counts_only_runs_into_the_repository() -> None:
    store = Store()
    here, there = {"repository": {"uid": "here"}}, {"repository": {"uid": "there"}}
    for number, (resolved, day) in enumerate([(here, "11"), (here, "12"), (there, "13"), (None, "14")]):
        done = {"phase": "Succeeded", "completionTime": f"2026-10-{day}T02:00:00Z"}
        store.put(BACKUP_RUN, run(f"r{number}", done | ({"resolved": resolved} if resolved else {})))
    assert store.last_end("prod", "here") == dt.datetime(2026, 10, 12, 2, tzinfo=dt.UTC)
    assert store.last_end("test", "here") is None
