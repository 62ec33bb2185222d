"""One suite for the agent's engine in memory and the real one: what stop, start, pause and commands do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import docker
import pytest

from compose_backup.agent.looking import Engine, Executed
from compose_backup.agent.quiesce.engine import DockerEngine
from compose_backup.api import reasons
from compose_backup.api.backup_policy import Hook
from compose_backup.api.journal import RestartPolicy
from compose_backup.errors import AgentFailed
from compose_backup.planning.facts import Container, Volume
from contracts.engines import real_engine
from fakes.agent_engine import FakeAgentEngine
from realparts.engine import Engine as RealEngine

POLITE = "trap 'exit 0' TERM; sleep 3600 & wait"
STUBBORN = "trap '' TERM; while :; do sleep 3600; done"
GRACE_SECONDS = 2
COMMANDS = {
    ("sh", "-c", "echo out; echo err >&2"): Executed(0, "out\nerr\n"),
    ("sh", "-c", "echo no; exit 3"): Executed(3, "no\n"),
    ("sh", "-c", "echo begun; sleep 60"): Executed(None, "begun\n"),
    ("/no/such/program",): Executed(127, "no such file or directory"),
}


class People(Protocol):
    """What people do on the host."""

    def add(self, name: str, *, stubborn: bool = False) -> str:
        """Start a container and return its id; a stubborn one does not hear SIGTERM."""

    def break_start(self, container: str) -> None:
        """See to it that a stopped container does not start again."""


@dataclass
class InMemory:
    """People on the engine in memory."""

    engine: FakeAgentEngine = field(default_factory=lambda: FakeAgentEngine(commands=COMMANDS))

    def add(self, name: str, *, stubborn: bool = False) -> str:
        del stubborn
        self.engine.containers[name] = Container(name, name, "image", "created")
        self.engine.run(name)
        return name

    def break_start(self, container: str) -> None:
        self.engine.start_errors[container] = "error while creating mount source path"


@dataclass
class Docker:
    """People with the docker program."""

    engine: RealEngine
    image: str
    directory: Path

    def add(self, name: str, *, stubborn: bool = False) -> str:
        self.directory.mkdir(exist_ok=True)
        return self.engine.docker(
            *("run", "--detach", "--network", "none", "--name", name, "--stop-timeout", str(GRACE_SECONDS)),
            *("--mount", f"type=bind,source={self.directory},target=/data"),
            *(self.image, "sh", "-c", STUBBORN if stubborn else POLITE),
        )

    def break_start(self, container: str) -> None:
        del container
        self.directory.rmdir()


@dataclass
class Setting:
    """One engine from both sides."""

    engine: Engine
    people: People
    prefix: str
    given_up: bool = False

    def add(self, name: str, *, stubborn: bool = False) -> str:
        return self.people.add(f"{self.prefix}-{name}", stubborn=stubborn)

    def seen(self, container: str) -> Container:
        (found,) = self.engine.inspect((container,))
        return found

    def execute(self, container: str, *command: str, **more: object) -> Executed:
        hook = Hook.model_validate({"project": "p", "service": "s", "command": command} | more)
        return self.engine.execute(container, hook, lambda: self.given_up)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RealEngine, str]]:
    with real_engine(tmp_path_factory.mktemp("engine")) as found:
        yield found


def on_real(real: tuple[RealEngine, str], directory: Path, client: Any = None) -> Setting:
    engine, image = real
    socket = engine.docker_host.removeprefix("unix://")
    return Setting(DockerEngine(socket, client), Docker(engine, image, directory / "data"), directory.name)


@pytest.fixture(params=["fake", "real"])
def setting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Setting]:
    if request.param == "fake":
        people = InMemory()
        yield Setting(people.engine, people, "fake")
        return
    setting = on_real(request.getfixturevalue("real"), tmp_path)
    yield setting
    assert isinstance(setting.engine, DockerEngine)
    setting.engine.close()


@pytest.mark.parametrize("stubborn", [False, True], ids=["polite", "stubborn"])
@pytest.mark.parametrize("timeout_seconds", [None, 1])
def test_stop_and_start(setting: Setting, stubborn: bool, timeout_seconds: int | None) -> None:
    container = setting.add("db", stubborn=stubborn)
    before = setting.seen(container)
    assert before.state == "running" and before.started_at
    setting.engine.stop(container, timeout_seconds)
    setting.engine.stop(container, timeout_seconds)
    assert (setting.seen(container).state, setting.seen(container).started_at) == ("exited", before.started_at)
    setting.engine.start(container)
    after = setting.seen(container)
    assert after.state == "running" and after.started_at not in (None, before.started_at)
    setting.engine.start(container)
    assert setting.seen(container).started_at == after.started_at


def test_pause(setting: Setting) -> None:
    container = setting.add("db")
    before = setting.seen(container)
    for _ in range(2):
        setting.engine.pause(container)
        assert setting.seen(container) == replace(before, state="paused")
    for _ in range(2):
        setting.engine.unpause(container)
        assert setting.seen(container) == before
    setting.engine.pause(container)
    setting.engine.stop(container, None)
    assert setting.seen(container).state == "exited"
    setting.engine.unpause(container)
    with pytest.raises(AgentFailed) as caught:
        setting.engine.pause(container)
    assert caught.value.reason == reasons.SERVICE_NOT_STOPPED


def test_start_that_fails(setting: Setting) -> None:
    """It changes nothing by which the container counts as ours to start."""
    container = setting.add("db")
    setting.engine.stop(container, None)
    before = setting.seen(container)
    setting.people.break_start(container)
    with pytest.raises(AgentFailed, match="mount") as caught:
        setting.engine.start(container)
    assert caught.value.reason == reasons.SERVICE_NOT_RESUMED
    assert setting.seen(container) == before


def test_restart_policy(setting: Setting) -> None:
    container = setting.add("db")
    by_name = container if isinstance(setting.people, InMemory) else f"{setting.prefix}-db"
    for name, policy in (
        (container, RestartPolicy(name="always")),
        (by_name, RestartPolicy(name="on-failure", maximum_retry_count=3)),
        (container, RestartPolicy()),
    ):
        setting.engine.set_restart_policy(name, policy)
        assert setting.seen(container).restart_policy == policy
    setting.engine.set_restart_policy("nobody", RestartPolicy())


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda engine: engine.stop("nobody", None), reasons.SERVICES_CHANGED),
        (lambda engine: engine.pause("nobody"), reasons.SERVICE_NOT_STOPPED),
        (lambda engine: engine.start("nobody"), reasons.SERVICE_NOT_RESUMED),
    ],
    ids=["stop", "pause", "start"],
)
def test_a_container_that_is_gone(setting: Setting, act: Callable[[Engine], None], reason: str) -> None:
    with pytest.raises(AgentFailed) as caught:
        act(setting.engine)
    assert caught.value.reason == reason and setting.engine.inspect(("nobody",)) == ()


@pytest.mark.parametrize(("command", "expected"), list(COMMANDS.items())[:2], ids=["ends", "fails"])
def test_command(setting: Setting, command: tuple[str, ...], expected: Executed) -> None:
    found = setting.execute(setting.add("db"), *command)
    assert found.exit_code == expected.exit_code
    assert sorted(found.output.split()) == sorted(expected.output.split())


def test_command_that_does_not_end(setting: Setting) -> None:
    found = setting.execute(setting.add("db"), "sh", "-c", "echo begun; sleep 60", timeout_seconds=1)
    assert found == Executed(None, "begun\n")


def test_command_that_is_given_up(setting: Setting) -> None:
    setting.given_up = True
    assert setting.execute(setting.add("db"), "sh", "-c", "echo begun; sleep 60").exit_code is None


def test_command_that_is_not_there(setting: Setting) -> None:
    found = setting.execute(setting.add("db"), "/no/such/program")
    assert found.exit_code in (126, 127) and "no such file" in found.output


@pytest.mark.parametrize("state", ["stopped", "paused"])
def test_command_in_a_container_that_does_not_run(setting: Setting, state: str) -> None:
    container = setting.add("db")
    setting.engine.stop(container, None) if state == "stopped" else setting.engine.pause(container)
    with pytest.raises(AgentFailed) as caught:
        setting.execute(container, "true")
    assert caught.value.reason == reasons.HOOK_FAILED


def test_look_inspects_who_is_named(setting: Setting) -> None:
    container = setting.add("db")
    look = setting.engine.look((), (container,))
    (found,) = [one for one in look.inventory.containers if one.id == container]
    assert found.started_at and look.images[container]


def test_volume(setting: Setting) -> None:
    """One that is there already stays as it is."""
    volume = Volume(f"{setting.prefix}-mark", labels={"told": '[{"name": "data"}]'})
    setting.engine.create_volume(volume)
    setting.engine.create_volume(replace(volume, labels={}))
    assert setting.engine.look(()).inventory.volume(volume.name) == volume


class Impatient:
    """docker's client, which hangs up on a stop after a second."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def stop(self, container: str, timeout: int | None = None) -> None:
        patience, self._client.timeout = self._client.timeout, -9  # it adds ten seconds
        try:
            self._client.stop(container, timeout=timeout)
        finally:
            self._client.timeout = patience


def test_stop_whose_connection_is_lost(real: tuple[RealEngine, str], tmp_path: Path) -> None:
    """The engine goes on stopping, and what counts is what it shows."""
    client = docker.APIClient(base_url=real[0].docker_host, version="auto")
    setting = on_real(real, tmp_path, Impatient(client))
    container = setting.add("db", stubborn=True)
    setting.engine.stop(container, None)
    assert setting.seen(container).state == "exited"
    client.close()
