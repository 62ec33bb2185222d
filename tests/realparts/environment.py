"""The virtual environment of the checkout: made with whatever Python the machine has, filled from pyproject.toml.

Called by __main__.py for `make .venv`.
"""

from __future__ import annotations

import importlib.util
import sys
import tomllib
from pathlib import Path

from realparts.debian import install
from realparts.steps import run, step

STAMP = "ready"
REMEDY = "see that pip reaches a package index (`pip config list`), then remove .venv and try again"


def make(repository: Path) -> None:
    """Make `.venv` with the project in it as it stands in the checkout, and everything that develops and tests it."""
    place = repository / ".venv"
    with step("install the Python packages"):
        if not (place / "bin" / "pip").exists():
            _create(place)
        project = tomllib.loads((repository / "pyproject.toml").read_text())
        # Not pip's --group: Python 3.11 comes with a pip that does not know it yet.
        tools = project["dependency-groups"]["dev"]
        pip = (str(place / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check")
        wanted = ("--editable", f"{repository}[operator,agent]", *tools)
        run("install the Python packages", (*pip, *wanted), remedy=REMEDY)
    (place / STAMP).touch()


def _create(place: Path) -> None:
    if importlib.util.find_spec("ensurepip") is None:
        # Debian keeps this part of Python in a package of its own.
        install("python3-venv")
    run("make .venv", [sys.executable, "-m", "venv", "--clear", place], remedy="apt-get install python3-venv")
