"""What the operator takes while nothing is due: 20 policies on one host. Run alone, or by run.py."""

from __future__ import annotations

from collections.abc import Sequence

from figures import Figure, main
from stage import opened

POLICIES = 20
IDLE_SECONDS = 60.0
MEMORY_MUST_MB = 120.0
CPU_MUST_PERCENT = 1.0


def measure() -> Sequence[Figure]:
    """Declare policies, wait until they are scheduled and the operator is quiet, and look at it for a minute."""
    with opened() as stage:
        stage.operator.start()
        data = stage.volume("data")
        stage.declare_host()
        stage.declare_repository("main")
        for number in range(POLICIES):
            stage.declare_policy(f"policy-{number}", "main", data)
        stage.operator.wait_until_quiet()
        usage = stage.operator.measure(IDLE_SECONDS)
    return (
        Figure("operator_20_policies_memory", usage.memory, "MB", MEMORY_MUST_MB, f"peak {usage.memory_peak:.0f}"),
        Figure(
            "operator_20_policies_idle_cpu", usage.cpu * 100, "%", CPU_MUST_PERCENT, f"of a core, {IDLE_SECONDS:g} s"
        ),
    )


if __name__ == "__main__":
    main(measure)
