"""What is said of services that are down, and in which container a hook runs."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from compose_backup.api.backup_policy import Hook
from compose_backup.api.backup_run import QuiescedService, QuiesceResult
from compose_backup.api.job import DOCKER_SOCKET
from compose_backup.planning import downtime, hooks
from compose_backup.planning.agent_container import backup_mounts, cleanup_mounts, restore_mounts
from compose_backup.planning.facts import AgentMount, Container

NOW = dt.datetime(2026, 10, 13, 2, 0, tzinfo=dt.UTC)


def service(name: str, minute: int = 0, **changes: Any) -> QuiescedService:
    given = {"container": name, "service": f"shop/{name}", "method": "Stop", "down_time": NOW.replace(minute=minute)}
    return QuiescedService.model_validate(given | changes)


def result(*services: QuiescedService, **changes: Any) -> QuiesceResult:
    return QuiesceResult(method="Stop", services=services, **changes)


UP: dict[str, Any] = {"up_time": NOW.replace(minute=9), "downtime_seconds": 61.0}


@pytest.mark.parametrize(
    ("window", "quiesce", "said"),
    [
        pytest.param(None, result(service("db")), None, id="before or after"),
        pytest.param("Quiesced", None, None, id="nothing was said"),
        pytest.param("Quiesced", result(service("db", **UP)), None, id="all are up"),
        pytest.param("Quiescing", result(service("db")), "shop/db being stopped since 02:00:00Z", id="going down"),
        pytest.param(
            "Quiesced", result(service("web", 1), service("db")), "shop/db, shop/web down since 02:00:00Z", id="two"
        ),
        pytest.param(
            "Resuming", result(service("web", 1, error="port taken"), service("db", **UP)),
            "shop/web being started again, down since 02:01:00Z (shop/web: port taken)", id="one does not start",
        ),
    ],
)  # fmt: skip
def test_told(window: Any, quiesce: QuiesceResult | None, said: str | None) -> None:
    assert downtime.told(window, quiesce) == said
    assert downtime.phase_of(window) == ("Resuming" if window == "Resuming" else "Running")


def test_downtime_is_shown_once_a_service_is_up() -> None:
    assert downtime.shown(None) == {}
    assert downtime.shown(result(service("db")))["downtime"] is None
    assert downtime.shown(result(service("db", **UP), downtime_seconds=61.0))["downtime"] == "1m1s"


def container(number: int, state: str = "running", **marks: str) -> Container:
    labels = {"project": "shop", "service": "db", "container-number": str(number)} | marks
    return Container(str(number), f"db-{number}", "i", state, labels={
        f"com.docker.compose.{key}": value for key, value in labels.items()
    })  # fmt: skip


@pytest.mark.parametrize(
    ("containers", "expected"),
    [
        pytest.param((container(10), container(2)), "db-2", id="the lowest number"),
        pytest.param((container(1, "paused"), container(2)), "db-2", id="that runs"),
        pytest.param((container(1, oneoff="True"),), None, id="no one-off"),
        pytest.param((container(1, project="blog"),), None, id="of the project"),
    ],
)
def test_who_takes_a_hook(containers: tuple[Container, ...], expected: str | None) -> None:
    found = hooks.container_of(Hook(project="shop", service="db", command=("true",)), containers)
    assert (found.name if found else None) == expected


REPOSITORY = AgentMount("bind", "/srv/backups", "/repository", read_only=False)
SOCKET = AgentMount("bind", "/run/docker.sock", DOCKER_SOCKET, read_only=True)
JOURNAL = AgentMount("volume", "j", "/journal", read_only=False)


def test_an_agent_has_a_journal_only_when_something_is_to_be_undone() -> None:
    assert backup_mounts(["v"], REPOSITORY, "/run/docker.sock")[1:] == (REPOSITORY, SOCKET)
    assert backup_mounts(["v"], REPOSITORY, "/run/docker.sock", "j")[1:] == (REPOSITORY, SOCKET, JOURNAL)
    assert restore_mounts([("a", "b")], REPOSITORY, "/run/docker.sock", "j")[1:] == (REPOSITORY, SOCKET, JOURNAL)


def test_a_cleanup_sees_neither_volumes_nor_a_repository() -> None:
    assert cleanup_mounts("/run/docker.sock", "j") == (SOCKET, JOURNAL)
