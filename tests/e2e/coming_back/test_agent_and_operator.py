"""The agent dies in the window, in each way that there is; the operator dies, too: services come back all the same.

Run by pytest.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from e2e.agents import Agent
from e2e.scene import Document
from e2e.shop import Shop
from e2e.stage import failure


def in_the_window(shop: Shop) -> tuple[Document, Agent]:
    """Return a run whose services are down, and its agent."""
    shop.stage.declare(shop.policy())
    shop.stage.plain_restic("unlock", "--remove-all")  # an agent that was killed in an earlier test has left its lock
    run = shop.scene.request_run("nightly", "interrupted")
    return run, shop.in_the_window("run", run)


def ended(shop: Shop, run: Document) -> tuple[str, str]:
    """Return phase and reason of a run, and see that the host is tidy and the next run succeeds."""
    finished = shop.scene.wait_finished("backuprun", run["metadata"]["name"], seconds=120)
    shop.wait_until_back()
    shop.wait_until_tidy()
    shop.stage.archive("nightly", "the-next")
    shop.wait_until_back()
    return failure(finished)


def test_a_killed_agent_comes_back_and_starts_what_it_has_stopped(shop: Shop) -> None:
    run, agent = in_the_window(shop)
    shop.scene.operator.kill()  # the agent does it alone
    agent.allow(2.0)
    agent.kill_process()
    shop.wait_until_back(seconds=30)
    shop.scene.operator.start()
    assert ended(shop, run) == ("Failed", "Interrupted")


def test_an_agent_that_is_stopped_starts_them_before_it_ends(shop: Shop) -> None:
    run, agent = in_the_window(shop)
    shop.scene.operator.kill()
    agent.allow(2.0)
    shop.scene.engine.docker("stop", agent.name)
    assert agent.state == "exited"
    shop.wait_until_back(seconds=5)
    assert shop.stage.locks() == []
    shop.scene.operator.start()
    assert ended(shop, run)[0] in ("Failed", "Cancelled")


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda agent: agent.engine.docker("kill", agent.name), id="docker-kill"),
        pytest.param(Agent.remove, id="docker-rm"),
    ],
)
def test_where_the_agent_cannot_come_back_the_operator_starts_them(shop: Shop, end: Callable[[Agent], None]) -> None:
    run, agent = in_the_window(shop)
    end(agent)
    shop.wait_until_back(seconds=30)
    assert ended(shop, run)[0] == "Failed"


def test_with_nobody_left_the_next_operator_starts_them(shop: Shop) -> None:
    run, agent = in_the_window(shop)
    shop.scene.operator.kill()
    agent.remove()
    assert shop.is_down()
    shop.scene.operator.start()
    shop.wait_until_back(seconds=30)
    assert ended(shop, run)[0] == "Failed"


def test_what_a_person_stops_meanwhile_stays_stopped(shop: Shop) -> None:
    _, agent = in_the_window(shop)
    shop.scene.operator.kill()
    agent.remove()
    # Started by a person and stopped again: from then on it is theirs.
    (web,) = shop.names("web")
    shop.scene.engine.docker("start", web)
    shop.scene.engine.docker("stop", web)
    shop.scene.operator.start()
    shop.scene.wait_for("all others", lambda: shop.down() == {web})
    shop.wait_until_tidy()
    assert shop.down() == {web}
    shop.scene.engine.docker("start", web)


def test_a_cancelled_run_starts_them_and_leaves_no_lock(shop: Shop) -> None:
    run, agent = in_the_window(shop)
    name = run["metadata"]["name"]
    shop.scene.kubectl("annotate", "backuprun", name, "backup.dockerwarts.io/cancel-requested=yes")
    agent.allow(2.0)
    shop.wait_until_back(seconds=30)
    assert ended(shop, run) == ("Cancelled", "Cancelled")
    assert shop.stage.locks() == []


@pytest.mark.parametrize("kind", ["backuprun", "backuppolicy"])
def test_what_is_deleted_in_the_window_leaves_nothing_down(shop: Shop, kind: str) -> None:
    run, agent = in_the_window(shop)
    name = run["metadata"]["name"] if kind == "backuprun" else "nightly"
    shop.scene.kubectl("delete", kind, name, "--timeout=10s")
    agent.allow(2.0)
    shop.wait_until_back()
    shop.wait_until_tidy()
    assert shop.stage.locks() == []


def test_a_namespace_that_is_deleted_in_the_window_leaves_nothing_down(own_shop: Shop) -> None:
    _, agent = in_the_window(own_shop)
    own_shop.scene.cluster.kubectl("delete", "namespace", own_shop.scene.namespace, "--timeout=60s")
    agent.allow(2.0)
    own_shop.wait_until_back()
    own_shop.wait_until_tidy()
