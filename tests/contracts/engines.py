"""The two sides of an engine for the contract suite: what people do on the host, and the parts that an agent plays.

On a real engine the agent is a shell that takes its job as a script; on the fake one a function plays the same part.
Used by test_docker_host.py and test_engine_ways.py.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from compose_backup.api.backup_run import Failure, VolumeResult
from compose_backup.api.job import BackupReport, Event, Report
from compose_backup.planning.facts import AgentLook, Volume
from compose_backup.reconcile.ports import DockerHost
from fakes.docker_host import FakeAgent, FakeEngine
from realparts.engine import Engine, second_engine
from realparts.images import small_image

AT = dt.datetime(2026, 10, 13, 2, 0, tzinfo=dt.UTC)
PATIENCE = 20.0


@dataclass(frozen=True)
class Part:
    """What an agent does with its job, told twice: as a shell script and as a function."""

    script: str
    play: Callable[[FakeAgent], None]

    @property
    def job(self) -> bytes:
        """The bytes to send."""
        return self.script.encode()


def event(sequence: int, *, report: Report | None = None) -> Event:
    """Return an event as an agent writes it."""
    return Event(sequence=sequence, time=AT, type="report" if report else "progress", report=report)


def report(volumes: int) -> Report:
    """Return a report on this many volumes, each about 200 bytes."""
    results = tuple(VolumeResult(name=f"volume-{number}-{'x' * 150}", phase="Succeeded") for number in range(volumes))
    return Report(backup=BackupReport(verdict="Succeeded", volumes=results))


def _prints(*events: Event) -> str:
    return "".join(f"echo '{one.model_dump_json(by_alias=True, exclude_none=True)}'\n" for one in events)


def _works(agent: FakeAgent) -> None:
    agent.say(event(1))
    agent.error_output = "a diagnosis\n"


def _reports(agent: FakeAgent) -> None:
    agent.say(event(1))
    agent.say(event(2, report=LARGE_REPORT))
    agent.say(event(3))
    agent.end(3)


def _fails(agent: FakeAgent) -> None:
    agent.say(event(1, report=FAILURE))
    agent.end(1)


LARGE_REPORT = report(volumes=1000)
FAILURE = Report(failure=Failure(reason="ArchiveFailed", message="no", retryable=False))
WORKS = Part(
    f"{_prints(event(1))}echo not an event\necho a diagnosis >&2\ntrap 'exit 143' TERM\nsleep 3600 &\nwait\n",
    _works,
)
REPORTS = Part(f"{_prints(event(1), event(2, report=LARGE_REPORT), event(3))}exit 3\n", _reports)
FAILS = Part(f"{_prints(event(1, report=FAILURE))}exit 1\n", _fails)
PARTS = {part.job: part for part in (WORKS, REPORTS, FAILS)}


class People(Protocol):
    """What people do on the host."""

    def add_volume(self, volume: Volume) -> None: ...
    def add_unmountable_volume(self, name: str) -> None: ...
    def add_service(self, name: str, volume: str, target: str, labels: dict[str, str]) -> None: ...
    def add_unstartable_service(self, name: str) -> None: ...
    def stop(self, name: str) -> None: ...
    def pause(self, name: str) -> None: ...
    def remove(self, name: str) -> None: ...
    def inspected(self, name: str) -> str: ...


@dataclass(frozen=True)
class FakeSide:
    """People on a fake engine."""

    engine: FakeEngine

    def add_volume(self, volume: Volume) -> None:
        self.engine.volumes[volume.name] = volume

    def add_unmountable_volume(self, name: str) -> None:
        self.engine.add_volume(name)
        self.engine.unmountable.add(name)

    def add_service(self, name: str, volume: str, target: str, labels: dict[str, str]) -> None:
        del target
        self.engine.add_service(name, volume, labels=labels)

    def add_unstartable_service(self, name: str) -> None:
        self.engine.add_service(name, state="created")
        self.engine.unstartable[name] = "exec: /nowhere/program: no such file or directory"

    def stop(self, name: str) -> None:
        self.engine.stop_service(name)

    def pause(self, name: str) -> None:
        self.engine.pause_service(name)

    def remove(self, name: str) -> None:
        del self.engine.services[name]

    def inspected(self, name: str) -> str:
        return repr(self.engine.agents[name].wanted)


@dataclass(frozen=True)
class CommandLine:
    """People with the docker program."""

    engine: Engine
    image: str

    def add_volume(self, volume: Volume) -> None:
        labels = [word for key, value in volume.labels.items() for word in ("--label", f"{key}={value}")]
        options = [word for key, value in volume.options.items() for word in ("--opt", f"{key}={value}")]
        self.engine.docker("volume", "create", *labels, *options, volume.name)

    def add_unmountable_volume(self, name: str) -> None:
        self.add_volume(Volume(name, options={"type": "none", "o": "bind", "device": "/nowhere/at/all"}))

    def add_service(self, name: str, volume: str, target: str, labels: dict[str, str]) -> None:
        words = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
        mount = ("--volume", f"{volume}:{target}", "--network", "none")
        self.engine.docker("run", "--detach", "--name", name, *words, *mount, self.image, "sleep", "3600")

    def add_unstartable_service(self, name: str) -> None:
        self.engine.docker("create", "--name", name, "--network", "none", self.image, "/nowhere/program")

    def stop(self, name: str) -> None:
        self.engine.docker("stop", "--time", "0", name)

    def pause(self, name: str) -> None:
        self.engine.docker("pause", name)

    def remove(self, name: str) -> None:
        self.engine.docker("rm", "--force", name)

    def inspected(self, name: str) -> str:
        return self.engine.docker("inspect", name)


@dataclass(frozen=True)
class Setting:
    """One engine from both sides, and a prefix for names that nobody else uses."""

    host: DockerHost
    people: People
    image: str
    prefix: str


def fake_engine(image: str) -> FakeEngine:
    """Return a fake engine whose agents play their parts."""
    return FakeEngine(images={image}, script=lambda agent: PARTS[agent.job].play(agent))


@contextmanager
def real_engine(state: Path) -> Iterator[tuple[Engine, str]]:
    """Start an engine with TLS and the small image, and remove it in the end."""
    engine = second_engine(state, tls=True)
    try:
        yield engine, small_image(engine)
    finally:
        engine.remove()


async def eventually(host: DockerHost, name: str, wanted: Callable[[AgentLook], bool]) -> AgentLook:
    """Look at an agent until it is as wanted."""
    deadline = time.monotonic() + PATIENCE
    while True:
        look = await host.look_at_agent(name)
        if look and wanted(look):
            return look
        assert time.monotonic() < deadline, f"waited in vain, last seen: {look}"
        await asyncio.sleep(0.02)
