"""What must be true after every round, looked at from outside, by code that shares nothing with the product.

Called by campaign.py. Each question returns its objections; no objection is a good round.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chaos import evidence
from chaos.cluster_api import ClusterApi, Document, condition
from chaos.docker_api import LABEL, DockerApi
from chaos.project import ASLEEP, LEAVES_WHEN_KILLED, PROJECT, SERVICES, VOLUMES

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
PULSE_SECONDS = 1.0
FOR_WORK = ("run", "restore", "cleanup")
NANO = 1e9


@dataclass(frozen=True)
class Member:
    """One container of the project as the campaign began."""

    id: str
    name: str
    service: str

    @property
    def host(self) -> str:
        """The host name that it sees itself under."""
        return self.id[:12]

    @property
    def counts(self) -> bool:
        """Whether it writes numbers into a volume."""
        return SERVICES[self.service].volume is not None

    @property
    def file(self) -> str:
        """The file of its numbers."""
        return evidence.PAGES if SERVICES[self.service].way == "mapped" else f"counter-{self.host}"


@dataclass(frozen=True)
class Before:
    """What was so when a round began."""

    starts: Mapping[str, int]
    """How often each counting container had been started."""
    bulks: Mapping[str, str]
    """What the large file of each volume held."""
    down: frozenset[str] = field(default_factory=frozenset)
    """Containers that were down when the fault struck: these were ours to start."""


@dataclass(frozen=True)
class Host:
    """What the questions are asked of."""

    docker: DockerApi
    objects: ClusterApi
    witness: Path
    members: tuple[Member, ...]

    def state(self, member: Member) -> Document:
        """Return the state of a container; empty when it is gone."""
        state: Document = (self.docker.container(member.id) or {}).get("State", {})
        return state

    def new_starts(self, member: Member, before: Before) -> list[evidence.Start]:
        """Return how a container was started since the round began."""
        return evidence.starts(self.witness, member.host)[before.starts.get(member.host, 0) :]

    def data(self, key: str) -> Path:
        """Return where the files of a volume lie."""
        return Path(self.docker.get(f"/volumes/{PROJECT}_{key}")["Mountpoint"])


def members(docker: DockerApi) -> tuple[Member, ...]:
    """Return the containers of the project."""
    found = docker.containers(f"{PROJECT_LABEL}={PROJECT}")
    return tuple(Member(one["Id"], one["Names"][0].lstrip("/"), one["Labels"][SERVICE_LABEL]) for one in found)


def before(host: Host) -> Before:
    """Return what is so now."""
    counting = [member for member in host.members if member.counts]
    starts = {member.host: len(evidence.starts(host.witness, member.host)) for member in counting}
    return Before(starts, {key: evidence.bulk_hash(host.data(key)) for key in VOLUMES})


def down_now(host: Host) -> frozenset[str]:
    """Return the names of containers that do not run at this moment."""
    running = {one["Id"] for one in host.docker.containers(f"{PROJECT_LABEL}={PROJECT}") if one["State"] == "running"}
    return frozenset(member.name for member in host.members if member.id not in running)


def services(host: Host) -> Iterator[str]:
    """Every service that ran is running, healthy and counting, as its user made it; what was asleep sleeps."""
    for member in host.members:
        document = host.docker.container(member.id)
        if document is None:
            yield f"{member.name} is gone"
            continue
        yield from _state(member, document["State"])
        policy = document["HostConfig"]["RestartPolicy"]["Name"]
        if policy != SERVICES[member.service].restart:
            yield f"{member.name} has the restart policy {policy}"
        if member.counts and member.service != ASLEEP and not _beats(host, member):
            yield f"{member.name} does not count"


def kept_stopped(host: Host) -> Iterator[str]:
    """After an interrupted restore all that used its targets is stopped, and the host says so of each."""
    told = host.objects.get("composehosts", "srv1")
    resumed = condition(told, "ServicesResumed")
    unresumed = {one["container"] for one in (told or {}).get("status", {}).get("unresumed", [])}
    for member in host.members:
        if not SERVICES[member.service].goes_down:
            continue
        if host.state(member).get("Running"):
            yield f"{member.name} runs on data that may be half restored"
        elif member.name not in unresumed:
            yield f"{member.name} is down and not in status.unresumed"
    if resumed.get("status") != "False":
        yield f"ServicesResumed is {resumed.get('status')}"
    elif resumed.get("reason") != "KeptStopped":
        yield f"ServicesResumed has the reason {resumed.get('reason')}"


def agents(docker: DockerApi) -> Iterator[Document]:
    """Yield the containers that are there for a run or restore."""
    for purpose in FOR_WORK:
        yield from docker.containers(f"{LABEL}/purpose={purpose}")


def leftovers(host: Host, *, journal_stays: bool = False) -> Iterator[str]:
    """Nothing of ours is left on the host: no agent, no stage, no journal."""
    for container in agents(host.docker):
        yield f"the agent {container['Names'][0].lstrip('/')} is left ({container['State']})"
    for purpose in ("stage",) if journal_stays else ("stage", "journal"):
        for volume in host.docker.volumes(f"{LABEL}/purpose={purpose}"):
            yield f"the volume {volume['Name']} is left"


def one_run(runs: list[Document], *, was_deleted: bool) -> Iterator[str]:
    """One request makes one run, with an end."""
    if len(runs) > 1 or (not runs and not was_deleted):
        yield f"{len(runs)} runs for one request: {[run['metadata']['name'] for run in runs]}"
    for run in runs:
        if "completionTime" not in run.get("status", {}):
            yield f"{run['metadata']['name']} has no end: {run.get('status', {}).get('phase')}"


def untouched(host: Host, before: Before) -> Iterator[str]:
    """What a service found when it was started is what it had left: nobody has written to its volume."""
    for member in host.members:
        for start in host.new_starts(member, before) if member.counts else ():
            # A kill may come between number and pulse.
            if start.number not in (start.before_number, start.before_number + 1):
                yield f"{member.name} left {start.before_number} and found {start.number}"
    yield from _bulks(host, dict(before.bulks), "before")


def continuous(host: Host) -> Iterator[str]:
    """No number is missing in any volume."""
    for key in VOLUMES:
        try:
            evidence.numbers(host.data(key))
        except evidence.Gap as gap:
            yield f"volume {key}: {gap}"


def copy_is_true(host: Host, before: Before, key: str, copy: Path) -> Iterator[str]:
    """A copy without a gap ends at the very number at which each service was started again."""
    try:
        numbers = evidence.numbers(copy)
    except evidence.Gap as gap:
        yield f"the snapshot of {key}: {gap}"
        return
    for member in host.members:
        if SERVICES[member.service].volume != key:
            continue
        found, wanted = numbers.get(member.file), _resting_numbers(host, before, member)
        if found not in wanted:
            yield f"the snapshot of {key} has {found} of {member.name}, which rested at {sorted(wanted)}"
    if evidence.bulk_hash(copy) != before.bulks[key]:
        yield f"the snapshot of {key} has another large file"


def restored(host: Host, before: Before, key: str, copy: Path) -> Iterator[str]:
    """After a good restore every service was started at the number of the snapshot."""
    numbers = evidence.numbers(copy)
    for member in host.members:
        if SERVICES[member.service].volume == key and member.service != ASLEEP:
            found = [start.number for start in host.new_starts(member, before)]
            if numbers.get(member.file) not in found:
                yield f"{member.name} was started at {found}, the snapshot has {numbers.get(member.file)}"
    yield from _bulks(host, {key: evidence.bulk_hash(copy)}, "in the snapshot")


def seconds_to_come_back(host: Host, before: Before, struck: int) -> float:
    """Return how long after the fault the last of the services that were down then counted again."""
    longest = 0.0
    for member in host.members:
        for start in host.new_starts(member, before) if member.counts else ():
            if start.before_nanos <= struck < start.nanos:
                longest = max(longest, (start.nanos - struck) / NANO)
    return longest


def longest_down(host: Host, before: Before) -> float:
    """Return the longest time that one service did not count."""
    counting = (member for member in host.members if member.counts)
    downs = (start.down_seconds for member in counting for start in host.new_starts(member, before))
    return max(downs, default=0.0)


def left_to_docker(host: Host, before: Before) -> list[str]:
    """Return who died with the engine, not by us, and whom its own restart policy leaves there: a person's choice."""
    return [
        member.name
        for member in host.members
        if SERVICES[member.service].restart in LEAVES_WHEN_KILLED
        and member.name not in before.down
        and not host.state(member).get("Running")
    ]


