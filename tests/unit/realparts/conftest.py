"""What the tests of this folder share: a machine on which nothing is cached or reachable.

Run by pytest.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

VARIABLES = ("KUBEBUILDER_ASSETS", "USE_EXISTING_CLUSTER", "KUBECONFIG")


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the cache be empty, no release reachable, and return a directory that is first on PATH."""
    for variable in (*VARIABLES, *(name for name in os.environ if name.startswith("TEST_ASSET_"))):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KUBERNETES_RELEASES_URL", "http://127.0.0.1:1")
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return programs
