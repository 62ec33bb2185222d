"""Writes generated files into a directory, or tells which of those there have drifted.

Called by crdgen.py and docgen.py.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path


def drifted(directory: Path, wanted: Mapping[str, str]) -> list[str]:
    """Return the names of files that differ from what is wanted, are missing, or are too many of their kind."""
    endings = {Path(name).suffix for name in wanted}
    found = {
        path.name: path.read_text(encoding="utf-8")
        for path in directory.glob("*")
        if path.is_file() and path.suffix in endings
    }
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def write(directory: Path, wanted: Mapping[str, str]) -> None:
    """Write the files. What is there and not wanted is left for a person to delete."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in wanted.items():
        (directory / name).write_text(content, encoding="utf-8")


def main(what: str, wanted: Mapping[str, str]) -> int:
    """Run the command line: a directory, and `--check` to change nothing and return 1 when a file has drifted."""
    parser = argparse.ArgumentParser(description=f"Write {what} into a directory.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when a file has drifted")
    arguments = parser.parse_args()
    if not arguments.check:
        write(arguments.directory, wanted)
        return 0
    names = drifted(arguments.directory, wanted)
    if names:
        print(f"{arguments.directory} has drifted, run `make generate`: {', '.join(names)}", file=sys.stderr)
    return 1 if names else 0