def _resting_numbers(host: Host, before: Before, member: Member) -> set[int]:
    if member.service == ASLEEP:
        return {evidence.pulse(host.witness, member.host)}
    return {start.number for start in host.new_starts(member, before)}


def _bulks(host: Host, wanted: Mapping[str, str], where: str) -> Iterator[str]:
    for key, content in wanted.items():
        if evidence.bulk_hash(host.data(key)) != content:
            yield f"the large file of {key} is not what it was {where}"


def _state(member: Member, state: Document) -> Iterator[str]:
    if state.get("Paused"):
        yield f"{member.name} is paused"
    if member.service == ASLEEP:
        if state.get("Running"):
            yield f"{member.name} was stopped by a person and runs"
        return
    if not state.get("Running") or state.get("Restarting"):
        yield f"{member.name} is {state.get('Status')}"
    elif SERVICES[member.service].healthy and state.get("Health", {}).get("Status") != "healthy":
        yield f"{member.name} is {state.get('Health', {}).get('Status')}"


def _beats(host: Host, member: Member) -> bool:
    file = host.witness / f"{member.host}.pulse"
    beaten = file.read_bytes() if file.exists() else b""
    if len(beaten) != evidence.PULSE.size:
        return False
    return time.monotonic_ns() - int(evidence.PULSE.unpack(beaten)[0]) < PULSE_SECONDS * NANO
