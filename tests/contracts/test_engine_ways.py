"""Each way to a real engine, what it carries, and what is said when it does not work.

Run by pytest.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio

from compose_backup.api import reasons
from compose_backup.errors import ComposeBackupError, Stalled, Unreachable
from compose_backup.gateways.engine_pool import EnginePool
from compose_backup.planning.facts import AgentContainer, HostAddress
from contracts.engines import eventually, real_engine
from realparts.engine import Engine
from realparts.ways_in import SshWay, ssh_way

pytestmark = [
    pytest.mark.asyncio,
    # Engine and sshd are meant to go on when the objects that started them are gone; they are stopped by process id.
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]
NOTHING: Mapping[str, bytes] = {}
LINE = "0123456789abcdef" * 64


@dataclass(frozen=True)
class Ways:
    """An engine that is reached in three ways, and the credentials for two of them."""

    engine: Engine
    image: str
    ssh: SshWay

    def unix(self) -> HostAddress:
        return HostAddress("unix", "srv1", self.engine.docker_host, "1")

    def tls(self, changed: Mapping[str, bytes] = NOTHING) -> HostAddress:
        assert self.engine.tls
        credentials = {**certificates(self.engine.tls.client), **changed}
        return HostAddress("tls", "srv1", self.engine.tls.endpoint, "1", credentials)

    def tunnel(self, changed: Mapping[str, bytes] = NOTHING, path: str | None = None) -> HostAddress:
        credentials = {
            "ssh-privatekey": self.ssh.private_key.read_bytes(),
            "known_hosts": self.ssh.known_hosts.encode(),
        }
        path = path or self.engine.docker_host.removeprefix("unix://")
        endpoint = f"ssh://{self.ssh.user}@{self.ssh.host}:{self.ssh.port}{path}"
        return HostAddress("ssh", "srv1", endpoint, "1", {**credentials, **changed})


def certificates(directory: Path) -> dict[str, bytes]:
    """Return the credentials in a directory as the keys of a Secret."""
    return {key: (directory / key).read_bytes() for key in ("ca.crt", "tls.crt", "tls.key")}


def without(address: HostAddress, *keys: str) -> HostAddress:
    """Return an address whose Secret lacks keys."""
    return replace(address, credentials={key: one for key, one in address.credentials.items() if key not in keys})


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    """A real engine with every way in."""
    ssh = ssh_way(tmp_path_factory.mktemp("ssh"))
    try:
        with real_engine(tmp_path_factory.mktemp("engine")) as (engine, image):
            yield Ways(engine, image, ssh)
    finally:
        ssh.remove()


@pytest_asyncio.fixture
async def pool(tmp_path: Path) -> AsyncIterator[EnginePool]:
    """The gateway."""
    pool = EnginePool(threads=4, scratch=tmp_path)
    yield pool
    await pool.close()


@pytest.fixture(params=["unix", "tls", "tunnel"])
def address(request: pytest.FixtureRequest, ways: Ways) -> HostAddress:
    """Each way in turn."""
    found: HostAddress = getattr(ways, request.param)()
    return found


async def refused(pool: EnginePool, address: HostAddress) -> ComposeBackupError:
    """Look in vain and return why."""
    with pytest.raises(ComposeBackupError, match="srv1") as raised:
        await pool.at(address).look()
    return raised.value


def names_in(directory: Path) -> list[str]:
    """Return what a directory holds."""
    return sorted(entry.name for entry in directory.iterdir())


def pids_with(directory: Path) -> list[int]:
    """Return the processes whose command line names a directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(directory).encode() in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


class TestWays:
    async def test_agent_gets_a_large_job_whole(self, pool: EnginePool, ways: Ways, address: HostAddress) -> None:
        host = pool.at(address)
        # A shell takes a megabyte of lines that do nothing, and only then the last one.
        script = f": {LINE}\n" * 1000 + "echo whole >&2\n"
        name = f"way-{address.key}"
        agent = AgentContainer(name, name, ways.image, "Never", {}, (), (), 2**27, 1, "none")
        assert await host.start_agent(agent, script.encode())
        look = await eventually(host, name, lambda look: not look.alive)
        assert (look.error_output, look.exit_code) == ("whole\n", 0)
        await host.terminate_agent(name)
        await host.remove_agent(name)

    async def test_nothing_is_left_when_it_is_closed(self, ways: Ways, address: HostAddress, tmp_path: Path) -> None:
        pool = EnginePool(threads=2, scratch=tmp_path)
        await pool.at(address).look()
        await pool.close()
        assert names_in(tmp_path) == []
        assert pids_with(tmp_path) == []


