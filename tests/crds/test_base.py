"""What manifests/base puts into a cluster beside the kinds.

Run by pytest.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from compose_backup import settings
from realparts import installed
from realparts.cluster import Cluster

NAMESPACE = "compose-backup-system"


@pytest.fixture
def pod() -> dict[str, Any]:
    """The pod of the Deployment, as the controllers of a whole cluster make it."""
    deployment = yaml.safe_load((installed.BASE / "deployment.yaml").read_text())
    template = deployment["spec"]["template"]
    metadata = {"name": "tried", "namespace": NAMESPACE, **template["metadata"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def test_pod_fits_the_restricted_profile_of_its_namespace(cluster: Cluster, pod: dict[str, Any]) -> None:
    said = cluster.kubectl("apply", "-f", "-", "--dry-run=server", stdin=json.dumps(pod), check=False)
    assert said == "pod/tried created (server dry run)\n"


def test_profile_of_the_namespace_refuses_a_pod_that_may_more(cluster: Cluster, pod: dict[str, Any]) -> None:
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    said = cluster.kubectl("apply", "-f", "-", "--dry-run=server", stdin=json.dumps(pod), check=False)
    assert 'violates PodSecurity "restricted:latest"' in said


def test_variables_of_the_deployment_are_settings(pod: dict[str, Any]) -> None:
    given = {entry["name"]: entry.get("value", NAMESPACE) for entry in pod["spec"]["containers"][0]["env"]}
    read = settings.read(given, default_agent_image="agent")
    assert (read.namespace, read.cluster_name) == (NAMESPACE, "cluster")


def test_definitions_are_taken_file_by_file_too(cluster: Cluster) -> None:
    said = cluster.kubectl("apply", "-f", installed.CRDS, "--dry-run=server")
    assert len(said.splitlines()) == 5
