"""How long a volume needs services to be down where nothing can be cloned, with `stage: Auto`, against tar | zstd -3.

On ext4: logs and 100,000 small files first, then databases of 3.2 GB beside them. Each round is a run of the agent's
own code with real restic, on an engine in memory: a hundredth of the data has changed since the run before, and another
hundredth changes when services are told to stop. A live pass is made as the operator would have it made: not again once
two have saved too little. Run alone, or by run.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import window_data
from compose_backup.api.backup_run import VolumeResult, WindowUse
from compose_backup.api.job import VolumeAhead
from compose_backup.planning.staging import live_pass_pays
from contracts.restic_bench import Bench, plan, reason_of, restic_program
from contracts.shop_bench import SHOP, shop_engine
from fakes.agent_engine import Call
from figures import Figure, main, median_of, ratio_of

ROUNDS = 3
VOLUME = "data"
LOGS_MUST = 0.5
DATABASES_MUST = 1.0


@dataclass
class Nights:
    """Runs of one policy, one after the other; `earlier` is the newest first."""

    bench: Bench
    number: int = 0
    earlier: list[VolumeResult] = field(default_factory=list)

    @property
    def volume(self) -> Path:
        """Where the services write."""
        return self.bench.volume(VOLUME)

    def run(self) -> WindowUse:
        """Let a hundredth change, and another one when the first service is told to stop; return what the run took."""
        self.number += 1
        seeds = [2 * self.number]

        def write(call: Call) -> None:
            if call.act == "stop" and seeds:
                window_data.change(self.volume, seeds.pop())

        window_data.change(self.volume, seed=2 * self.number + 1)
        window_data.rest()
        self.bench.engine = shop_engine()
        self.bench.engine.before = write
        ahead = {VOLUME: VolumeAhead(stage=str(self.bench.root / "stage"), warm=live_pass_pays(self.earlier))}
        report = self.bench.backup(VOLUME, day=self.number, plan=plan(services=SHOP), ahead=ahead)
        if report.backup is None or report.backup.verdict != "Succeeded":
            raise RuntimeError(f"the run did not succeed: {reason_of(report)} {report.failure}")
        use = report.backup.volumes[0].window
        assert use is not None
        if seeds or use.means not in ("Warm", "Everything"):
            raise RuntimeError(f"the run was another one: {use}")
        self.earlier.insert(0, report.backup.volumes[0])
        return use


def measure() -> Sequence[Figure]:
    """Measure without databases and with them."""
    with window_data.mounted("ext4-for-figures") as place:
        bench = Bench(place / "bench", restic_program())
        (bench.root / "stage").mkdir()
        if reason_of(bench.probe(create=True)):
            raise RuntimeError(f"there is no repository: {bench.diagnostics}")
        nights = Nights(bench)
        window_data.write_logs(nights.volume, seed=1)
        window_data.write_small_files(nights.volume, seed=2)
        logs = _figures("window_ext4_logs", nights, LOGS_MUST)
        window_data.write_databases(nights.volume, seed=3)
        # What the logs have taught about live passes is worth nothing for a volume of another kind.
        return *logs, *_figures("window_ext4_databases", Nights(bench, number=nights.number), DATABASES_MUST)


def _figures(name: str, nights: Nights, must: float) -> Sequence[Figure]:
    """Make a run that reads everything, and then those that count. The first one decides about live passes, too."""
    first = nights.run()
    windows, aheads, tars, means = list[float](), list[float](), list[float](), list[str]()
    for _ in range(ROUNDS):
        use = nights.run()
        size = window_data.keep_in_memory(nights.volume)
        tars.append(window_data.seconds_of_tar(nights.volume))
        windows.append(use.seconds)
        aheads.append(use.ahead_seconds)
        means.append(use.means)
        print(f"# {use.means} {use.seconds:.2f} s after {use.ahead_seconds:.2f} s, tar {tars[-1]:.2f} s", flush=True)
    return (
        ratio_of(f"{name}_to_tar_zstd", windows, tars, must, " ".join(means)),
        median_of(f"{name}", windows, "s"),
        median_of(f"{name}_tar_zstd", tars, "s"),
        median_of(f"{name}_ahead", aheads, "s"),
        Figure(f"{name}_first_run", first.seconds, "s", remark=f"{first.means}, after {first.ahead_seconds:.1f} s"),
        Figure(f"{name}_data", size / 1e9, "GB"),
    )


if __name__ == "__main__":
    main(measure)
