"""Which endpoints reach the operator's own machine, and that they work only where an administrator allows them.

Run by pytest.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from compose_backup.api import reasons
from compose_backup.api.kinds import COMPOSE_HOST
from compose_backup.reconcile.access import is_local
from fakes.scene import Scene
from fakes.turned_loop import run_on_turned_loop

LOCAL = (
    "unix:///var/run/docker.sock",
    "tcp://127.0.0.1:2376",
    "tcp://127.9.9.9:2376",
    "tcp://127.1:2376",
    "tcp://2130706433:2376",
    "tcp://0x7f000001:2376",
    "tcp://0.0.0.0:2376",
    "tcp://[::1]:2376",
    "tcp://[::ffff:127.0.0.1]:2376",
    "tcp://localhost:2376",
    "tcp://localhost.:2376",
    "tcp://LOCALHOST:2376",
    "tcp://engine.localhost:2376",
    "ssh://root@ip6-localhost",
    "ssh://root@127.0.0.1:2222/var/run/docker.sock",
)
REMOTE = ("tcp://srv1:2376", "tcp://10.0.0.1:2376", "tcp://[2001:db8::1]:2376", "ssh://me@localhost.example.org")


@pytest.mark.parametrize("endpoint", LOCAL)
def test_it_reaches_the_operators_own_machine(endpoint: str) -> None:
    assert is_local(endpoint)


@pytest.mark.parametrize("endpoint", REMOTE)
def test_it_reaches_another_machine(endpoint: str) -> None:
    assert not is_local(endpoint)


def test_a_local_endpoint_that_is_not_allowed_is_refused_in_words() -> None:
    async def scenario() -> None:
        scene = Scene()
        scene.apply_all()
        world = scene.world()
        world.settings = replace(world.settings, allow_local_endpoints=False)
        await scene.live(world, 5)
        conditions = scene.body(COMPOSE_HOST, "srv1")["status"]["conditions"]
        said = {condition["type"]: condition for condition in conditions}
        assert said["Ready"]["reason"] == said["Stalled"]["reason"] == reasons.NOT_PERMITTED
        for word in ("unix:///srv1.sock", "operator's own machine", "ssh://", "COMPOSE_BACKUP_ALLOW_LOCAL_ENDPOINTS"):
            assert word in said["Ready"]["message"]
        assert "look" not in scene.engine.calls

    run_on_turned_loop(scenario())
