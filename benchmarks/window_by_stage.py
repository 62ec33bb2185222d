"""How long a volume needs services to be down when it is staged, by clones and by copies, against tar | zstd -3 of it.

3.2 GB of databases and 100,000 small files on XFS. A first pass is made, a hundredth changes, and the second pass is
timed: that is all that is done while services are down. Each round has both means and the other side, one after the
other. Run alone, or by run.py.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import window_data
from compose_backup.agent.stage.filling import Means
from compose_backup.agent.stage.space import SpaceGuard, floor_bytes, free_bytes, total_bytes
from compose_backup.agent.stage.staging import Stage
from figures import Figure, main, median_of, ratio_of

ROUNDS = 3
CLONE_MUST_RATIO = 0.15
CLONE_MUST_SECONDS = 2.0
COPY_MUST_RATIO = 0.5


@dataclass(frozen=True)
class Pass:
    """Seconds ahead of the window, and in it."""

    ahead: float
    window: float


def measure() -> Sequence[Figure]:
    """Stage the same volume again and again, and return the ratios."""
    clones, copies, tars = list[Pass](), list[Pass](), list[float]()
    with window_data.mounted("xfs-for-figures") as place:
        volume, root = place / "volume", place / "stage"
        root.mkdir()
        window_data.write_databases(volume, seed=1)
        window_data.write_small_files(volume, seed=2)
        for number in range(ROUNDS):
            clones.append(_staged(volume, root, Means.CLONE, seed=10 + number))
            size = window_data.keep_in_memory(volume)
            tars.append(window_data.seconds_of_tar(volume))
            copies.append(_staged(volume, root, Means.COPY, seed=20 + number))
            print(
                f"# clone {clones[-1].window:.2f} s, copy {copies[-1].window:.2f} s, tar {tars[-1]:.2f} s", flush=True
            )
    in_clones, in_copies = [one.window for one in clones], [one.window for one in copies]
    return (
        ratio_of("window_clone_to_tar_zstd", in_clones, tars, CLONE_MUST_RATIO),
        median_of("window_clone", in_clones, "s", CLONE_MUST_SECONDS),
        ratio_of("window_copy_to_tar_zstd", in_copies, tars, COPY_MUST_RATIO),
        median_of("window_copy", in_copies, "s"),
        median_of("window_tar_zstd", tars, "s"),
        median_of("window_clone_ahead", [one.ahead for one in clones], "s"),
        median_of("window_copy_ahead", [one.ahead for one in copies], "s"),
        Figure("window_staged_data", size / 1e9, "GB", remark=f"and {window_data.SMALL_FILES} small files in it"),
    )


def _staged(volume: Path, root: Path, means: Means, seed: int) -> Pass:
    """Stage as the agent does, see that nothing is wrong with it, and drop it."""
    window_data.rest()
    with SpaceGuard(lambda: free_bytes(root), floor_bytes(0, total_bytes(root))) as guard:
        stage = Stage(volume, root, "data", means, guard, lambda: None)
        try:
            started = time.monotonic()
            stage.first_pass()
            ahead = time.monotonic() - started
            window_data.change(volume, seed)
            guard.window_opens()
            started = time.monotonic()
            stage.second_pass()
            window = time.monotonic() - started
            guard.window_is_over()
            _compare(volume, stage.tree)
        finally:
            stage.drop()
    return Pass(ahead, window)


def _compare(volume: Path, tree: Path) -> None:
    command: list[str | Path] = ["diff", "--recursive", "--brief", "--no-dereference", volume, tree]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        raise RuntimeError(f"the stage is not the volume: {found.stdout[:500]}{found.stderr[:500]}")


if __name__ == "__main__":
    main(measure)
