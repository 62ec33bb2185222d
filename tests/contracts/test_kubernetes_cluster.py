"""What only a real API server shows: chunks, Events, missing rights, namespaces on their way out.

Run by pytest.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compose_backup.api.kinds import BACKUP_POLICY, BACKUP_RUN, COMPOSE_HOST
from compose_backup.errors import Stalled, Unreachable
from compose_backup.gateways import cluster as gateway
from compose_backup.reconcile.ports import Notice
from contracts.cluster_setting import Setting, created, policy_body, run_body
from realparts.cluster import Cluster as RealCluster
from realparts.cluster import write_kubeconfig

pytestmark = pytest.mark.asyncio
BAD = {
    "type": "Ready",
    "status": "Perhaps",
    "observedGeneration": 1,
    "lastTransitionTime": "2026-10-13T02:00:00Z",
    "reason": "Guess",
    "message": "",
}


def events_in(real: RealCluster, namespace: str) -> list[dict[str, Any]]:
    """Return the Events of a namespace as people see them."""
    shown = json.loads(real.kubectl("get", "events.events.k8s.io", "--namespace", namespace, "-o", "json"))
    items: list[dict[str, Any]] = shown["items"]
    return items


async def test_list_longer_than_a_chunk_is_whole(real_setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "CHUNK_SIZE", 2)
    for number in range(5):
        await created(real_setting, f"run-{number}")
    names = [body["metadata"]["name"] for body in await real_setting.cluster.list(BACKUP_RUN)]
    assert [name for name in names if name.startswith("run-")] == [f"run-{number}" for number in range(5)]


async def test_status_belongs_to_one_field_manager(real_setting: Setting, real_cluster: RealCluster) -> None:
    body = await created(real_setting)
    await real_setting.cluster.write_status(BACKUP_RUN, body, {"observedGeneration": 1, "phase": "Running"})
    address = ("backuprun", body["metadata"]["name"], "--namespace", real_setting.namespace)
    shown = json.loads(real_cluster.kubectl("get", *address, "--show-managed-fields", "-o", "json"))
    managers = [f for f in shown["metadata"]["managedFields"] if f.get("subresource") == "status"]
    assert [(f["manager"], f["operation"]) for f in managers] == [(gateway.FIELD_MANAGER, "Apply")]


async def test_event_is_shown_with_its_object(real_setting: Setting, real_cluster: RealCluster) -> None:
    body = await created(real_setting)
    await real_setting.cluster.emit(Notice(BACKUP_RUN, body, "Warning", "Failed", "disk full"))
    (event,) = events_in(real_cluster, real_setting.namespace)
    assert event["regarding"]["uid"] == body["metadata"]["uid"]
    assert (event["type"], event["reason"], event["action"]) == ("Warning", "Failed", "Backup")
    assert event["note"] == "disk full"
    assert event["reportingController"] == "backup.dockerwarts.io/compose-backup-operator"


async def test_event_with_a_long_message_is_cut(real_setting: Setting, real_cluster: RealCluster) -> None:
    await real_setting.cluster.emit(Notice(BACKUP_RUN, await created(real_setting), "Normal", "Failed", "é" * 2000))
    (event,) = events_in(real_cluster, real_setting.namespace)
    assert event["note"].startswith("éé")
    assert event["note"].endswith("…")


async def test_event_about_a_long_name_is_taken(real_setting: Setting, real_cluster: RealCluster) -> None:
    body = await created(real_setting, "n" * 253)
    await real_setting.cluster.emit(Notice(BACKUP_RUN, body, "Normal", "Created", "made"))
    assert len(events_in(real_cluster, real_setting.namespace)) == 1


async def test_namespace_on_its_way_out_gets_nothing(
    real_setting: Setting, real_cluster: RealCluster, caplog: pytest.LogCaptureFixture
) -> None:
    body = await created(real_setting)
    held = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "held", "namespace": real_setting.namespace, "finalizers": ["example.org/held"]},
    }
    real_cluster.kubectl("apply", "-f", "-", stdin=json.dumps(held))
    real_cluster.kubectl("delete", "namespace", real_setting.namespace, "--wait=false")
    try:
        await real_setting.cluster.emit(Notice(BACKUP_RUN, body, "Normal", "Cancelled", "deleted"))
        assert not caplog.records
        with pytest.raises(Unreachable, match="being terminated"):
            await real_setting.cluster.create(BACKUP_RUN, run_body(real_setting, "another"))
    finally:
        free = ("patch", "configmap", "held", "--namespace", real_setting.namespace)
        real_cluster.kubectl(*free, "--type=merge", "--patch", '{"metadata": {"finalizers": null}}')


async def test_installation_is_the_uid_of_the_operators_namespace(
    real_setting: Setting, real_cluster: RealCluster
) -> None:
    uid = real_cluster.kubectl("get", "namespace", "compose-backup-system", "-o", "jsonpath={.metadata.uid}")
    assert await real_setting.cluster.installation() == uid


async def test_missing_right_names_verb_and_resource(real_cluster: RealCluster, tmp_path: Path) -> None:
    kubeconfig = real_cluster.service_account_kubeconfig("default", "default", tmp_path / "kubeconfig")
    cluster = await gateway.connect("compose-backup-system", str(kubeconfig))
    try:
        with pytest.raises(Stalled, match=r"may not list composehosts\.backup\.dockerwarts\.io"):
            await cluster.list(COMPOSE_HOST)
        with pytest.raises(Stalled, match=r"may not get secrets"):
            await cluster.secret("default", "repository")
        with pytest.raises(Stalled, match=r"may not get namespaces"):
            await cluster.installation()
    finally:
        await cluster.close()


async def test_token_that_is_not_taken_is_tried_again(real_cluster: RealCluster, tmp_path: Path) -> None:
    address = {"server": real_cluster.server, "insecure-skip-tls-verify": True}
    write_kubeconfig(tmp_path / "kubeconfig", address, {"token": "expired"})
    cluster = await gateway.connect("compose-backup-system", str(tmp_path / "kubeconfig"))
    try:
        with pytest.raises(Unreachable, match="401"):
            await cluster.list(COMPOSE_HOST)
    finally:
        await cluster.close()


async def test_event_without_the_right_is_logged_and_forgotten(
    real_setting: Setting, real_cluster: RealCluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kubeconfig = real_cluster.service_account_kubeconfig("default", "default", tmp_path / "kubeconfig")
    cluster = await gateway.connect("compose-backup-system", str(kubeconfig))
    try:
        await cluster.emit(Notice(BACKUP_RUN, await created(real_setting), "Normal", "Created", "made"))
    finally:
        await cluster.close()
    assert "Event Created" in caplog.text
    assert "forbidden" in caplog.text


async def test_object_without_meaning_to_the_server_is_a_fault_of_ours(real_setting: Setting) -> None:
    real_setting.people.apply(BACKUP_POLICY, policy_body(real_setting))
    seen = await real_setting.cluster.get(BACKUP_POLICY, real_setting.namespace, "nightly")
    assert seen is not None
    with pytest.raises(gateway.Refused, match="Unsupported value"):
        await real_setting.cluster.write_status(BACKUP_POLICY, seen, {"observedGeneration": 1, "conditions": [BAD]})
