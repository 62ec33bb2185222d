"""A restore that is interrupted after its first byte keeps services stopped, and says so; another one brings them back.

Run by pytest.
"""

from __future__ import annotations

from chaos.project import WRITERS
from e2e.agents import Agent
from e2e.scene import condition
from e2e.shop import Shop
from e2e.stage import failure, restorerequest


def begun(shop: Shop) -> Agent:
    """Return the agent of a restore in its window, after a good run."""
    shop.stage.declare(shop.policy())
    shop.stage.archive()
    shop.wait_until_back()
    for key in ("db", "work"):
        (shop.project.data(key) / "bulk.bin").write_bytes(b"other" * (4 << 20))
    document = shop.stage.request_restore(restorerequest(existingData="Mirror"))
    return shop.in_the_window("restore", document)


def test_interrupted_before_its_first_byte_services_come_back(shop: Shop) -> None:
    agent = begun(shop)
    assert not agent.has_touched()
    agent.kill_process()
    agent.allow(2.0)
    shop.wait_until_back()
    assert failure(shop.scene.wait_finished("restorerequest", "bring-it-back"))[0] == "Failed"
    shop.wait_until_tidy()


def test_interrupted_after_its_first_byte_services_stay_stopped(shop: Shop) -> None:
    agent = begun(shop)
    shop.scene.wait_for("the first byte", agent.has_touched, seconds=90)
    agent.kill_process()
    agent.allow(2.0)
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
