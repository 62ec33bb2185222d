"""What every pass works with: the ports, the store, and what is remembered only as long as the operator lives.

Built once in handlers.py.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from compose_backup.api.job import ProbeReport, RepositoryAccess
from compose_backup.api.resources import Repository
from compose_backup.planning.competitors import Usage
from compose_backup.planning.facts import HostAddress, Inventory
from compose_backup.planning.turns import Party
from compose_backup.reconcile.ports import Cluster, DockerHosts
from compose_backup.reconcile.queue import WorkQueue
from compose_backup.reconcile.store import Store
from compose_backup.settings import Settings

SEARCH_PAUSE = dt.timedelta(minutes=1)


@dataclass(frozen=True)
class SeenInventory:
    """A list of volumes and containers, and when it was made."""

    inventory: Inventory
    at: dt.datetime

    @cached_property
    def usage(self) -> Usage:
        """Who uses which of the volumes."""
        return Usage(self.inventory)


@dataclass(frozen=True)
class KnownParty:
    """What a run that has not begun means to others, and the objects, as last seen, that this follows from."""

    party: Party
    sources: tuple[object, ...]


@dataclass(frozen=True)
class Pledge:
    """What an active run or restore was started with, in memory until it ends: it can be ended without its Secrets."""

    address: HostAddress
    access: RepositoryAccess | None
    repository: Repository | None = None
    """As it was at the start: deleting the object only lets go of it, and a run goes on."""


@dataclass(frozen=True)
class Told:
    """What an agent that worked for a run has said of the repository, and when."""

    found: ProbeReport
    at: dt.datetime


@dataclass
class ProbeMemory:
    """How the probes of one repository went. Until a first look says otherwise, one may be at work."""

    at_work: bool = True
    suspected: bool = False
    failures: int = 0
    retry_at: dt.datetime | None = None
    in_the_way: tuple[str, dt.datetime] | None = None
    told: Told | None = None
    """What a run has just found in the repository, until the repository's own pass has taken it."""
    """A container of another object at the same place: its id, and since when it has ended."""
    host_generation: int | None = None
    """Generation of the ComposeHost at the last failure."""


@dataclass(frozen=True)
class Heard:
    """The last that an agent said: the sequence number of the event, and when it was first seen."""

    container_id: str
    sequence: int
    at: dt.datetime


@dataclass
class Searches:
    """The searches of policies for their restore points: one at a time on a host, and a pause after a failure.

    A cluster that was built anew has them all search at once otherwise.
    """

    _at_work: dict[str, str] = field(default_factory=dict)
    """UID of the policy by UID of the ComposeHost."""
    _put_off: dict[str, dt.datetime] = field(default_factory=dict)

    def may_begin(self, host: str, policy: str, now: dt.datetime) -> bool:
        """Return whether a policy may search now, or go on with it; if so, others have to wait."""
        if now < self._put_off.get(policy, now):
            return False
        return self._at_work.setdefault(host, policy) == policy

    def give_up(self, policy: str) -> None:
        """Forget the search of a policy: it is done, or not wanted any more."""
        self._put_off.pop(policy, None)
        self._at_work = {host: one for host, one in self._at_work.items() if one != policy}

    def put_off(self, policy: str, now: dt.datetime) -> None:
        """Let others search for a while, since this search has failed."""
        self.give_up(policy)
        self._put_off[policy] = now + SEARCH_PAUSE


@dataclass
class Memory:
    """Lost with the operator, and found again: nothing here decides anything by itself."""

    inventories: dict[str, SeenInventory] = field(default_factory=dict)
    """By UID of the ComposeHost."""
    addresses: dict[str, HostAddress] = field(default_factory=dict)
    """By UID of the ComposeHost: as it was last reached, or tried."""
    pledges: dict[str, Pledge] = field(default_factory=dict)
    """By UID of the run, restore, policy or repository that has a container on a host."""
    heard: dict[str, Heard] = field(default_factory=dict)
    """By container name."""
    probes: defaultdict[str, ProbeMemory] = field(default_factory=lambda: defaultdict(ProbeMemory))
    """By UID of the ArchiveRepository."""
    searches: Searches = field(default_factory=Searches)
    abandoned: dict[str, dt.datetime] = field(default_factory=dict)
    """By UID of the run or restore: since when its agent is known to be dead, and what that has left is seen to."""
    resuming: dict[str, dt.datetime] = field(default_factory=dict)
    """By UID of the run or restore: since when services are tried that do not start."""
    tried: dict[str, str] = field(default_factory=dict)
    """Container id → Docker's `StartedAt` after a start of ours: if it ends and is still the same, it is still owed."""
    parties: dict[str, KnownParty] = field(default_factory=dict)
    """By UID of a run that has not begun: among thousands, few change from one decision to the next."""
    admission: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    """By engine id: one run or restore at a time is checked against the others and let in."""

    def forget(self, uid: str) -> Pledge | None:
        """Forget what is known of an object, and return its pledge, if it had one."""
        self.probes.pop(uid, None)
        self.abandoned.pop(uid, None)
        self.resuming.pop(uid, None)
        self.searches.give_up(uid)
        self.inventories.pop(uid, None)
        self.addresses.pop(uid, None)
        return self.pledges.pop(uid, None)


@dataclass
class World:
    """The ports, the store, the settings and the clock."""

    cluster: Cluster
    hosts: DockerHosts
    settings: Settings
    installation: str
    clock: Callable[[], dt.datetime]
    store: Store = field(default_factory=Store)
    queue: WorkQueue = field(default_factory=WorkQueue)
    memory: Memory = field(default_factory=Memory)

    def newest_address(self, pledge: Pledge) -> HostAddress:
        """Return how the host of a pledge is reached now: an edited endpoint counts, also for what is at work."""
        return self.memory.addresses.get(pledge.address.key, pledge.address)

    def now(self) -> dt.datetime:
        """Return the present time in UTC, in whole seconds as Kubernetes keeps it."""
        return self.clock().replace(microsecond=0)
