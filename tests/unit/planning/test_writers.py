"""Who writes to a volume, before and after it was read."""

from __future__ import annotations

import pytest

from compose_backup.planning import writers
from compose_backup.planning.facts import Container, Inventory, Mount, Volume

PLAIN = Volume("data")
BOUND = Volume("data", options={"type": "none", "o": "bind", "device": "/srv/data"})
SHARE = Volume("data", options={"type": "nfs", "o": "addr=nas,rw", "device": ":/export"})


def container(*mounts: Mount, state: str = "running", started_at: str | None = "t1", identity: str = "c1") -> Container:
    return Container(identity, "db", "image", state, started_at, mounts=mounts)


def engine(*containers: Container, volumes: tuple[Volume, ...] = (PLAIN,)) -> Inventory:
    return Inventory(volumes, containers)


@pytest.mark.parametrize(
    ("volume", "mount", "others", "writes"),
    [
        pytest.param(PLAIN, Mount("data", "/v", True), (), True, id="mounted-writable"),
        pytest.param(PLAIN, Mount("data", "/v", False), (), False, id="mounted-read-only"),
        pytest.param(PLAIN, Mount("other", "/v", True), (), False, id="another-volume"),
        pytest.param(PLAIN, Mount(None, "/srv/data", True), (), False, id="a-directory-beside-a-plain-volume"),
        pytest.param(BOUND, Mount(None, "/srv/data", True), (), True, id="the-directory-behind"),
        pytest.param(BOUND, Mount(None, "/srv/data/", True), (), True, id="with-a-slash"),
        pytest.param(BOUND, Mount(None, "/srv", True), (), True, id="a-directory-above"),
        pytest.param(BOUND, Mount(None, "/", True), (), True, id="the-whole-disk"),
        pytest.param(BOUND, Mount(None, "/srv/data/sub", True), (), True, id="a-directory-inside"),
        pytest.param(BOUND, Mount(None, "/srv/data2", True), (), False, id="a-neighbour"),
        pytest.param(BOUND, Mount(None, "/srv/data", False), (), False, id="the-directory-read-only"),
        pytest.param(
            BOUND, Mount("alias", "/var/lib/docker/volumes/alias/_data", True),
            (Volume("alias", options={"o": "bind", "device": "/srv"}),), True, id="another-volume-on-the-same-disk",
        ),
        pytest.param(
            SHARE, Mount("alias", "/v", True), (Volume("alias", options=SHARE.options),), True, id="the-same-share"
        ),
        pytest.param(
            Volume("data", options={"type": "tmpfs", "device": "tmpfs"}), Mount("alias", "/v", True),
            (Volume("alias", options={"type": "tmpfs", "device": "tmpfs"}),), False, id="two-tmpfs",
        ),
    ],
)  # fmt: skip
def test_who_writes(volume: Volume, mount: Mount, others: tuple[Volume, ...], writes: bool) -> None:
    seen = engine(container(mount), volumes=(volume, *others))
    assert bool(writers.writers(volume, seen)) == writes


WRITES = Mount("data", "/v", True)
STOPPED = container(WRITES, state="exited")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(engine(), engine(), "Stopped", id="nobody"),
        pytest.param(engine(STOPPED), engine(STOPPED), "Stopped", id="stopped-all-the-time"),
        pytest.param(engine(container(WRITES)), engine(container(WRITES)), "Live", id="running"),
        pytest.param(engine(container(WRITES, state="paused")), engine(STOPPED), "Live", id="paused"),
        pytest.param(
            engine(container(WRITES, state="paused")), engine(container(WRITES, state="paused")), "Frozen", id="frozen"
        ),
        pytest.param(
            engine(container(WRITES, state="paused")), engine(container(WRITES)), "Live", id="let-go-meanwhile"
        ),
        pytest.param(
            engine(container(WRITES)), engine(container(WRITES, state="paused")), "Live", id="frozen-meanwhile"
        ),
        pytest.param(
            engine(container(WRITES, state="paused")), engine(container(WRITES, state="paused", started_at="t2")),
            "Live", id="paused-and-started-and-paused",
        ),
        pytest.param(
            engine(container(WRITES, state="paused"), container(WRITES, identity="c2")),
            engine(container(WRITES, state="paused"), container(WRITES, identity="c2")), "Live", id="one-of-two-frozen",
        ),
        pytest.param(engine(container(WRITES, state="restarting")), engine(STOPPED), "Live", id="restarting"),
        pytest.param(engine(container(WRITES)), engine(STOPPED), "Live", id="stopped-meanwhile"),
        pytest.param(engine(container(WRITES)), engine(), "Live", id="removed-meanwhile"),
        pytest.param(engine(STOPPED), engine(container(WRITES)), "Live", id="started-meanwhile"),
        pytest.param(
            engine(STOPPED), engine(container(WRITES, state="exited", started_at="t2")), "Live", id="ran-in-between"
        ),
        pytest.param(
            engine(STOPPED), engine(container(WRITES, state="exited", identity="c2")), "Live", id="made-anew-and-ran"
        ),
        pytest.param(
            engine(STOPPED), engine(container(WRITES, state="created", started_at=None, identity="c2")), "Stopped",
            id="made-anew-never-started",
        ),
        pytest.param(engine(STOPPED), engine(), "Stopped", id="stopped-then-removed"),
    ],
)  # fmt: skip
def test_consistency(before: Inventory, after: Inventory, expected: str) -> None:
    assert writers.consistency(PLAIN, before, after) == expected


def test_titles_are_sorted_and_each_once() -> None:
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}
    scaled = [Container(str(index), f"shop-web-{index}", "i", "running", labels=labels) for index in (1, 2)]
    assert writers.titles([*scaled, container()]) == "db, shop/web"
