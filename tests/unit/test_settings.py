"""The operator's settings are read strictly: a typing error must not become a default."""

from __future__ import annotations

import pytest

from compose_backup.errors import Stalled
from compose_backup.settings import PREFIX, Settings, read

DEFAULTS = Settings("compose-backup-system", "cluster", "agent:1", allow_local_endpoints=False)


def given(**values: str) -> dict[str, str]:
    return {PREFIX + key: value for key, value in values.items()} | {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param({}, DEFAULTS, id="defaults"),
        pytest.param(
            {"NAMESPACE": "ops", "CLUSTER_NAME": "lab", "AGENT_IMAGE": "a:2", "ALLOW_LOCAL_ENDPOINTS": "true"},
            Settings("ops", "lab", "a:2", allow_local_endpoints=True),
            id="all of them",
        ),
    ],
)
def test_read(values: dict[str, str], expected: Settings) -> None:
    assert read(given(**values), "agent:1") == expected


@pytest.mark.parametrize("value", ["True", "1", "yes", ""])
def test_a_switch_is_true_or_false(value: str) -> None:
    with pytest.raises(Stalled, match="ALLOW_LOCAL_ENDPOINTS"):
        read(given(ALLOW_LOCAL_ENDPOINTS=value), "agent:1")


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(Stalled, match=r"CLUSTER_NMAE is not a setting.*NAMESPACE is empty"):
        read(given(CLUSTER_NMAE="lab", NAMESPACE=""), "agent:1")
