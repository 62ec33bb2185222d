"""What reconciling relies on of a cluster, tried on the fake and on the real API server under the shipped roles.

Run by pytest.
"""

from __future__ import annotations

from typing import Any

import pytest

from compose_backup.api.kinds import BACKUP_POLICY, BACKUP_RUN, COMPOSE_HOST, KINDS, Kind
from compose_backup.gateways.cluster import Refused
from compose_backup.reconcile.ports import Notice
from contracts.cluster_setting import Setting, created, policy_body, run_body

pytestmark = pytest.mark.asyncio
WRITTEN = {"observedGeneration": 1, "phase": "Running", "attempts": 1}
FINISHED = {"observedGeneration": 1, "phase": "Failed", "completionTime": "2026-10-13T02:10:00Z"}


class TestObjects:
    async def test_created_object_comes_back_with_what_the_server_gives_it(self, setting: Setting) -> None:
        body = await created(setting)
        metadata = body["metadata"]
        assert metadata["uid"]
        assert metadata["resourceVersion"]
        assert metadata["creationTimestamp"].endswith("Z")
        assert metadata["generation"] == 1
        assert body["status"] == {"observedGeneration": -1}
        assert (body["kind"], body["spec"]) == ("BackupRun", run_body(setting)["spec"])
        assert "managedFields" not in metadata

    async def test_status_in_a_created_object_is_ignored(self, setting: Setting) -> None:
        body = await setting.cluster.create(BACKUP_RUN, {**run_body(setting), "status": FINISHED})
        assert body is not None
        assert body["status"] == {"observedGeneration": -1}

    async def test_get_returns_the_object_as_it_is_now(self, setting: Setting) -> None:
        body = await created(setting)
        assert await setting.cluster.get(BACKUP_RUN, setting.namespace, body["metadata"]["name"]) == body

    async def test_get_of_nothing_is_none(self, setting: Setting) -> None:
        assert await setting.cluster.get(BACKUP_RUN, setting.namespace, "absent") is None

    async def test_taken_name_is_none_and_changes_nothing(self, setting: Setting) -> None:
        body = await created(setting)
        other = {**run_body(setting), "spec": {"policyRef": {"name": "other"}}}
        assert await setting.cluster.create(BACKUP_RUN, other) is None
        assert await setting.cluster.get(BACKUP_RUN, setting.namespace, body["metadata"]["name"]) == body

    async def test_list_returns_the_objects_of_one_kind(self, setting: Setting) -> None:
        bodies = [await created(setting, name) for name in ("a", "b", "c")]
        setting.people.apply(BACKUP_POLICY, policy_body(setting))
        found = await setting.cluster.list(BACKUP_RUN)
        assert [b for b in found if b["metadata"]["namespace"] == setting.namespace] == bodies

    @pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
    async def test_every_kind_can_be_listed(self, setting: Setting, kind: Kind) -> None:
        assert isinstance(await setting.cluster.list(kind), list)

    async def test_edit_by_people_moves_the_generation(self, setting: Setting) -> None:
        setting.people.apply(BACKUP_POLICY, policy_body(setting))
        setting.people.apply(BACKUP_POLICY, policy_body(setting, suspend=True))
        body = await setting.cluster.get(BACKUP_POLICY, setting.namespace, "nightly")
        assert body is not None
        assert (body["metadata"]["generation"], body["spec"]["suspend"]) == (2, True)

    async def test_what_the_roles_do_not_grant_is_not_even_tried(self, setting: Setting) -> None:
        with pytest.raises(LookupError, match="create composehosts"):
            await setting.cluster.create(COMPOSE_HOST, run_body(setting))


class TestDelete:
    async def test_object_with_this_uid_is_deleted(self, setting: Setting) -> None:
        metadata = (await created(setting))["metadata"]
        await setting.cluster.delete(BACKUP_RUN, setting.namespace, metadata["name"], metadata["uid"])
        assert await setting.cluster.get(BACKUP_RUN, setting.namespace, metadata["name"]) is None

    async def test_object_with_another_uid_is_left_alone(self, setting: Setting) -> None:
        body = await created(setting)
        await setting.cluster.delete(BACKUP_RUN, setting.namespace, body["metadata"]["name"], "another")
        assert await setting.cluster.get(BACKUP_RUN, setting.namespace, body["metadata"]["name"]) == body

    async def test_nothing_to_delete_is_no_error(self, setting: Setting) -> None:
        await setting.cluster.delete(BACKUP_RUN, setting.namespace, "absent", "uid")


