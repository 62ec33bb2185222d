"""Which volumes a policy selects, and which never are: ours, nobody's, and those that hold archives."""

from __future__ import annotations

from typing import Any

import pytest

from compose_backup.api.backup_policy import Selector
from compose_backup.planning import host
from compose_backup.planning.facts import Container, Inventory, Mount, Volume
from compose_backup.planning.labels import REPOSITORY_ID, REPOSITORY_LOCATION
from compose_backup.planning.selection import selected

PROJECT, KEY, SERVICE = (f"com.docker.compose.{name}" for name in ("project", "volume", "service"))


def composed(project: str, key: str, **labels: str) -> Volume:
    return Volume(f"{project}_{key}", labels={PROJECT: project, KEY: key, **labels})


def using(name: str, project: str | None, *volumes: str) -> Container:
    mounts = tuple(Mount(volume, f"/var/lib/docker/volumes/{volume}/_data", True) for volume in volumes)
    labels = {PROJECT: project, SERVICE: name} if project else {}
    return Container(name, name, "image", "running", labels=labels, mounts=mounts)


ON_HOST = Inventory(
    volumes=(
        composed("shop", "data", tier="gold"),
        composed("shop", "cache"),
        composed("blog", "data"),
        Volume("external"),
        Volume("archives"),
        Volume("others-archives"),
        Volume("ab" * 32),
        Volume("marker", labels={REPOSITORY_ID: "x", REPOSITORY_LOCATION: "volume:others-archives"}),
    ),
    containers=(using("web", "shop", "external", "shop_data"), using("tool", None, "blog_data")),
)
ALL = ["blog_data", "external", "shop_cache", "shop_data"]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        pytest.param({}, ALL, id="all but ours, anonymous ones, and those with repositories"),
        pytest.param({"volumes": ["data"]}, ["blog_data", "shop_data"], id="by key"),
        pytest.param({"volumes": ["shop_data"]}, ["shop_data"], id="by full name"),
        pytest.param({"volumes": ["*_c*"]}, ["shop_cache"], id="by a glob over the full name"),
        pytest.param({"volumes": ["DATA"]}, [], id="upper case is another name"),
        pytest.param(
            {"projects": ["shop"]}, ["external", "shop_cache", "shop_data"], id="external ones by their users"
        ),
        pytest.param({"projects": ["sh*", "blog"]}, ALL, id="projects as globs"),
        pytest.param({"projects": ["shop"], "volumes": ["data"]}, ["shop_data"], id="every criterion must hold"),
        pytest.param({"labels": {"tier": "gold"}}, ["shop_data"], id="by label"),
        pytest.param({"labels": {"tier": "gold", "x": "y"}}, [], id="by all labels"),
        pytest.param({"exclude": ["cache"]}, ["blog_data", "external", "shop_data"], id="without a key"),
        pytest.param({"volumes": ["data"], "exclude": ["shop_*"]}, ["blog_data"], id="exclude wins over volumes"),
        pytest.param({"volumes": ["archives"]}, [], id="a repository is never selected, not by name"),
        pytest.param({"volumes": ["others-archives", "marker", "ab" * 32]}, [], id="nor what never is a user's"),
    ],
)
def test_selected(selector: dict[str, Any], expected: list[str]) -> None:
    found = selected(Selector.model_validate(selector), ON_HOST, ("archives",))
    assert [volume.name for volume in found] == expected


def test_a_host_tells_what_nobody_backs_up() -> None:
    seen = host.volumes(ON_HOST, [Selector(volumes=("data",))], ("archives",))
    assert (seen.total, seen.protected, seen.unprotected_count) == (4, 2, 2)
    assert (seen.unprotected, seen.dangling) == (("external", "shop_cache"), ("shop_cache",))


def test_a_host_shows_the_first_names_and_counts_all() -> None:
    many = Inventory(tuple(Volume(f"v{number:03}") for number in range(80)))
    seen = host.volumes(many, [], ())
    assert (seen.unprotected_count, len(seen.unprotected), len(seen.dangling)) == (80, 50, 50)


def test_projects_of_a_host() -> None:
    assert [(one.name, one.services, one.volumes) for one in host.projects(ON_HOST)] == [("blog", 0, 1), ("shop", 1, 3)]
