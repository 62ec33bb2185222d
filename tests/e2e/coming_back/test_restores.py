"""A restore that is interrupted after its first byte keeps services stopped, and says so; another one brings them back.

Run by pytest.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chaos.project import WRITERS
from e2e.agents import Agent
from e2e.scene import Document, condition
from e2e.shop import Shop
from e2e.stage import failure, restorerequest


def asked(shop: Shop) -> Document:
    """Return a restore that was just asked for, after a good run and a change."""
    shop.stage.declare(shop.policy())
    shop.stage.archive()
    shop.wait_until_back()
    for key in ("db", "work"):
        (shop.project.data(key) / "bulk.bin").write_bytes(b"other" * (4 << 20))
    return shop.stage.request_restore(restorerequest(existingData="Mirror"))


def test_interrupted_before_its_first_byte_services_come_back(shop: Shop) -> None:
    agent = shop.stage.agent("restore", asked(shop))
    # The workers take a second to go down: nothing is written before the last of them is.
    (web,) = shop.names("web")
    shop.scene.wait_for("the first to go down", lambda: not shop.inspected(web)["State"]["Running"], seconds=90)
    agent.kill_process()
    assert not agent.has_touched()
    shop.wait_until_back()
    assert failure(shop.scene.wait_finished("restorerequest", "bring-it-back"))[0] == "Failed"
    shop.wait_until_tidy()


@pytest.mark.parametrize("end", [Agent.kill_process, Agent.remove], ids=["killed", "removed"])
def test_interrupted_when_all_is_whole_it_has_succeeded(shop: Shop, end: Callable[[Agent], None]) -> None:
    engine = shop.stage.scene.engine
    restore = asked(shop)
    agent = shop.in_the_window("restore", restore)
    agent.allow(2.0)
    mark = f"compose-backup-whole-{restore['metadata']['uid']}"
    volumes = ("volume", "ls", "--quiet", "--filter", f"name={mark}")
    shop.scene.wait_for("the mark", lambda: engine.docker(*volumes), seconds=90)
    end(agent)
    found = shop.scene.wait_finished("restorerequest", "bring-it-back")
    shop.wait_until_back()
    assert failure(found)[0] == "Succeeded", shop.scene.told()
    assert {one["phase"] for one in found["status"]["volumes"]} == {"Succeeded"}
    shop.wait_until_tidy()
    assert engine.docker(*volumes) == ""


def test_interrupted_after_its_first_byte_services_stay_stopped(shop: Shop) -> None:
    agent = shop.in_the_window("restore", asked(shop))
    shop.scene.wait_for("the first byte", agent.has_touched, seconds=90)
    agent.allow(2.0)
    agent.kill_process()
    found = shop.scene.wait_finished("restorerequest", "bring-it-back")
    assert failure(found) == ("Failed", "TargetIncomplete"), shop.scene.told()
    writers = set(shop.names(*WRITERS))
    assert shop.down() >= writers
    assert {shop.inspected(name)["HostConfig"]["RestartPolicy"]["Name"] for name in writers} == {"no"}

    told = shop.scene.wait_condition("composehost", "srv1", "ServicesResumed", status="False", reason="KeptStopped")
    assert {one["container"] for one in told["status"]["unresumed"]} >= writers
    assert all(one["keptStopped"] for one in told["status"]["unresumed"])
    assert "restore" in condition(told, "ServicesResumed")["message"].lower()
    assert shop.is_down()

    shop.stage.request_restore(restorerequest("again", existingData="Mirror"))
    again = shop.scene.wait_finished("restorerequest", "again", seconds=180)
    assert again["status"]["phase"] == "Succeeded", shop.scene.told()
    shop.wait_until_back()
    shop.scene.wait_condition("composehost", "srv1", "ServicesResumed")
    shop.wait_until_tidy()
