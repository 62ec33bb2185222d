"""What happens in which round: work, moment and fault, all from one seed. Pure: the same seed gives the same rounds.

Called by campaign.py and by the tests.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Work = Literal["backup", "staged", "restore"]
"""A run that archives while services are down, one that clones and archives later, a restore."""

# In the order in which a run passes them. Each is seen from outside: moments.py says by what.
BEFORE_THE_AGENT = ("requested", "journal-made", "agent-created")
AT_WORK = ("agent-started", "accepted", "held")
IN_THE_WINDOW = ("first-told-to-stop", "first-down", "all-down")
COMING_BACK = ("first-start", "all-up", "released", "reported")
AFTER_THE_AGENT = ("agent-ended", "finished")
MOMENTS: dict[Work, tuple[str, ...]] = {
    "backup": (
        *BEFORE_THE_AGENT,
        *AT_WORK,
        *IN_THE_WINDOW,
        "archiving",
        *COMING_BACK[:3],
        "recording",
        *COMING_BACK[3:],
        *AFTER_THE_AGENT,
    ),
    "staged": (
        *BEFORE_THE_AGENT,
        *AT_WORK[:2],
        "filling-stage",
        *AT_WORK[2:],
        *IN_THE_WINDOW,
        *COMING_BACK[:3],
        "archiving",
        "recording",
        *COMING_BACK[3:],
        *AFTER_THE_AGENT,
    ),
    "restore": (
        *BEFORE_THE_AGENT,
        *AT_WORK,
        *IN_THE_WINDOW,
        "touched",
        "restoring",
        *COMING_BACK,
        *AFTER_THE_AGENT,
    ),
}
WHILE_RESTIC_WORKS = ("archiving", "recording", "restoring")
WHILE_IT_LIVES = tuple(
    dict.fromkeys(
        (*AT_WORK, "filling-stage", *IN_THE_WINDOW, "archiving", "touched", "restoring", "recording", *COMING_BACK)
    )
)
ANY = (*BEFORE_THE_AGENT, *WHILE_IT_LIVES, *AFTER_THE_AGENT)

# Which moments a fault can hit at all: nobody can kill a restic that does not run.
FAULTS: dict[str, tuple[str, ...]] = {
    "agent-killed": WHILE_IT_LIVES,
    "agent-out-of-memory": WHILE_IT_LIVES,
    "docker-stop": WHILE_IT_LIVES,
    "docker-kill": WHILE_IT_LIVES,
    "docker-rm": ("agent-created", *WHILE_IT_LIVES, "agent-ended"),
    "docker-kill-and-container-prune": WHILE_IT_LIVES,
    "container-prune": ("agent-created", *WHILE_IT_LIVES, "agent-ended"),
    "volume-prune": ANY,
    "restic-killed": WHILE_RESTIC_WORKS,
    "operator-killed": ANY,
    "operator-terminated": ANY,
    "operator-killed-and-agent-removed": WHILE_IT_LIVES,
    "api-server-killed": ANY,
    "etcd-killed": ANY,
    "dockerd-killed-with-live-restore": ANY,
    "dockerd-killed": ANY,
    "host-rebooted": ANY,
    "network-cut": ANY,
    "disk-full": ANY,
    "disk-full-beside-volumes": ANY,
    "cancelled": ANY[: ANY.index("reported")],
    "deleted": ANY[: ANY.index("reported")],
}
# One of each kind: the others differ from these by little, and have their turn in a long campaign.
SHORT: dict[str, Work] = {
    "agent-killed": "backup",
    "docker-stop": "restore",
    "agent-out-of-memory": "staged",
    "restic-killed": "backup",
    "api-server-killed": "restore",
    "operator-killed-and-agent-removed": "staged",
    "docker-kill-and-container-prune": "backup",
    "cancelled": "backup",
    "deleted": "backup",
    "disk-full": "backup",
    "disk-full-beside-volumes": "staged",
    "host-rebooted": "backup",
    "dockerd-killed": "backup",
    "dockerd-killed-with-live-restore": "staged",
}
HARSHEST = frozenset({"archiving", "filling-stage", "all-down", "first-down", "first-start", "restoring", "touched"})
# What kills containers, ours and the user's: their own restart policies decide about those that were up.
KILLS_CONTAINERS = frozenset({"dockerd-killed", "host-rebooted"})


@dataclass(frozen=True)
class Round:
    """One round of a campaign."""

    seed: int
    number: int
    work: Work
    moment: str
    fault: str

    @property
    def is_run(self) -> bool:
        """Whether it is a backup, by whatever means."""
        return self.work != "restore"

    def __str__(self) -> str:
        return f"round {self.number} of seed {self.seed}: {self.fault} at {self.moment} of a {self.work}"


def rounds(seed: int, count: int, start: int = 0) -> Iterator[Round]:
    """Yield rounds; each follows from seed and number alone, so that one can be played again without the others."""
    return (round_of(seed, number) for number in range(start, start + count))


def round_of(seed: int, number: int) -> Round:
    """Return one round. Within as many rounds as there are faults, each fault comes once."""
    block, place = divmod(number, len(FAULTS))
    faults = sorted(FAULTS)
    random.Random(f"{seed}/block/{block}").shuffle(faults)
    fault = faults[place]
    chance = random.Random(f"{seed}/round/{number}")
    work = chance.choice(works_for(fault))
    return Round(seed, number, work, chance.choice(moments_of(work, fault)), fault)


def works_for(fault: str) -> Sequence[Work]:
    """Return the works that a fault can hit: nobody dies of a full disk who has no stage on it."""
    return ("staged",) if fault == "disk-full-beside-volumes" else ("backup", "staged", "restore")


def moments_of(work: Work, fault: str) -> Sequence[str]:
    """Return the moments of a work at which a fault can happen."""
    return [moment for moment in MOMENTS[work] if moment in FAULTS[fault]]


def short(seed: int) -> list[Round]:
    """Return a short campaign: each kind of fault once, where services are down if it can happen there."""
    return [_harsh(seed, number, fault) for number, fault in enumerate(SHORT)]


def _harsh(seed: int, number: int, fault: str) -> Round:
    moments = moments_of(SHORT[fault], fault)
    harsh = [moment for moment in moments if moment in HARSHEST]
    return Round(seed, number, SHORT[fault], random.Random(f"{seed}/short/{fault}").choice(harsh or moments), fault)
