"""Shell scripts that stand for programs in tests. They are fakes: each does only what its test says.

Called by the tests in tests/unit/realparts.
"""

from __future__ import annotations

from pathlib import Path


def fake_program(path: Path, script: str = "exit 0") -> Path:
    """Write an executable shell script and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def fake_go(path: Path, version: str, *, builds: bool = True) -> Path:
    """Write a Go toolchain that says its version; its `build` writes the output file, or fails."""
    build = 'while [ "$1" != -o ]; do shift; done; echo built >> "$2"' if builds else "echo no network >&2; exit 1"
    says_version = f"echo go version {version} linux/amd64"
    return fake_program(path, f'if [ "$1" = version ]; then {says_version}; else {build}; fi')
