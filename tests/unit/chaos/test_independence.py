"""Those who judge a campaign share nothing with the product: what they import, and what that imports, is looked at.

Run by pytest.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import chaos.invariants

ROOM = Path(chaos.invariants.__file__).parent
FROM_OUTSIDE = {"kubernetes", "yaml"}
JUDGES = ("invariants", "repository_checks", "evidence", "writer")


def imported(module: str, seen: set[str]) -> Iterator[str]:
    """Yield what a module of the room imports, and what the room's modules that it imports do."""
    if module in seen:
        return
    seen.add(module)
    for node in ast.walk(ast.parse((ROOM / f"{module}.py").read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [f"chaos.{alias.name}" for alias in node.names] if node.module == "chaos" else [str(node.module)]
        for name in names:
            yield name
            if name.startswith("chaos."):
                yield from imported(name.split(".")[1], seen)


@pytest.mark.parametrize("judge", JUDGES)
def test_a_judge_knows_nothing_of_the_product(judge: str) -> None:
    roots = {name.partition(".")[0] for name in imported(judge, set())}
    assert roots <= sys.stdlib_module_names | FROM_OUTSIDE | {"chaos"}
