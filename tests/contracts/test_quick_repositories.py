"""Repositories with a cheap key are restic's own in everything else: it finds nothing wrong with them.

Run by pytest.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from realparts import repositories


def asked(program: str, repository: Path, password: str, *arguments: str) -> Any:
    """Return what restic answers, as JSON."""
    command = [program, "--repo", str(repository), "--no-cache", "--json", *arguments]
    environment = os.environ | {"RESTIC_PASSWORD": password}
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True).stdout.splitlines()[-1])


def identity(program: str, repository: Path, password: str) -> str:
    """Return the identity of a repository, which its config holds on a line of its own."""
    command = [program, "--repo", str(repository), "--no-cache", "cat", "config"]
    environment = os.environ | {"RESTIC_PASSWORD": password}
    return str(json.loads(subprocess.check_output(command, env=environment))["id"])


def test_restic_uses_and_checks_them(program: str, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("archived")
    ids = set()
    for password in ("first", "second"):
        place = tmp_path / password
        repositories.make(place, password)
        ids.add(identity(program, place, password))
        assert len(asked(program, place, password, "key", "list")) == 1
        assert asked(program, place, password, "backup", str(tmp_path / "note.txt"))["files_new"] == 1
        assert asked(program, place, password, "check", "--read-data")["num_errors"] == 0
        with pytest.raises(subprocess.CalledProcessError):
            asked(program, place, "another", "snapshots")
    assert len(ids) == 2


def test_what_is_there_is_left_as_it_is(program: str, tmp_path: Path) -> None:
    repositories.make(tmp_path / "one", "password")
    before = identity(program, tmp_path / "one", "password")
    repositories.make(tmp_path / "one", "password")
    assert identity(program, tmp_path / "one", "password") == before
