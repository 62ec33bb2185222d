"""What the sweep does with a container, given its owner as the cluster has it."""

from __future__ import annotations

from typing import Any

import pytest

from compose_backup.api.backup_run import TERMINAL_PHASES
from compose_backup.planning.facts import OwnContainer
from compose_backup.planning.labels import Owner, agent_labels
from compose_backup.planning.sweeping import Verdict, verdict

OWNER = Owner("BackupRun", "prod", "nightly-1", "uid-1")


def body(uid: str = "uid-1", phase: str | None = "Running") -> dict[str, Any]:
    return {"metadata": {"uid": uid}, "status": {"phase": phase} if phase else {}}


@pytest.mark.parametrize("state", ["running", "paused", "restarting", "exited", "created", "dead"])
@pytest.mark.parametrize(
    ("owner", "found", "needed"),
    [
        pytest.param(OWNER, body(), True, id="its owner works"),
        pytest.param(OWNER, body(phase=None), True, id="its owner has not begun"),
        pytest.param(OWNER, {"metadata": {"uid": "uid-1"}}, True, id="its owner has no status"),
        pytest.param(OWNER, None, False, id="its owner is gone"),
        pytest.param(OWNER, body(uid="uid-2"), False, id="its owner was made anew"),
        pytest.param(None, None, False, id="it names no owner"),
        *(
            pytest.param(OWNER, body(phase=phase), False, id=f"its owner is {phase}")
            for phase in sorted(TERMINAL_PHASES)
        ),
    ],
)
def test_verdict(owner: Owner | None, found: dict[str, Any] | None, needed: bool, state: str) -> None:
    alive = state in ("running", "paused", "restarting")
    expected = Verdict.KEEP if needed else Verdict.TERMINATE if alive else Verdict.REMOVE
    assert verdict(OwnContainer("c", state, {}), owner, found) is expected


def test_labels_name_the_owner_and_back() -> None:
    labels = agent_labels(OWNER, "installation-1", "run")
    assert Owner.of(labels) == OWNER
    assert all(
        Owner.of({key: value for key, value in labels.items() if key != gone}) is None
        for gone in labels
        if "owner" in gone
    )
