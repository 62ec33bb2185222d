"""What restic reads of a volume that has not changed since the last run, when it is archived from clones on XFS.

All of its calls in a run are counted, whatever they read: files, the repository, and their own programs. Each is called
by a shell that looks into /proc/<pid>/io when it has ended (the kernel adds up what ended children have read). Run
alone, or by run.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import mixed_data
import window_data
from compose_backup.api.job import VolumeAhead
from contracts.restic_bench import Bench, plan, reason_of, restic_program
from contracts.shop_bench import SHOP, shop_engine
from figures import Figure, main, median_of

RUNS = 3
VOLUME = "data"
MUST_PERCENT = 5.0


def measure() -> Sequence[Figure]:
    """Archive the volume, and archive it again and again."""
    with window_data.mounted("xfs-for-figures") as place:
        bench = Bench(place / "bench", restic_program())
        (bench.root / "stage").mkdir()
        if reason_of(bench.probe(create=True)):
            raise RuntimeError(f"there is no repository: {bench.diagnostics}")
        size = mixed_data.write(bench.volume(VOLUME))
        read = _counting(bench)
        window_data.rest()
        first = _run(bench, 0, read)
        again = [_run(bench, number, read) for number in range(1, RUNS + 1)]
    return (
        median_of("unchanged_volume_read", [100 * one / size for one in again], "%", MUST_PERCENT),
        Figure(
            "unchanged_volume_read_first",
            100 * first / size,
            "%",
            remark="everything is new; what is added is read back",
        ),
        Figure("unchanged_volume_data", size / 1e9, "GB"),
    )


def _run(bench: Bench, day: int, read: Path) -> int:
    """Make a run, and return the bytes that its calls of restic have read."""
    bench.engine = shop_engine()
    ahead = {VOLUME: VolumeAhead(stage=str(bench.root / "stage"))}
    report = bench.backup(VOLUME, day=day, plan=plan(services=SHOP), ahead=ahead)
    if report.backup is None or report.backup.verdict != "Succeeded":
        raise RuntimeError(f"the run did not succeed: {reason_of(report)} {report.failure}")
    use = report.backup.volumes[0].window
    if use is None or use.means != "Clone":
        raise RuntimeError(f"the volume was not cloned: {use}")
    calls = [line.split() for line in read.read_text().splitlines()]
    read.unlink()
    print(f"# {', '.join(f'{act} {int(count) / 1e6:.1f} MB' for act, count in calls)}", flush=True)
    return sum(int(count) for _, count in calls)


def _counting(bench: Bench) -> Path:
    """Let restic be called by a shell; return the file that gets the bytes of each call."""
    script, read = bench.root / "counting-restic", bench.root / "read"
    script.write_text(
        f'#!/bin/sh\n"{bench.program}" "$@"; code=$?\n'
        f'echo "$1 $(sed -n "s/^rchar: //p" /proc/$$/io)" >>"{read}"\nexit $code\n'
    )
    script.chmod(0o755)
    bench.program = str(script)
    return read


if __name__ == "__main__":
    main(measure)
