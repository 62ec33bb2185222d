"""ProbeJob: open the repository, or create it where it was never seen, and tell what is in it.

Creating is serialised by the operator: two `init` at once leave a repository that nobody can open, and both exit 0
(seen with 0.18.0 and 0.19.1). Called by agent/jobs.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from compose_backup.agent.context import Context
from compose_backup.agent.engines.restic import NO_LOCK
from compose_backup.agent.repository import (
    OPENING_SECONDS,
    Opened,
    described,
    files_below,
    open_repository,
    require_directory,
    require_writable,
)
from compose_backup.api import reasons
from compose_backup.api.job import ProbeJob, Report
from compose_backup.errors import AgentFailed

IGNORED = frozenset({"lost+found"})
# What a creation that was killed leaves behind before it wrote anything.
LAYOUT = frozenset({"data", "index", "keys", "locks", "snapshots"})


def run(job: ProbeJob, context: Context) -> Report:
    """Open or create the repository. Raise AgentFailed with what stands in the way."""
    created = False
    try:
        opened = open_repository(context)
    except AgentFailed as error:
        if error.reason != reasons.REPOSITORY_ABSENT or not job.create:
            raise
        opened, created = _create(context), True
    return Report(probe=described(opened, context).model_copy(update={"created": created}))


def _create(context: Context) -> Opened:
    """Make a repository in an empty directory, and see that it is the one and has one key."""
    _require_empty(Path(context.places.repository))
    require_writable(context.places.repository)
    try:
        finished = context.restic.run("create the repository", ("init",), seconds=OPENING_SECONDS)
    except AgentFailed:
        _undo_creation(Path(context.places.repository))
        raise
    made = str(json.loads(finished.lines[-1])["id"])
    opened = open_repository(context)
    keys = json.loads(context.restic.run("list the keys", ("key", "list", NO_LOCK), seconds=OPENING_SECONDS).text)
    if opened.id != made or len(keys) != 1:
        message = (
            f"two creations met: {made[:8]} was made, {opened.id[:8]} is there, with {len(keys)} keys; "
            "remove the new directory while nothing is in it, and let one operator create it"
        )
        raise AgentFailed(reasons.REPOSITORY_DAMAGED, message, retryable=False)
    return opened


def _undo_creation(directory: Path) -> None:
    """Remove what a failed creation has left, so that the next one may succeed: key and half a config, on a full disk.

    The directory was empty before. Without a config nothing can have been archived, and restic creates nothing beside
    an old key.
    """
    left = [path for path in files_below(directory) if path.relative_to(directory).parts[0] not in IGNORED]
    if not (directory / "config").exists() and all(_is_of_creation(path.relative_to(directory)) for path in left):
        for path in left:
            path.unlink(missing_ok=True)


def _is_of_creation(path: Path) -> bool:
    return path.parts[0] == "keys" or path.name.startswith("config-tmp-")


def _require_empty(directory: Path) -> None:
    require_directory(str(directory))
    found = next(foreign_entries(directory), None)
    if found == "keys":
        message = (
            "a creation of the repository was interrupted here (there are `keys`, but no `config`), or its `config` "
            "was lost; see that nothing lies in `data` and `snapshots`, then empty the directory"
        )
        raise AgentFailed(reasons.REPOSITORY_ABSENT, message, retryable=False)
    if found is not None:
        message = (
            f"no restic repository is there, but something else is (`{found}`): nothing is created in a directory "
            "that is in use; check the path, or give the repository a directory of its own"
        )
        raise AgentFailed(reasons.REPOSITORY_ABSENT, message, retryable=False)


def foreign_entries(directory: Path) -> Iterator[str]:
    """Yield what a new repository must not be put beside: anything but empty directories of restic's own layout."""
    for entry in sorted(directory.iterdir()):
        own = entry.name in LAYOUT and entry.is_dir() and not any(files_below(entry))
        if entry.name not in IGNORED and not own:
            yield entry.name
