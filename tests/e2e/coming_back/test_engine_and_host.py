"""The engine dies in the window, with and without live restore, or the whole host: services come back by themselves.

Run by pytest.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaos.faults import kill_containers
from e2e.scene import Document
from e2e.shop import Shop


def in_the_window(shop: Shop) -> Document:
    """Return a run whose services are down, of a policy that tries only once."""
    shop.stage.declare(shop.policy())
    run = shop.scene.request_run("nightly", "interrupted")
    shop.in_the_window("run", run).allow(0.5)
    return run


@pytest.mark.parametrize("live_restore", [True, False], ids=["live-restore", "plain"])
def test_a_daemon_that_is_killed_takes_nothing_with_it(fragile_shop: Shop, live_restore: bool) -> None:
    run = in_the_window(fragile_shop)
    engine = fragile_shop.scene.engine
    assert engine.daemon is not None
    engine.kill()
    replace(engine.daemon, live_restore=live_restore).start()
    _comes_back(fragile_shop, run)


def test_a_host_that_boots_brings_back_what_was_stopped(fragile_shop: Shop) -> None:
    run = in_the_window(fragile_shop)
    engine = fragile_shop.scene.engine
    assert engine.daemon is not None
    fragile_shop.scene.operator.kill()  # the host does it alone
    kill_containers(engine.daemon, fragile_shop.docker)
    replace(engine.daemon, live_restore=False).start()
    fragile_shop.wait_until_back()
    fragile_shop.scene.operator.start()
    _comes_back(fragile_shop, run)


def _comes_back(shop: Shop, run: Document) -> None:
    shop.wait_until_back()
    finished = shop.scene.wait_finished("backuprun", run["metadata"]["name"], seconds=120)
    assert finished["status"]["phase"] in ("Succeeded", "Failed")
    shop.wait_until_back()
    shop.wait_until_tidy()
    shop.stage.archive("nightly", "the-next")
    shop.wait_until_back()
