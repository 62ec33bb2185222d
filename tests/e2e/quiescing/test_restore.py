"""A restore stops whoever uses its targets, restores, and starts them: they go on from the number of the snapshot.

Run by pytest.
"""

from __future__ import annotations

from pathlib import Path

from chaos.project import SERVICES, WRITERS
from e2e.shop import Shop
from e2e.stage import restorerequest


def test_services_go_on_from_the_snapshot(shop: Shop, tmp_path: Path) -> None:
    shop.stage.declare(shop.policy())
    copies = shop.copies(shop.stage.archive(), tmp_path)
    shop.wait_until_back()
    shop.stage.request_restore(restorerequest(existingData="Mirror"))
    found = shop.scene.wait_finished("restorerequest", "bring-it-back", seconds=180)
    assert found["status"]["phase"] == "Succeeded", shop.scene.told()
    shop.wait_until_back()
    for name in shop.names(*WRITERS):
        volume = shop.project.volume(SERVICES[shop.service(name)].volume or "")
        assert shop.starts(name)[-1].number == copies[volume][shop.file(name)], name
    told = {one["container"] for one in found["status"]["quiesce"]["services"]}
    assert told >= set(shop.names(*WRITERS))
    assert found["status"]["quiesce"].get("keptStopped", False) is False
