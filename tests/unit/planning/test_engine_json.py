"""Docker's JSON becomes facts, whatever is null in it."""

from __future__ import annotations

from typing import Any

import pytest

from compose_backup.api.journal import RestartPolicy
from compose_backup.planning import engine_json
from compose_backup.planning.facts import Container, Mount, Volume

INSPECTED: dict[str, Any] = {
    "Id": "c0ffee",
    "Name": "/shop-db-1",
    "Image": "sha256:1234",
    "State": {"Status": "running", "StartedAt": "2026-11-24T17:00:00.5Z"},
    "Config": {
        "Image": "mariadb:11",
        "Labels": {"com.docker.compose.project": "shop", "com.docker.compose.service": "db"},
    },
    "Mounts": [
        {"Type": "volume", "Name": "shop_data", "Source": "/var/lib/docker/volumes/shop_data/_data", "RW": True},
        {"Type": "bind", "Source": "/etc/shop", "RW": False},
    ],
}
MOUNTS = (Mount("shop_data", "/var/lib/docker/volumes/shop_data/_data", True), Mount(None, "/etc/shop", False))


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        pytest.param({"Name": "v", "Driver": "local", "Options": None, "Labels": None}, Volume("v"), id="null-maps"),
        pytest.param(
            {
                "Name": "v",
                "Driver": "local",
                "Options": {"type": "none", "o": "bind", "device": "/srv/v"},
                "Labels": {"a": "b"},
            },
            Volume("v", "local", {"type": "none", "o": "bind", "device": "/srv/v"}, {"a": "b"}),
            id="bind-backed",
        ),
        pytest.param({"Name": "v", "Driver": ""}, Volume("v"), id="missing-fields"),
    ],
)
def test_volume(document: dict[str, Any], expected: Volume) -> None:
    assert engine_json.volume(document) == expected


@pytest.mark.parametrize(
    ("answer", "names"),
    [
        pytest.param({"Volumes": None, "Warnings": None}, (), id="null-list"),
        pytest.param({"Volumes": [{"Name": "b"}, {"Name": "a"}]}, ("a", "b"), id="sorted"),
    ],
)
def test_volumes(answer: dict[str, Any], names: tuple[str, ...]) -> None:
    assert tuple(one.name for one in engine_json.volumes(answer)) == names


def test_inspected_container_has_its_start() -> None:
    container = engine_json.inspected_container(INSPECTED)
    assert container == Container(
        id="c0ffee",
        name="shop-db-1",
        image="mariadb:11",
        state="running",
        started_at="2026-11-24T17:00:00.5Z",
        labels=INSPECTED["Config"]["Labels"],
        mounts=MOUNTS,
    )
    assert container.title == "shop/db"


SECOND = 10**9


@pytest.mark.parametrize(
    ("check", "seconds"),
    [
        pytest.param(None, 0, id="none"),
        pytest.param({"Test": ["NONE"]}, 0, id="switched-off"),
        pytest.param({"Test": ["CMD", "x"]}, 90, id="defaults"),
        pytest.param(
            {"Test": ["CMD", "x"], "Interval": SECOND, "Retries": 5, "StartPeriod": 10 * SECOND}, 15, id="all"
        ),
        pytest.param({"Test": ["CMD", "x"], "Interval": SECOND // 2, "Retries": 3}, 2, id="rounded-up"),
        pytest.param({"Test": ["CMD", "x"], "Interval": 600 * SECOND}, 300, id="bounded"),
    ],
)
def test_how_long_health_may_take(check: dict[str, Any] | None, seconds: int) -> None:
    document = INSPECTED | {"Config": {"Healthcheck": check}}
    assert engine_json.inspected_container(document).health_seconds == seconds


@pytest.mark.parametrize(
    ("said", "health"),
    [
        (None, None),
        ({"Status": "none"}, None),
        ({"Status": "healthy"}, "healthy"),
        ({"Status": "starting"}, "starting"),
    ],
    ids=["absent", "none", "healthy", "starting"],
)
def test_health(said: dict[str, Any] | None, health: str | None) -> None:
    document = INSPECTED | {"State": {"Status": "running", "Health": said}}
    assert engine_json.inspected_container(document).health == health


@pytest.mark.parametrize(
    ("said", "policy"),
    [
        pytest.param(None, RestartPolicy(), id="absent"),
        pytest.param({"Name": ""}, RestartPolicy(), id="empty"),
        pytest.param(
            {"Name": "on-failure", "MaximumRetryCount": 3},
            RestartPolicy(name="on-failure", maximum_retry_count=3),
            id="with-a-count",
        ),
    ],
)
def test_restart_policy(said: dict[str, Any] | None, policy: RestartPolicy) -> None:
    document = INSPECTED | {"HostConfig": {"RestartPolicy": said}}
    assert engine_json.inspected_container(document).restart_policy == policy


@pytest.mark.parametrize(
    ("host_config", "joined"),
    [
        pytest.param({"NetworkMode": "shop_default", "PidMode": "", "IpcMode": "private"}, (), id="nobody"),
        pytest.param({"NetworkMode": "container:aa", "PidMode": "container:aa"}, ("aa",), id="one-in-two-ways"),
        pytest.param(
            {"IpcMode": "container:aa", "VolumesFrom": ["bb:ro", "cc"]}, ("aa", "bb", "cc"), id="volumes-from"
        ),
        pytest.param({"VolumesFrom": None}, (), id="null"),
    ],
)
def test_joined(host_config: dict[str, Any], joined: tuple[str, ...]) -> None:
    assert engine_json.inspected_container(INSPECTED | {"HostConfig": host_config}).joined == joined


def test_one_that_docker_removes_when_it_ends() -> None:
    assert engine_json.inspected_container(INSPECTED | {"HostConfig": {"AutoRemove": True}}).removed_when_stopped


def test_never_started_is_none() -> None:
    created = INSPECTED | {"State": {"Status": "created", "StartedAt": engine_json.NEVER_STARTED}}
    assert engine_json.inspected_container(created).started_at is None


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(["/db"], "db", id="plain"),
        pytest.param(["/web/alias", "/db"], "db", id="link-alias-first"),
        pytest.param(None, "c0ffee", id="no-name"),
    ],
)
def test_listed_container_name(names: list[str] | None, expected: str) -> None:
    entry = {"Id": "c0ffee", "Names": names, "Image": "x", "State": "exited", "Labels": None, "Mounts": None}
    assert engine_json.listed_container(entry) == Container(id="c0ffee", name=expected, image="x", state="exited")


def test_mount_without_rw_counts_as_writable() -> None:
    entry = {"Id": "c0ffee", "Names": ["/db"], "Mounts": [{"Type": "volume", "Name": "v"}]}
    assert engine_json.listed_container(entry).mounts == (Mount("v", "", True),)
