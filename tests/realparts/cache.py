"""The user's cache directory, shared by all clones: what is expensive is made once and kept there.

Called by binaries.py and go_build.py.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from realparts.processes import exclusively


def root() -> Path:
    """Return the place of everything that is kept: $XDG_CACHE_HOME/compose-backup-operator."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "compose-backup-operator"


def filled(place: Path, fill: Callable[[Path], None]) -> Path:
    """Return the directory; if it does not exist yet, let `fill` make its content first.

    It is filled under a temporary name and then renamed: a directory that exists is complete.
    """
    with exclusively(place.parent / f"{place.name}.lock"):
        if not place.exists():
            _fill(place, fill)
    return place


def _fill(place: Path, fill: Callable[[Path], None]) -> None:
    unfinished = Path(tempfile.mkdtemp(prefix=f"{place.name}.new-", dir=place.parent))
    try:
        fill(unfinished)
        unfinished.chmod(0o755)
        unfinished.rename(place)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
