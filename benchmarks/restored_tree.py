"""A tree with everything that a file system can hold, archived and restored by the operator, against its original.

Run alone, or by run.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import objects
import odd_tree
from api import has_ended
from compose_backup.api.kinds import BACKUP_RUN, RESTORE_REQUEST, Kind
from figures import Figure, main
from stage import Stage, opened

SHOWN = 20


def measure() -> Sequence[Figure]:
    """Archive, restore into a volume that is created by the restore, and return the number of differences."""
    with opened() as stage:
        stage.operator.start()
        source, target = stage.volume("source"), f"{stage.prefix}-target"
        stage.remember(target)
        odd_tree.write(stage.directory(source))
        original = odd_tree.describe(stage.directory(source))
        stage.declare_host()
        stage.declare_repository("main")
        stage.declare_policy("nightly", "main", source)
        stage.api.create(BACKUP_RUN, objects.run("once", "nightly"))
        _succeeded(stage, BACKUP_RUN, "once")
        stage.api.create(RESTORE_REQUEST, objects.restore("back", "once", source, target))
        _succeeded(stage, RESTORE_REQUEST, "back")
        found = odd_tree.differences(original, odd_tree.describe(stage.directory(target)))
    for line in found[:SHOWN]:
        print(f"# {line}")
    remark = "but for sockets, trusted.* and holes"
    return (
        Figure("restored_tree_differences", len(found), "differences", 0, remark),
        Figure("restored_tree_entries", len(original), "entries"),
    )


def _succeeded(stage: Stage, kind: Kind, name: str) -> None:
    body = stage.api.wait(kind, objects.NAMESPACE, name, has_ended)
    if body["status"]["phase"] != "Succeeded":
        raise RuntimeError(f"{kind.name} {name} did not succeed: {json.dumps(body['status'])}")


if __name__ == "__main__":
    main(measure)
