"""What a run record tells of the commands that came after the data."""

from __future__ import annotations

from typing import Any

import pytest

from compose_backup.api import reasons
from compose_backup.api.backup_policy import Hooks
from compose_backup.api.backup_run import HookResult
from compose_backup.planning.hooks import failed_after

THAW = {"project": "shop", "service": "db", "command": ["thaw"]}


def result(phase: Any = "post", error: str | None = None) -> HookResult:
    return HookResult(phase=phase, service="shop/db", command="thaw", error=error)


@pytest.mark.parametrize(
    ("on_error", "results", "failed"),
    [
        pytest.param("Fail", (result("pre", "no"), result()), False, id="it did not fail"),
        pytest.param("Fail", (result("pre"), result(error="ended with 1")), True, id="it failed and must not"),
        pytest.param("Continue", (result(error="ended with 1"),), False, id="it may fail"),
        pytest.param("Fail", (), False, id="nothing is told"),
    ],
)
def test_a_post_hook_that_failed_is_read_from_the_record(
    on_error: str, results: tuple[HookResult, ...], failed: bool
) -> None:
    found = failed_after(Hooks.model_validate({"post": [THAW | {"onError": on_error}]}), results)
    assert (found.reason if found else None) == (reasons.HOOK_FAILED if failed else None)
