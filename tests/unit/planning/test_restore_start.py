"""When a restore whose source is found may start: nobody else works on its targets, and the host allows it."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from compose_backup.api import reasons
from compose_backup.api.compose_host import Permit
from compose_backup.api.resources import Restore
from compose_backup.planning import restore
from compose_backup.planning.competitors import NOTHING_SEEN
from compose_backup.planning.facts import Container, Inventory, Mount, Volume
from compose_backup.planning.restore import RestoreFacts
from fakes import objects
from fakes.objects import resolved_restore, resolved_run, spec, status

SLOT = dt.datetime(2026, 10, 13, 2, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
HOST = objects.host()
REQUEST = replace(objects.restore(), created=SLOT)
BASELINE = RestoreFacts(
    restore=REQUEST,
    source_run=None,
    source_policy=objects.policy(),
    host=HOST,
    hosts=(HOST,),
    repository=objects.repository(),
    repository_volumes=("archives",),
    inventory=Inventory((Volume("shop_data"), Volume("shop_db"))),
    others=(),
    usage=NOTHING_SEEN,
    now=SLOT + MINUTE,
)
PINNED = status(REQUEST, resolved=resolved_restore("shop_data"), phase="Pending")
WAITING = replace(BASELINE, restore=PINNED)
OLDER = replace(objects.restore("earlier"), created=SLOT - MINUTE)
ROOMY = spec(HOST, max_concurrent_runs=9)
ALLOWS_SHOP = spec(HOST, permit=Permit(projects=("sho*",)))
SHOPS = Volume("shop_data", labels={"com.docker.compose.project": "shop"})


def used_by(name: str, *mounts: Mount, state: str = "running") -> RestoreFacts:
    disk = Volume("shop_data", options={"type": "none", "o": "bind", "device": "/srv/shop"})
    waiting = replace(WAITING, restore=spec(PINNED, quiesce="None"))
    return replace(waiting, inventory=Inventory((disk,), (Container(name, name, "i", state, mounts=mounts),)))


def beside(other: Restore) -> RestoreFacts:
    return replace(WAITING, host=ROOMY, hosts=(ROOMY,), others=objects.parties(other))


READING = status(objects.run(), phase="Running", resolved=resolved_run("shop_data"))
STUCK = {"conditions": objects.ready("Unknown", reasons.REPOSITORY_NOT_READY, "locked")}
SEARCHING = {"conditions": objects.ready("Unknown", reasons.PROGRESSING, "being looked for")}


@pytest.mark.parametrize(
    ("facts", "reason", "names"),
    [
        pytest.param(
            replace(WAITING, host=status(HOST, engine=objects.ENGINE.model_copy(update={"id": "engine-2"}))),
            reasons.HOST_NOT_FOUND,
            "srv1",
            id="the host is another engine by now",
        ),
        pytest.param(
            beside(status(OLDER, resolved=resolved_restore("shop_data"))),
            reasons.RESTORE_ACTIVE,
            "earlier",
            id="oldest first",
        ),
        pytest.param(
            beside(
                status(replace(OLDER, created=SLOT + MINUTE), phase="Running", resolved=resolved_restore("shop_data"))
            ),
            reasons.RESTORE_ACTIVE,
            "earlier",
            id="a younger one that writes already",
        ),
        pytest.param(beside(OLDER), reasons.RESTORE_ACTIVE, "earlier", id="an older one that was not looked at yet"),
        pytest.param(beside(status(OLDER, **SEARCHING)), reasons.RESTORE_ACTIVE, "earlier", id="an older one searches"),
        pytest.param(
            replace(WAITING, host=ROOMY, hosts=(ROOMY,), others=objects.parties(READING)),
            reasons.VOLUMES_BUSY,
            "nightly",
            id="a backup reads",
        ),
        pytest.param(
            used_by("db", Mount("shop_data", "/x", writable=False)), reasons.VOLUME_IN_USE, "db", id="a container reads"
        ),
        pytest.param(
            used_by("web", Mount(None, "/srv", writable=True)),
            reasons.VOLUME_IN_USE,
            "web",
            id="the disk behind is mounted",
        ),
        pytest.param(
            used_by("db", Mount("shop_data", "/x", writable=True), state="paused"),
            reasons.VOLUME_IN_USE,
            "db",
            id="a paused container goes on some day",
        ),
        pytest.param(
            replace(WAITING, host=ROOMY, hosts=(ROOMY,), others=objects.parties(status(READING, phase="Resuming"))),
            reasons.VOLUMES_BUSY,
            "nightly",
            id="a backup starts its services again",
        ),
        pytest.param(
            replace(WAITING, host=ALLOWS_SHOP, hosts=(ALLOWS_SHOP,)),
            reasons.NOT_PERMITTED,
            "shop_data",
            id="a target of no project where others are ruled out",
        ),
        pytest.param(
            replace(WAITING, others=objects.parties(status(READING, resolved=resolved_run("other")))),
            reasons.HOST_BUSY,
            "nightly",
            id="busy",
        ),
    ],
)
def test_each_question_before_the_start(facts: RestoreFacts, reason: str, names: str) -> None:
    objection = restore.may_start(facts)
    assert objection and objection.reason == reason and names in objection.message


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(WAITING, id="the targets are free"),
        pytest.param(
            replace(used_by("db", Mount("shop_data", "/x", writable=True)), restore=PINNED), id="its users are stopped"
        ),
        pytest.param(
            replace(WAITING, host=ALLOWS_SHOP, hosts=(ALLOWS_SHOP,), inventory=Inventory((SHOPS,))),
            id="a project that is allowed",
        ),
        pytest.param(
            used_by("db", Mount("shop_data", "/x", writable=True), state="exited"), id="its service is stopped"
        ),
        pytest.param(used_by("web", Mount(None, "/srv/shopping", writable=True)), id="a neighbour of the disk"),
        pytest.param(beside(status(OLDER, resolved=resolved_restore("other"))), id="an older one elsewhere"),
        pytest.param(
            beside(status(OLDER, resolved=resolved_restore("shop_data", engine_id="engine-2"))), id="on another engine"
        ),
        pytest.param(beside(replace(OLDER, created=SLOT + MINUTE)), id="a younger one"),
        pytest.param(beside(status(OLDER, **STUCK)), id="an older one that cannot find its source"),
        pytest.param(
            beside(
                replace(
                    objects.restore("earlier", target={"volumes": [{"source": "a", "target": "b"}]}),
                    created=SLOT - MINUTE,
                )
            ),
            id="an older one that names other targets",
        ),
    ],
)
def test_may_start(facts: RestoreFacts) -> None:
    assert restore.may_start(facts) is None