class TestTls:
    async def test_engine_of_another_authority_is_refused(self, pool: EnginePool, ways: Ways) -> None:
        assert ways.engine.tls
        error = await refused(pool, ways.tls({"ca.crt": certificates(ways.engine.tls.foreign)["ca.crt"]}))
        assert isinstance(error, Stalled)
        assert (error.reason, "certificate that is refused" in error.message) == (reasons.CERTIFICATE_REFUSED, True)

    async def test_environment_cannot_replace_the_authority(
        self, pool: EnginePool, ways: Ways, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert ways.engine.tls
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ways.engine.tls.client / "ca.crt"))
        error = await refused(pool, ways.tls({"ca.crt": certificates(ways.engine.tls.foreign)["ca.crt"]}))
        assert error.reason == reasons.CERTIFICATE_REFUSED

    async def test_certificate_that_the_engine_refuses_is_said(self, pool: EnginePool, ways: Ways) -> None:
        assert ways.engine.tls
        foreign = certificates(ways.engine.tls.foreign)
        error = await refused(pool, ways.tls({key: foreign[key] for key in ("tls.crt", "tls.key")}))
        assert (error.reason, "does not accept our certificate" in error.message) == (reasons.CERTIFICATE_REFUSED, True)

    async def test_key_of_another_certificate_is_said(self, pool: EnginePool, ways: Ways) -> None:
        assert ways.engine.tls
        error = await refused(pool, ways.tls({"tls.key": certificates(ways.engine.tls.foreign)["tls.key"]}))
        assert (error.reason, "tls.key" in error.message) == (reasons.CERTIFICATE_REFUSED, True)

    async def test_port_without_tls_is_said(self, pool: EnginePool, ways: Ways) -> None:
        address = replace(ways.tls(), endpoint=f"tcp://127.0.0.1:{ways.ssh.port}")
        assert "speaks no TLS" in (await refused(pool, address)).message

    @pytest.mark.parametrize("key", ["ca.crt", "tls.crt", "tls.key"])
    async def test_missing_key_of_the_secret_is_named(self, pool: EnginePool, ways: Ways, key: str) -> None:
        error = await refused(pool, without(ways.tls(), key))
        assert (error.reason, key in error.message) == (reasons.SECRET_KEY_MISSING, True)


class TestSsh:
    @pytest.mark.parametrize("known", ["none", "other"])
    async def test_unknown_and_changed_host_keys_are_refused(self, pool: EnginePool, ways: Ways, known: str) -> None:
        known_hosts = ways.ssh.wrong_known_hosts if known == "other" else "# nobody"
        error = await refused(pool, ways.tunnel({"known_hosts": known_hosts.encode()}))
        assert isinstance(error, Stalled)
        assert (error.reason, "known_hosts" in error.message) == (reasons.HOST_KEY_UNKNOWN, True)

    async def test_key_that_may_not_log_in_is_said(self, pool: EnginePool, ways: Ways) -> None:
        error = await refused(pool, ways.tunnel({"ssh-privatekey": ways.ssh.other_private_key.read_bytes()}))
        assert (error.reason, "authorized_keys" in error.message) == (reasons.AUTHENTICATION_FAILED, True)

    async def test_key_that_is_none_is_said(self, pool: EnginePool, ways: Ways) -> None:
        error = await refused(pool, ways.tunnel({"ssh-privatekey": b"junk"}))
        assert (error.reason, "cannot be read" in error.message) == (reasons.AUTHENTICATION_FAILED, True)

    async def test_key_that_went_through_an_editor_is_taken(self, pool: EnginePool, ways: Ways) -> None:
        key = ways.ssh.private_key.read_bytes().strip().replace(b"\n", b"\r\n")
        assert (await pool.at(ways.tunnel({"ssh-privatekey": key})).look()).id

    @pytest.mark.parametrize("key", ["ssh-privatekey", "known_hosts"])
    async def test_missing_key_of_the_secret_is_named(self, pool: EnginePool, ways: Ways, key: str) -> None:
        error = await refused(pool, without(ways.tunnel(), key))
        assert (error.reason, key in error.message) == (reasons.SECRET_KEY_MISSING, True)

    async def test_missing_socket_on_the_host_is_said(self, pool: EnginePool, ways: Ways) -> None:
        error = await refused(pool, ways.tunnel(path="/nowhere/docker.sock"))
        assert isinstance(error, Unreachable)
        assert "Docker socket cannot be opened" in error.message

    async def test_option_in_place_of_a_user_is_none(self, pool: EnginePool, tmp_path: Path, ways: Ways) -> None:
        command = f"ssh://-oProxyCommand=touch${{IFS}}{tmp_path}/made@{ways.ssh.host}:{ways.ssh.port}"
        await refused(pool, replace(ways.tunnel(), endpoint=command))
        assert "made" not in names_in(tmp_path)

    async def test_tunnel_that_has_ended_is_made_anew(self, pool: EnginePool, ways: Ways, tmp_path: Path) -> None:
        host = pool.at(ways.tunnel())
        await host.look()
        (tunnel,) = pids_with(tmp_path)
        os.kill(tunnel, 15)
        await asyncio.to_thread(os.waitid, os.P_PID, tunnel, os.WEXITED | os.WNOWAIT)
        assert (await host.look()).id

    async def test_tunnel_of_an_older_secret_is_closed(self, pool: EnginePool, ways: Ways, tmp_path: Path) -> None:
        await pool.at(ways.tunnel()).look()
        (old,) = names_in(tmp_path)
        await pool.at(replace(ways.tunnel(), version="2")).look()
        await until(lambda: old not in names_in(tmp_path))

    async def test_idle_tunnel_is_closed_and_opened_again(self, ways: Ways, tmp_path: Path) -> None:
        pool = EnginePool(threads=2, scratch=tmp_path, idle_seconds=0.05)
        host = pool.at(ways.tunnel())
        facts = await host.look()
        await until(lambda: not names_in(tmp_path))
        assert await host.look() == facts
        await pool.close()

    async def test_what_a_killed_operator_left_is_deleted(self, tmp_path: Path) -> None:
        (tmp_path / "cbo-4194304999-x").mkdir()
        (tmp_path / "cbo-1-x").mkdir()
        await EnginePool(threads=1, scratch=tmp_path).close()
        assert names_in(tmp_path) == ["cbo-1-x"]


class TestUnix:
    async def test_missing_socket_is_said(self, pool: EnginePool) -> None:
        error = await refused(pool, HostAddress("x", "srv1", "unix:///nowhere/docker.sock", "1"))
        assert isinstance(error, Unreachable)
        assert "no such socket" in error.message
