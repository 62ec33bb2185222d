"""Who gets a pass when another object has changed: those that it concerns, and nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from compose_backup.api import kinds
from compose_backup.reconcile.dependents import wake_dependents
from compose_backup.reconcile.queue import Key
from fakes import objects
from fakes.scene import Scene
from fakes.turned_loop import run_on_turned_loop

WAITING = "nightly-waiting"


def woken(kind: kinds.Kind, name: str, phase: str | None = None, *, gone: bool = False) -> set[str]:
    """Return the names of those that a change of one object makes due, beside a run that waits."""

    async def scenario() -> set[str]:
        world = Scene().world()
        made: list[Any] = [
            objects.host(),
            objects.repository(),
            objects.policy(),
            objects.policy("weekly"),
            objects.run(),
        ]
        for one in made:
            world.store.put(
                one.kind, dict(one.body) | {"status": {"phase": phase} if one.kind.name == kind.name else {}}
            )
        world.store.put(kinds.BACKUP_RUN, dict(objects.run(WAITING).body) | {"status": {"phase": "Pending"}})
        wake_dependents(world, Key(kind.name, "prod", name), gone=gone)
        return {key.name for key in world.queue._waiting}

    return run_on_turned_loop(scenario())


RUN = objects.run().name


@pytest.mark.parametrize(
    ("phase", "gone", "expected"),
    [
        pytest.param("Running", False, set(), id="progress concerns nobody"),
        pytest.param("Resuming", False, set(), id="nor does that services are started again"),
        pytest.param("Pending", False, {"nightly"}, id="its policy shows that it waits"),
        pytest.param("Succeeded", False, {"nightly", WAITING}, id="its end lets others in"),
        pytest.param("Running", True, {"nightly", WAITING, RUN}, id="so does its deletion"),
    ],
)
def test_a_run(phase: str, gone: bool, expected: set[str]) -> None:
    assert woken(kinds.BACKUP_RUN, RUN, phase, gone=gone) - {RUN} == expected - {RUN}


def test_a_host_wakes_what_refers_to_it() -> None:
    assert woken(kinds.COMPOSE_HOST, "srv1") == {"main", "nightly", "weekly", RUN, WAITING}


def test_a_policy_wakes_its_own_runs() -> None:
    assert woken(kinds.BACKUP_POLICY, "nightly") == {RUN, WAITING}
    assert woken(kinds.BACKUP_POLICY, "weekly") == set()
