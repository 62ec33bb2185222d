"""Every sabotage still fits: its patch applies to the tree as it is, and the test that it names is there.

A line that has moved would else take a guard away without a word. Run by pytest.
"""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path

import pytest

from realparts.ground import REPOSITORY
from sabotage.__main__ import PATCHES, Sabotage

ALL = [pytest.param(patch, id=patch.stem) for patch in sorted(PATCHES.glob("*.patch"))]


def names_in(source: str) -> set[str]:
    """Return the tests and the classes of tests in a module, as pytest calls them."""
    found: set[str] = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            found |= {node.name} | {f"{node.name}::{one}" for one in names_in("\n".join(map(ast.unparse, node.body)))}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
    return found


def applies(patch: Path, tree: Path) -> str:
    """Return why a patch does not apply to a tree, which needs no history; empty when it does."""
    # In a repository further up git would pass over files of a part of it, and say that all is well.
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(tree.parent)}
    command = ("git", "apply", "--check", str(patch))
    tried = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    return tried.stderr if tried.returncode else ""


@pytest.mark.parametrize("patch", ALL)
def test_it_applies(patch: Path) -> None:
    assert applies(patch, REPOSITORY) == ""


@pytest.mark.parametrize("patch", ALL)
def test_its_test_is_there(patch: Path) -> None:
    path, _, node = Sabotage.read(patch).test.partition("::")
    assert (REPOSITORY / path).is_file(), path
    assert not node or node.partition("[")[0] in names_in((REPOSITORY / path).read_text()), node


def test_every_rule_is_said_once() -> None:
    said = [Sabotage.read(patch).breaks for patch in PATCHES.glob("*.patch")]
    assert len(said) == len(set(said)) > 0


def test_a_line_that_has_changed_is_seen(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("one\ntwo\nthree\n")
    patch = tmp_path / "x.patch"
    patch.write_text("--- a/module.py\n+++ b/module.py\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n")
    assert applies(patch, tmp_path) == ""
    (tmp_path / "module.py").write_text("one\nTWO\nthree\n")
    assert "does not apply" in applies(patch, tmp_path)
