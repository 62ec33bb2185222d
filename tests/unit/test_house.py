"""The house's limits: kept by the tree as it stands, and seen when they are not.

Run by pytest.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import house

DOCUMENTED = '"""What it is."""\n'


def test_the_tree_keeps_them() -> None:
    assert list(house.objections(house.REPOSITORY)) == []


@pytest.mark.parametrize(
    ("path", "source", "objection"),
    [
        pytest.param("tests/long.py", DOCUMENTED + "x = 1\n" * 400, "401 lines", id="a long file"),
        pytest.param("tests/mute.py", "x = 1\n", "no module docstring", id="no docstring"),
        pytest.param(
            "tests/function.py",
            DOCUMENTED + "async def long():\n" + "    x = 1\n" * 70,
            "long has 71 lines",
            id="a long function",
        ),
        pytest.param("operator/types.py", DOCUMENTED, "directly in operator/", id="a module in the source root"),
    ],
)
def test_each_breach_is_named(tmp_path: Path, path: str, source: str, objection: str) -> None:
    (tmp_path / path).parent.mkdir()
    (tmp_path / path).write_text(source)
    (found,) = house.objections(tmp_path)
    assert found.startswith(path) and objection in found
