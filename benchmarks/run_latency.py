"""What a run costs besides archiving: from its creation to restic's start, and from the last volume to its end.

Restic has started when the kernel started the process `restic backup`; the first restic of a run, a moment before,
only opens the repository. The last volume has ended when restic says so in its snapshot (`summary.backup_end`), and the
run when a watch tells a client of its end. All on one machine and by its clocks. Run alone, or by run.py.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import objects
from api import has_ended
from compose_backup.api.kinds import ARCHIVE_REPOSITORY, BACKUP_RUN
from figures import Figure, main, median_of
from mixed_data import write_little
from restic_watch import ResticWatch, boot_time, watched
from stage import Stage, opened

RUNS = 10
VOLUMES = 2
START_MUST_SECONDS = 1.5
BOOKKEEPING_MUST_SECONDS = 2.5


@dataclass(frozen=True)
class Timed:
    """One run. Seconds from its creation, but `ended_at`: the time of day."""

    uid: str
    opening: float
    archiving: float
    ended_at: float


def measure() -> Sequence[Figure]:
    """Make one run after the other and return the medians. The first one is not counted: it warms up."""
    with opened() as stage, watched() as watch:
        stage.operator.start()
        volumes = [stage.volume(f"data{number}") for number in range(VOLUMES)]
        for number, volume in enumerate(volumes):
            write_little(stage.directory(volume), seed=number)
        stage.declare_host()
        repository_volume = stage.declare_repository("main")
        stage.declare_policy("nightly", "main", *volumes)
        timed = [_timed(stage, watch, f"run-{number}") for number in range(RUNS + 1)][1:]
        archived_at = _archived_at(stage, repository_volume)
    return (
        median_of("run_created_to_restic_started", [one.archiving for one in timed], "s", START_MUST_SECONDS),
        median_of("run_created_to_repository_being_opened", [one.opening for one in timed], "s"),
        median_of(
            "last_volume_to_status_terminal",
            [one.ended_at - archived_at[one.uid] for one in timed],
            "s",
            BOOKKEEPING_MUST_SECONDS,
        ),
    )


def _timed(stage: Stage, watch: ResticWatch, name: str) -> Timed:
    """Make a run, wait for its end, and until the repository was looked at again: that would disturb the next one."""
    created = boot_time()
    uid = stage.api.create(BACKUP_RUN, objects.run(name, "nightly"))["metadata"]["uid"]
    body = stage.api.wait(BACKUP_RUN, objects.NAMESPACE, name, has_ended)
    ended_at = time.clock_gettime(time.CLOCK_REALTIME)
    if body["status"]["phase"] != "Succeeded":
        raise RuntimeError(f"the run did not succeed: {json.dumps(body['status'])}")
    completed = body["status"]["completionTime"]
    stage.api.wait(ARCHIVE_REPOSITORY, objects.NAMESPACE, "main", lambda one: _probed(one) >= completed)
    first, archiving = watch.of_run(uid)
    return Timed(uid, first.at - created, archiving.at - created, ended_at)


def _probed(repository: dict[str, Any]) -> str:
    return str(repository["status"].get("lastProbeTime", ""))


def _archived_at(stage: Stage, repository_volume: str) -> dict[str, float]:
    """Return by UID of the run when its last volume was archived, as the snapshots themselves say."""
    mount = ("--volume", f"{repository_volume}:/repository", "--network", "none")
    environment = ("--env", f"RESTIC_PASSWORD={objects.PASSWORD}", "--entrypoint", "restic")
    words = ("--repo", "/repository", "--no-cache", "--no-lock", "snapshots", "--json", "--tag", "kind=run")
    listed = json.loads(stage.engine.docker("run", "--rm", *mount, *environment, stage.image, *words))
    ended: dict[str, float] = {}
    for snapshot in listed:
        uid = next(tag.removeprefix("uid=") for tag in snapshot["tags"] if tag.startswith("uid="))
        at = dt.datetime.fromisoformat(snapshot["summary"]["backup_end"]).timestamp()
        ended[uid] = max(at, ended.get(uid, 0.0))
    return ended


if __name__ == "__main__":
    main(measure)
