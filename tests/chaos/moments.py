"""When a moment has come, seen from outside: by events, processes, the agent's log and the phase of the object.

Called by campaign.py. No moment is a time: each is something that has happened.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chaos import agent_process
from chaos.cluster_api import ClusterApi, is_finished
from chaos.project import PROJECT, WRITERS, WRITING_CONTAINERS
from chaos.schedule import Work
from chaos.watch import Seen, Watch, count

LOOK_SECONDS = 0.015
PLURALS: dict[Work, str] = {"backup": "backupruns", "staged": "backupruns", "restore": "restorerequests"}
PURPOSES: dict[Work, str] = {"backup": "run", "staged": "run", "restore": "restore"}
LOG_FILE = "local-logs/container.log"


@dataclass(frozen=True)
class Sight:
    """One run or restore, watched from outside."""

    watch: Watch
    mark: int
    cluster: ClusterApi
    engine_root: Path
    work: Work
    name: str
    uid: str

    @property
    def agent(self) -> str:
        """The name of its agent container."""
        return f"compose-backup-{PURPOSES[self.work]}-{self.uid}"

    @property
    def journal(self) -> str:
        """The name of its journal volume."""
        return f"compose-backup-journal-{self.uid}"

    @property
    def agent_id(self) -> str:
        """The full id of the agent that was made last, empty before."""
        made = [event.id for event in self.events() if event.action == "create" and event.name == self.agent]
        return made[-1] if made else ""

    def events(self) -> list[Seen]:
        """What has happened on the host since the request."""
        return self.watch.since(self.mark)

    def happened(self, action: str, times: int = 1) -> bool:
        """Say whether this has happened to the agent as often."""
        return sum(event.action == action and event.name == self.agent for event in self.events()) >= times

    def writers(self, action: str) -> int:
        """Return how many writing containers have had this happen to them."""
        events = [event for event in self.events() if event.kind == "container"]
        return count(events, action, {event.name for event in events if is_writer(event.name)})

    def going_down(self) -> frozenset[str]:
        """Return the containers that were told to stop, or ended, and were not started since.

        Lists of containers lag behind events by a moment.
        """
        ours = (event for event in self.events() if event.name.startswith(f"{PROJECT}-"))
        last = {event.name: event.action for event in ours if event.action in ("kill", "die", "stop", "start")}
        return frozenset(name for name, action in last.items() if action != "start")

    def told(self, text: bytes) -> bool:
        """Say whether the agent has written this into its log."""
        log = self.engine_root / "containers" / self.agent_id / LOG_FILE
        return bool(self.agent_id) and log.exists() and text in log.read_bytes()

    def works(self, *words: str) -> bool:
        """Say whether a restic with these words runs in the agent."""
        return agent_process.restic(self.agent_id, *words) is not None

    def has_stage(self) -> bool:
        """Say whether anything has been staged."""
        return any((self.engine_root / "volumes").glob(f"compose-backup-stage-{self.uid}-*/_data/volumes/*"))

    def is_finished(self) -> bool:
        """Say whether the object has ended or is gone. An API server that is away says neither."""
        try:
            found = self.cluster.get(PLURALS[self.work], self.name)
        except Exception:  # urllib3's own tree, and it is away on purpose
            return False
        return found is None or is_finished(found)


def is_writer(container: str) -> bool:
    """Say whether a container is one of the project's writers."""
    return any(container.startswith(f"{PROJECT}-{service}-") for service in WRITERS)


MOMENTS: dict[str, Callable[[Sight], bool]] = {
    "requested": lambda _: True,
    "journal-made": lambda sight: any(
        event.action == "create" and event.name == sight.journal for event in sight.events()
    ),
    "agent-created": lambda sight: sight.happened("create"),
    "agent-started": lambda sight: sight.happened("start"),
    "accepted": lambda sight: sight.told(b'"accepted"'),
    "filling-stage": lambda sight: sight.has_stage(),
    "held": lambda sight: sight.happened("update"),
    "first-told-to-stop": lambda sight: sight.writers("kill") > 0,
    "first-down": lambda sight: sight.writers("die") > 0,
    "all-down": lambda sight: sight.writers("die") >= WRITING_CONTAINERS,
    "archiving": lambda sight: sight.writers("die") >= WRITING_CONTAINERS and sight.works("\0backup\0"),
    "touched": lambda sight: sight.told(b'"targetTouched":true'),
    "restoring": lambda sight: sight.works("\0restore\0"),
    "first-start": lambda sight: sight.writers("start") > 0,
    "all-up": lambda sight: sight.writers("start") >= WRITING_CONTAINERS,
    "released": lambda sight: sight.happened("update", times=2),
    "recording": lambda sight: sight.works("\0backup\0", "kind=record"),
    "reported": lambda sight: sight.told(b'"type":"report"'),
    "agent-ended": lambda sight: sight.happened("die"),
    "finished": lambda sight: sight.is_finished(),
}


def wait_for(moment: str, sight: Sight, seconds: float) -> bool:
    """Return whether the moment has come, or False when the work ended without it or the time is over."""
    deadline = time.monotonic() + seconds
    has_come = MOMENTS[moment]
    looks = 0
    while time.monotonic() < deadline:
        mark = sight.watch.mark()
        if has_come(sight):
            return True
        looks += 1
        if looks % 20 == 0 and sight.is_finished():
            return has_come(sight)
        sight.watch.wait_for_news(mark, LOOK_SECONDS)
    return False
