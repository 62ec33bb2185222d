"""Archiving through the operator against bare restic: the same data, image, limits and settings, by turns.

Both write a first backup into a fresh repository, and both are timed around the restic process itself: the operator's
by the duration of the volume in status, the other by a shell in its container. A pair counts when neither side was
disturbed: everything but restic itself, the agent and the operator included, took little of the machine meanwhile. On a
machine that never is quiet, all pairs count. Run alone, or by run.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import mixed_data
import objects
from api import has_ended
from compose_backup.api.compose_host import AgentSettings
from compose_backup.api.job import REPOSITORY_ROOT, VOLUMES_ROOT
from compose_backup.api.kinds import ARCHIVE_REPOSITORY, BACKUP_POLICY, BACKUP_RUN
from compose_backup.gateways.agent_request import MAX_PROCESSES
from compose_backup.planning.agent_container import BACKUP_CAPABILITIES, memory_bytes
from figures import Figure, main, median_of, ratio_of
from restic_watch import ResticWatch, watched
from stage import Stage, opened

PAIRS = 6
MOST_PAIRS = 15
FEWEST_QUIET_PAIRS = 5
# The agent and the operator alone take 2 to 4 percent of two cores; other work that is worth the name takes more.
DISTURBED = 0.15
MUST = 1.05


@dataclass(frozen=True)
class Pair:
    """Seconds of both sides, and the larger of the shares of the machine that others took from each."""

    operator: float
    bare: float
    disturbance: float


def measure() -> Sequence[Figure]:
    """Archive the same data by turns and return the ratio. The side that begins changes from pair to pair."""
    with opened() as stage, watched() as watch:
        stage.operator.start()
        data = stage.volume("data")
        size = mixed_data.write(stage.directory(data)) / 1e9
        stage.declare_host()
        _archive_bare(stage, data, "warm")
        pairs: list[Pair] = []
        while len(_quiet(pairs)) < PAIRS and len(pairs) < MOST_PAIRS:
            pairs.append(_measured(stage, watch, data, len(pairs)))
            pair = pairs[-1]
            print(f"# {pair.operator:.2f} s to {pair.bare:.2f} s, others took {pair.disturbance:.0%}", flush=True)
    enough = len(_quiet(pairs)) >= FEWEST_QUIET_PAIRS
    counted, kind = (_quiet(pairs), "quiet") if enough else (pairs, "disturbed")
    ours, theirs = [pair.operator for pair in counted], [pair.bare for pair in counted]
    return (
        ratio_of("archive_seconds_operator_to_bare_restic", ours, theirs, MUST, kind),
        Figure("archive_pairs_disturbed", len(pairs) - len(_quiet(pairs)), f"of {len(pairs)}"),
        Figure("archive_data", size, "GB"),
        median_of("archive_seconds_operator", ours, "s"),
        median_of("archive_seconds_bare_restic", theirs, "s"),
    )


def _quiet(pairs: Sequence[Pair]) -> list[Pair]:
    return [pair for pair in pairs if pair.disturbance <= DISTURBED]


def _measured(stage: Stage, watch: ResticWatch, data: str, number: int) -> Pair:
    sides = {"operator": _archive_by_operator, "bare": _archive_bare}
    seconds: dict[str, float] = {}
    disturbances: list[float] = []
    for side in sorted(sides, reverse=bool(number % 2)):
        watch.forget()
        seconds[side] = sides[side](stage, data, f"{side}{number}")
        disturbances.append(watch.with_argument(f"{VOLUMES_ROOT}/{data}").disturbance)
    return Pair(seconds["operator"], seconds["bare"], max(disturbances))


def _archive_by_operator(stage: Stage, data: str, name: str) -> float:
    repository = stage.declare_repository(name)
    stage.declare_policy(name, name, data)
    stage.api.create(BACKUP_RUN, objects.run(name, name))
    body = stage.api.wait(BACKUP_RUN, objects.NAMESPACE, name, has_ended)
    if body["status"]["phase"] != "Succeeded":
        raise RuntimeError(f"the run did not succeed: {json.dumps(body['status'])}")
    for kind in (BACKUP_RUN, BACKUP_POLICY, ARCHIVE_REPOSITORY):
        stage.api.delete(kind, objects.NAMESPACE, name)
    stage.remove_volumes(repository)
    return float(body["status"]["volumes"][0]["durationSeconds"])


def _archive_bare(stage: Stage, data: str, name: str) -> float:
    """Run restic in a container of the same image with the same limits and arguments; return its seconds."""
    repository = stage.volume(name)
    options = _container_options(data, repository)
    restic = "restic {} --json --no-cache"
    archive = (
        "--compression=auto --retry-lock=10m --host=cluster/benchmark/srv1 --time='2026-10-13 02:00:00' "
        f"--tag=kind=run --force --one-file-system --read-concurrency=4 -- {VOLUMES_ROOT}/{data}"
    )
    script = (
        f"{restic.format('init')} > /dev/null && began=$(date +%s%N) && "
        f"{restic.format('backup')} {archive} > /dev/null && echo $(( $(date +%s%N) - began ))"
    )
    nanoseconds = stage.engine.docker("run", "--rm", *options, "--entrypoint", "sh", stage.image, "-c", script)
    stage.remove_volumes(repository)
    return int(nanoseconds) / 1e9


def _container_options(data: str, repository: str) -> list[str]:
    """Return what gateways/agent_request.py asks for, in words of the command line."""
    settings = AgentSettings()
    memory = memory_bytes(settings.memory)
    environment = {
        "RESTIC_PASSWORD": objects.PASSWORD,
        "RESTIC_REPOSITORY": REPOSITORY_ROOT,
        "RESTIC_PROGRESS_FPS": "1",
        "TMPDIR": "/tmp",
        "TZ": "UTC",
    }
    return [
        *(
            "--network",
            settings.network,
            "--read-only",
            "--tmpfs",
            f"/tmp:rw,nosuid,nodev,size={memory // 2},mode=1777",
        ),
        *("--memory", str(memory), "--cpus", str(settings.cpus), "--pids-limit", str(MAX_PROCESSES)),
        *("--security-opt", "no-new-privileges", "--cap-drop", "ALL", "--log-driver", "local"),
        *(word for capability in BACKUP_CAPABILITIES for word in ("--cap-add", capability)),
        *("--volume", f"{data}:{VOLUMES_ROOT}/{data}:ro", "--volume", f"{repository}:{REPOSITORY_ROOT}"),
        *(word for name, value in environment.items() for word in ("--env", f"{name}={value}")),
    ]


if __name__ == "__main__":
    main(measure)