class TestWriteStatus:
    async def test_status_is_written_and_nothing_else(self, setting: Setting) -> None:
        body = await created(setting)
        written = await setting.cluster.write_status(BACKUP_RUN, body, WRITTEN)
        assert written is not None
        assert written["status"] == WRITTEN
        assert written["spec"] == body["spec"]
        assert written["metadata"]["generation"] == 1
        assert written["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]
        assert await setting.cluster.get(BACKUP_RUN, setting.namespace, body["metadata"]["name"]) == written

    async def test_field_that_is_left_out_is_deleted(self, setting: Setting) -> None:
        body = await created(setting)
        ready: dict[str, Any] = {"type": "Ready", "status": "Unknown", "reason": "Running", "message": "at work"}
        ready |= {"observedGeneration": 1, "lastTransitionTime": "2026-10-13T02:00:00Z"}
        working = {**ready, "type": "Reconciling", "status": "True"}
        await setting.cluster.write_status(BACKUP_RUN, body, {**WRITTEN, "conditions": [ready, working]})
        less = {"observedGeneration": 1, "phase": "Running", "conditions": [ready]}
        written = await setting.cluster.write_status(BACKUP_RUN, body, less)
        assert written is not None
        assert written["status"] == less

    async def test_same_status_again_makes_no_new_version(self, setting: Setting) -> None:
        first = await setting.cluster.write_status(BACKUP_RUN, await created(setting), WRITTEN)
        assert first is not None
        assert await setting.cluster.write_status(BACKUP_RUN, first, WRITTEN) == first

    async def test_edit_in_between_does_not_get_in_the_way(self, setting: Setting) -> None:
        setting.people.apply(BACKUP_POLICY, policy_body(setting))
        seen = await setting.cluster.get(BACKUP_POLICY, setting.namespace, "nightly")
        assert seen is not None
        setting.people.apply(BACKUP_POLICY, policy_body(setting, suspend=True))
        written = await setting.cluster.write_status(BACKUP_POLICY, seen, {"observedGeneration": 1})
        assert written is not None
        assert (written["status"], written["spec"]["suspend"]) == ({"observedGeneration": 1}, True)

    async def test_later_object_of_the_same_name_is_left_alone(self, setting: Setting) -> None:
        old = await created(setting)
        name = old["metadata"]["name"]
        setting.people.remove(BACKUP_RUN, setting.namespace, name)
        new = await created(setting)
        assert await setting.cluster.write_status(BACKUP_RUN, old, WRITTEN) is None
        assert await setting.cluster.get(BACKUP_RUN, setting.namespace, name) == new

    async def test_object_that_is_gone_is_none(self, setting: Setting) -> None:
        body = await created(setting)
        setting.people.remove(BACKUP_RUN, setting.namespace, body["metadata"]["name"])
        assert await setting.cluster.write_status(BACKUP_RUN, body, WRITTEN) is None

    async def test_finished_run_does_not_run_again(self, setting: Setting) -> None:
        body = await setting.cluster.write_status(BACKUP_RUN, await created(setting), FINISHED)
        assert body is not None
        with pytest.raises(Refused, match="never leaves its phase"):
            await setting.cluster.write_status(BACKUP_RUN, body, WRITTEN)


class TestSecret:
    async def test_content_comes_decoded(self, setting: Setting) -> None:
        setting.people.put_secret(setting.namespace, "repository", {"password": b"horse\n", "empty": b""})
        secret = await setting.cluster.secret(setting.namespace, "repository")
        assert secret is not None
        assert secret.data == {"password": b"horse\n", "empty": b""}

    async def test_version_tells_a_changed_secret(self, setting: Setting) -> None:
        setting.people.put_secret(setting.namespace, "repository", {"password": b"horse"})
        before = await setting.cluster.secret(setting.namespace, "repository")
        assert await setting.cluster.secret(setting.namespace, "repository") == before
        setting.people.put_secret(setting.namespace, "repository", {"password": b"battery"})
        after = await setting.cluster.secret(setting.namespace, "repository")
        assert before is not None
        assert after is not None
        assert (after.version != before.version, after.data["password"]) == (True, b"battery")

    async def test_content_is_not_shown(self, setting: Setting) -> None:
        setting.people.put_secret(setting.namespace, "repository", {"password": b"horse"})
        assert "horse" not in repr(await setting.cluster.secret(setting.namespace, "repository"))

    async def test_absent_secret_is_none(self, setting: Setting) -> None:
        assert await setting.cluster.secret(setting.namespace, "absent") is None


async def test_event_about_an_object_is_taken(setting: Setting) -> None:
    notice = Notice(BACKUP_RUN, await created(setting), "Warning", "Failed", "disk full")
    await setting.cluster.emit(notice)


async def test_installation_stays_the_same(setting: Setting) -> None:
    first = await setting.cluster.installation()
    assert first
    assert await setting.cluster.installation() == first
