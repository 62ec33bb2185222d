"""How soon services run again whose agent died while they were down, alone or together with the operator.

Rounds of the campaign of faults (tests/chaos), on an engine of their own: the agent is killed when everything is down;
or the operator is killed, the agent's container removed, and the operator started again. Timed by the services
themselves, from the fault until the last of them counts again; the start of the operator is part of it. Run alone, or
by run.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from chaos.campaign import Campaign, begun
from chaos.place import made
from chaos.schedule import Round
from figures import Figure, main, median_of
from realparts import ground
from realparts.control_plane import ControlPlane
from stage import STATE

AGENT_ROUNDS = 5
BOTH_ROUNDS = 3
MEDIAN_MUST_SECONDS = 10.0
WORST_MUST_SECONDS = 30.0


def measure() -> Sequence[Figure]:
    """Play the rounds, and return how long it took."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as scratch, ground.lent(STATE) as lent:
        plane = ControlPlane.start(Path(scratch) / "control-plane")
        try:
            with made(plane, lent, Path(scratch) / "place") as place:
                campaign = begun(place, proves_each=False)
                agent = [_seconds(campaign, number, "agent-killed") for number in range(AGENT_ROUNDS)]
                both = [
                    _seconds(campaign, AGENT_ROUNDS + number, "operator-killed-and-agent-removed")
                    for number in range(BOTH_ROUNDS)
                ]
        finally:
            plane.stop()
    return (
        median_of("agent_killed_services_back", agent, "s", MEDIAN_MUST_SECONDS),
        Figure("agent_killed_services_back_worst", max(agent), "s", WORST_MUST_SECONDS),
        median_of("agent_and_operator_gone_services_back", both, "s"),
        Figure("agent_and_operator_gone_services_back_worst", max(both), "s", WORST_MUST_SECONDS),
    )


def _seconds(campaign: Campaign, number: int, fault: str) -> float:
    entry = campaign.play(Round(0, number, "backup", "all-down", fault))
    if entry.objections or not entry.hit:
        raise RuntimeError(f"{fault}: {'; '.join(entry.objections) or 'nothing was hit'}")
    print(f"# {fault}: back after {entry.seconds_to_come_back} s, down for {entry.longest_down} s", flush=True)
    return entry.seconds_to_come_back


if __name__ == "__main__":
    main(measure)
