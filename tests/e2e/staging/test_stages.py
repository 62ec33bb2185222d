"""Volumes are cloned beside themselves, and archived when services are up again; nothing of that is left.

Run by pytest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chaos.project import SERVICES, WRITERS
from e2e.scene import Document
from e2e.shop import Shop


def means(run: Document) -> set[str]:
    """Return by what means the volumes of a run were captured."""
    return {volume["window"]["means"] for volume in run["status"]["volumes"]}


def assert_ends_where_services_rested(shop: Shop, run: Document, scratch: Path) -> None:
    """Compare copies with the last number that each service had written when it was stopped."""
    copies = shop.copies(run, scratch)
    for name in shop.names(*WRITERS):
        volume = shop.project.volume(SERVICES[shop.service(name)].volume or "")
        assert copies[volume][shop.file(name)] == shop.starts(name)[-1].number, name


def test_a_clone_is_archived_when_services_are_up_again(shop: Shop, tmp_path: Path) -> None:
    """Twice: the second run trusts what has not changed, and still is true."""
    shop.stage.declare(shop.policy())
    for night in ("first", "second"):
        run = shop.stage.archive("nightly", night)
        assert means(run) == {"Clone"} and run["status"]["consistency"] == "Stopped"
        assert_ends_where_services_rested(shop, run, tmp_path / night)
        shop.wait_until_tidy()
        shop.wait_until_back()
    windows = [volume["window"] for volume in run["status"]["volumes"]]
    assert all(0 < window["seconds"] < 5 and window["stallSeconds"] >= 0 for window in windows), windows
    assert "reason" not in windows[0]


def test_paused_services_are_frozen_for_the_time_of_a_clone(shop: Shop) -> None:
    shop.stage.declare(shop.policy(quiesce={"method": "Pause"}))
    run = shop.stage.archive()
    assert means(run) == {"Clone"} and run["status"]["consistency"] == "Frozen"


def test_without_a_stage_if_that_is_wanted(shop: Shop) -> None:
    shop.stage.declare(shop.policy(quiesce={"stage": "None"}))
    assert means(shop.stage.archive()) == {"Everything"}


def test_an_agent_killed_while_it_archives_leaves_neither_stage_nor_service(shop: Shop) -> None:
    """Its services are up already; what it has cloned must not pin the disk until somebody looks."""
    shop.stage.declare(shop.policy())
    run = shop.scene.request_run("nightly", "killed")
    agent = shop.stage.started("run", run, cpus=0.3)
    mark = shop.watch.mark()
    shop.scene.wait_for("the last service to be started", lambda: "web" in shop.events(mark, "start"), seconds=90)
    agent.kill_process()
    finished = shop.scene.wait_finished("backuprun", run["metadata"]["name"], seconds=120)
    assert finished["status"]["phase"] in ("Failed", "Succeeded")
    shop.wait_until_back()
    shop.wait_until_tidy()


@pytest.mark.parametrize("asked", [{}, {"stage": "Copy"}], ids=["auto", "copy"])
def test_a_volume_elsewhere_has_none(shop: Shop, asked: dict[str, Any]) -> None:
    """A bind-backed volume lies in a directory of the host; ours would lie with the plain ones."""
    directory = shop.scene.directory / f"elsewhere-{len(asked)}"
    directory.mkdir()
    (directory / "file").write_text("content")
    volume = shop.stage.volume(f"elsewhere-{len(asked)}", type="none", o="bind", device=str(directory))
    shop.stage.run_container(f"user-{len(asked)}", "--volume", f"{volume}:/data")
    document = shop.policy(quiesce=asked)
    document["spec"]["selector"] = {"volumes": [volume]}
    shop.stage.declare(document)
    (result,) = shop.stage.archive()["status"]["volumes"]
    assert result["window"]["means"] == "Everything" and "o=bind" in result["window"]["reason"]
