"""What reconciling relies on when it starts people's containers again, tried on the fake and on a real engine.

Run by pytest.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from compose_backup.api import reasons
from compose_backup.api.journal import RestartPolicy
from compose_backup.errors import Stalled
from compose_backup.planning.facts import Container, Volume
from contracts.engines import Setting

pytestmark = [
    pytest.mark.asyncio,
    # The engine is meant to go on when the object that started it is gone; it is stopped by its process id.
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]


@pytest.fixture
def setting(engine_setting: Setting) -> Setting:
    """Each implementation of the port in turn."""
    return engine_setting


@pytest.fixture
def service(setting: Setting) -> Iterator[str]:
    """The name of a container that runs."""
    name = f"{setting.prefix}-db-1"
    setting.people.add_service(name, f"{setting.prefix}-data", "/data", {"com.docker.compose.service": "db"})
    yield name
    setting.people.remove(name)


async def listed(setting: Setting, name: str) -> Container:
    """Return a container as the list shows it."""
    return next(one for one in (await setting.host.inventory()).containers if one.name == name)


async def inspected(setting: Setting, name: str) -> Container:
    """Return a container as it is now, by the id that the list tells."""
    (found,) = await setting.host.inspect([(await listed(setting, name)).id])
    return found


class TestInspect:
    async def test_it_tells_what_the_list_does_not(self, setting: Setting, service: str) -> None:
        assert (await listed(setting, service)).started_at is None
        found = await inspected(setting, service)
        assert (found.name, found.state, found.service) == (service, "running", "db")
        assert found.started_at and found.health is None and found.restart_policy == RestartPolicy()

    async def test_what_is_gone_is_left_out(self, setting: Setting, service: str) -> None:
        known = (await listed(setting, service)).id
        (found,) = await setting.host.inspect(["0" * 64, known])
        assert found.id == known


class TestStart:
    async def test_what_was_stopped_runs_again_and_tells_another_start(self, setting: Setting, service: str) -> None:
        before = await inspected(setting, service)
        setting.people.stop(service)
        down = await inspected(setting, service)
        assert (down.state, down.started_at) == ("exited", before.started_at)
        await setting.host.start_container(before.id)
        after = await inspected(setting, service)
        assert after.state == "running" and after.started_at != before.started_at

    async def test_starting_what_runs_changes_nothing(self, setting: Setting, service: str) -> None:
        before = await inspected(setting, service)
        await setting.host.start_container(before.id)
        assert (await inspected(setting, service)).started_at == before.started_at

    async def test_the_engine_says_why_it_cannot(self, setting: Setting) -> None:
        name = f"{setting.prefix}-broken-1"
        setting.people.add_unstartable_service(name)
        with pytest.raises(Stalled, match="/nowhere/program") as raised:
            await setting.host.start_container((await listed(setting, name)).id)
        assert raised.value.reason == reasons.SERVICE_NOT_RESUMED
        setting.people.remove(name)

    async def test_what_is_gone_is_told(self, setting: Setting) -> None:
        with pytest.raises(Stalled, match=r"(?i)no such container"):
            await setting.host.start_container("0" * 64)


class TestUnpause:
    async def test_what_was_paused_goes_on_without_another_start(self, setting: Setting, service: str) -> None:
        before = await inspected(setting, service)
        setting.people.pause(service)
        frozen = await inspected(setting, service)
        assert (frozen.state, frozen.started_at) == ("paused", before.started_at)
        await setting.host.unpause_container(before.id)
        assert await inspected(setting, service) == before

    async def test_what_is_not_paused_is_no_error(self, setting: Setting, service: str) -> None:
        before = await inspected(setting, service)
        await setting.host.unpause_container(before.id)
        setting.people.stop(service)
        await setting.host.unpause_container(before.id)
        assert (await inspected(setting, service)).state == "exited"

    async def test_starting_what_is_paused_is_refused(self, setting: Setting, service: str) -> None:
        known = (await listed(setting, service)).id
        setting.people.pause(service)
        with pytest.raises(Stalled, match="pause"):
            await setting.host.start_container(known)
        await setting.host.unpause_container(known)


class TestRestartPolicy:
    async def test_it_is_changed_and_put_back(self, setting: Setting, service: str) -> None:
        known = (await listed(setting, service)).id
        for policy in (RestartPolicy(name="on-failure", maximum_retry_count=3), RestartPolicy()):
            await setting.host.set_restart_policy(known, policy)
            assert (await inspected(setting, service)).restart_policy == policy

    async def test_what_is_gone_is_no_error(self, setting: Setting) -> None:
        await setting.host.set_restart_policy("0" * 64, RestartPolicy())


class TestRemoveVolume:
    async def test_a_volume_is_removed_and_none_is_no_error(self, setting: Setting) -> None:
        volume = Volume(f"{setting.prefix}-journal", labels={"a": "b" * 15_000})
        await setting.host.create_volume(volume)
        for _ in range(2):
            await setting.host.remove_volume(volume.name)
            assert (await setting.host.inventory()).volume(volume.name) is None

    async def test_one_that_a_container_has_stays(self, setting: Setting, service: str) -> None:
        name = f"{setting.prefix}-data"
        setting.people.stop(service)
        with pytest.raises(Stalled, match="in use"):
            await setting.host.remove_volume(name)
        assert (await setting.host.inventory()).volume(name)
