"""The house's limits on every Python file: lengths, module docstrings, and nothing in the source root itself.

Called by `make check` as `python3 -m house`.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
ROOMS = ("operator", "tests", "benchmarks")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 70


def objections(repository: Path) -> Iterator[str]:
    """Yield one line for each thing that breaks a limit."""
    # A module there would shadow the standard library's `operator` for everybody who starts Python in the checkout.
    for misplaced in sorted((repository / "operator").glob("*.py")):
        yield f"{misplaced.relative_to(repository)}: no module may lie directly in operator/"
    for room in ROOMS:
        for file in sorted((repository / room).rglob("*.py")):
            yield from (f"{file.relative_to(repository)}{objection}" for objection in _objections_to(file.read_text()))


def _objections_to(source: str) -> Iterator[str]:
    lines = len(source.splitlines())
    if lines > MAX_FILE_LINES:
        yield f": {lines} lines, at most {MAX_FILE_LINES}"
    tree = ast.parse(source)
    if not ast.get_docstring(tree):
        yield ": no module docstring"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield f":{node.lineno}: {node.name} has {length} lines, at most {MAX_FUNCTION_LINES}"


def main() -> int:
    """Print the objections; return 1 if there are any."""
    found = list(objections(REPOSITORY))
    print("\n".join(found) or "The house's limits are kept.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
