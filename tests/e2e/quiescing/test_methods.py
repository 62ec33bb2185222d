"""Freezing, letting run, too long a window, hooks, and what a host does not permit.

Run by pytest.
"""

from __future__ import annotations

from typing import Any

from chaos.project import SERVICES
from e2e.scene import Document, local_host
from e2e.shop import Shop
from e2e.stage import composehost, failure, policy


def host(shop: Shop, **permit: Any) -> Document:
    """Return the host of the scene, with other permissions."""
    spec = local_host(shop.scene.engine, [shop.scene.directory])
    return composehost("srv1", spec | {"permit": spec["permit"] | permit})


def ended(shop: Shop, value: str, name: str = "nightly") -> Document:
    """Have a run done, whatever its end."""
    run = shop.scene.request_run(name, value)
    return shop.scene.wait_finished("backuprun", run["metadata"]["name"], seconds=180)


def test_pause_gives_a_frozen_copy_and_none_a_live_one(shop: Shop) -> None:
    shop.stage.declare(
        shop.policy("frozen", quiesce={"method": "Pause"}), shop.policy("live", quiesce={"method": "None"})
    )
    before, mark = shop.started_at(), shop.watch.mark()
    frozen = shop.stage.archive("frozen")
    assert frozen["status"]["consistency"] == "Frozen"
    assert frozen["status"]["quiesce"]["method"] == "Pause"
    assert sorted(shop.events(mark, "pause")) == sorted(shop.events(mark, "unpause"))
    assert set(shop.events(mark, "pause")) >= {"db", "web", "mapped", "worker"}
    mark = shop.watch.mark()
    live = shop.stage.archive("live")
    assert live["status"]["consistency"] == "Live"
    assert shop.events(mark, "pause") == shop.events(mark, "kill") == []
    assert shop.started_at() == before
    assert shop.down() == set()


def test_services_are_named_one_by_one(shop: Shop) -> None:
    chosen = [
        {"project": shop.project.name, "service": "web", "method": "None"},
        {"project": shop.project.name, "service": "bystander", "method": "Stop"},
    ]
    shop.stage.declare(shop.policy(quiesce={"services": chosen}))
    mark = shop.watch.mark()
    run = shop.stage.archive()
    assert "bystander" in shop.events(mark, "kill") and "web" not in shop.events(mark, "kill")
    consistency = {one["name"]: one["consistency"] for one in run["status"]["volumes"]}
    assert consistency[shop.project.volume("web")] == "Live"
    assert consistency[shop.project.volume("db")] == "Stopped"
    shop.wait_until_back()


def test_hooks_run_before_and_after_and_their_words_are_kept(shop: Shop) -> None:
    def hook(command: str, service: str = "db", **rest: Any) -> Document:
        return {"project": shop.project.name, "service": service, "command": ["sh", "-c", command], **rest}

    write, read = hook("echo flushed > /data/flushed; echo so be it"), hook("cat /data/flushed; rm /data/flushed")
    failing = hook("echo no way >&2; exit 3")
    shop.stage.declare()
    shop.scene.apply(shop.policy(hooks={"pre": [write], "post": [read]}))
    shop.scene.wait_condition("backuppolicy", "nightly", "Ready", status="False", reason="NotPermitted")
    assert failure(ended(shop, "not-permitted"))[1] == "NotPermitted"

    shop.scene.apply(host(shop, hooks=True), shop.policy("failing", hooks={"pre": [failing], "post": [read]}))
    shop.scene.wait_ready("backuppolicy", "nightly")
    shop.scene.wait_ready("backuppolicy", "failing")
    run = shop.stage.archive("nightly", "permitted")
    first, second = run["status"]["hooks"]
    assert (first["phase"], first["exitCode"], first["output"].strip()) == ("pre", 0, "so be it")
    assert (second["phase"], second["exitCode"], second["output"].strip()) == ("post", 0, "flushed")
    (snapshot,) = (one["snapshotId"] for one in run["status"]["volumes"] if one["name"].endswith("_db"))
    assert f"/volumes/{shop.project.volume('db')}/flushed" in shop.stage.plain_restic("ls", snapshot, "--no-lock")

    before = shop.started_at()
    failed = ended(shop, "in-vain", "failing")
    assert failure(failed) == ("Failed", "HookFailed")
    assert "no way" in failed["status"]["hooks"][0]["output"]
    assert [one["phase"] for one in failed["status"]["hooks"]] == ["pre", "post"]
    assert shop.started_at() == before, "a service was stopped although a pre hook had failed"
    shop.scene.apply(shop.stage.host)


def test_a_neighbour_that_is_not_permitted_is_named(shop: Shop) -> None:
    stranger = shop.stage.run_container("stranger", "--volume", f"{shop.project.volume('db')}:/data")
    shop.stage.declare(policy([shop.project.volume("db")]))
    shop.scene.apply(host(shop, projects=[shop.project.name]))
    before = shop.started_at()
    refused = ended(shop, "with-a-stranger")
    assert failure(refused) == ("Failed", "NotPermitted")
    assert stranger in refused["status"]["failure"]["message"]
    assert shop.started_at() == before
    shop.scene.engine.docker("rm", "--force", stranger)
    assert ended(shop, "without-it")["status"]["phase"] == "Succeeded"
    shop.scene.apply(shop.stage.host)


def test_a_window_has_an_end(shop: Shop) -> None:
    shop.stage.declare(shop.policy(quiesce={"maxSeconds": 3}))
    run = shop.scene.request_run("nightly", "too-slow")
    shop.in_the_window("run", run).allow(0.02)
    shop.scene.wait_for("the agent to let go", lambda: not shop.is_down(), seconds=60)
    shop.stage.agent("run", run).allow(2.0)
    finished = shop.scene.wait_finished("backuprun", run["metadata"]["name"])
    assert failure(finished)[1] == "WindowExceeded", shop.scene.told()
    assert any((one.get("error") or "").find("maxSeconds") >= 0 for one in finished["status"]["volumes"])
    shop.wait_until_back()
    assert shop.stage.locks() == []
    assert {
        SERVICES[shop.service(one["container"])].goes_down for one in finished["status"]["quiesce"]["services"]
    } == {True}
