"""The shipped roles grant what the operator uses, and nothing else.

Run by pytest; tests/contracts/ shows that what it uses is enough.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from compose_backup.gateways.rights import GET_OWN_NAMESPACE, GET_SECRET, KOPF_VERBS, USED_VERBS, Right

BASE = Path(__file__).parents[3] / "manifests" / "base"


def granted(name: str) -> list[Right]:
    """Return every right that a role of the base grants."""
    role: dict[str, Any] = yaml.safe_load((BASE / name).read_text())
    assert all(rule.keys() == {"apiGroups", "resources", "verbs"} for rule in role["rules"])
    return [
        Right(group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


@pytest.mark.parametrize(
    ("name", "used"),
    [
        pytest.param("cluster-role.yaml", (USED_VERBS | KOPF_VERBS) - {GET_OWN_NAMESPACE}, id="everywhere"),
        pytest.param("role.yaml", {GET_OWN_NAMESPACE}, id="in the operator's namespace"),
    ],
)
def test_role_is_exact(name: str, used: set[Right]) -> None:
    assert set(granted(name)) == used
    assert len(granted(name)) == len(used)


def test_secrets_are_only_read_by_name() -> None:
    assert [right for right in granted("cluster-role.yaml") if right.resource == "secrets"] == [GET_SECRET]


def test_no_file_of_the_base_is_left_out() -> None:
    listed = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    assert {name for name in listed if name.endswith(".yaml")} == {
        path.name for path in BASE.glob("*.yaml") if path.name != "kustomization.yaml"
    }
