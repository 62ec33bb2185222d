"""What reconciling relies on of a Docker Engine, tried on the fake and on a real one.

Run by pytest.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from compose_backup.api import reasons
from compose_backup.errors import Stalled
from compose_backup.planning import labels
from compose_backup.planning.facts import AgentContainer, AgentMount, Mount, Volume
from contracts.engines import (
    FAILS,
    LARGE_REPORT,
    REPORTS,
    WORKS,
    Setting,
    eventually,
)

pytestmark = [
    pytest.mark.asyncio,
    # The engine is meant to go on when the object that started it is gone; it is stopped by its process id.
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]
INSTALLATION = "installation-uid"
Policy = Literal["Never", "IfNotPresent", "Always"]


@pytest.fixture
def setting(engine_setting: Setting) -> Setting:
    """Each implementation of the port in turn."""
    return engine_setting


@pytest.fixture
def wanted(setting: Setting) -> AgentContainer:
    """An agent that backs up one existing volume."""
    setting.people.add_volume(Volume(f"{setting.prefix}-data"))
    return AgentContainer(
        name=f"{setting.prefix}-agent",
        hostname="unique",
        image=setting.image,
        pull_policy="Never",
        labels={labels.INSTALLATION: INSTALLATION, "note": setting.prefix},
        mounts=(AgentMount("volume", f"{setting.prefix}-data", "/volumes/data", read_only=True),),
        capabilities=("DAC_READ_SEARCH",),
        memory_bytes=256 * 1024 * 1024,
        cpus=1.0,
        network="none",
    )


async def refused(setting: Setting, wanted: AgentContainer) -> Stalled:
    """Start an agent in vain and return why; no container may be left."""
    with pytest.raises(Stalled) as raised:
        await setting.host.start_agent(wanted, WORKS.job)
    assert await setting.host.look_at_agent(wanted.name) is None
    return raised.value


class TestEngine:
    async def test_facts_tell_which_engine_it_is(self, setting: Setting) -> None:
        facts = await setting.host.look()
        assert facts.id and facts.version and facts.api_version and facts.operating_system
        assert (await setting.host.look()).id == facts.id

    async def test_inventory_holds_volumes_and_containers(self, setting: Setting) -> None:
        name, service = f"{setting.prefix}-data", f"{setting.prefix}-db-1"
        compose = {"com.docker.compose.project": "shop", "com.docker.compose.service": "db"}
        setting.people.add_volume(Volume(name, labels={"com.docker.compose.volume": "data"}))
        setting.people.add_service(service, name, "/data", compose)
        inventory = await setting.host.inventory()
        assert inventory.volume(name) == Volume(name, labels={"com.docker.compose.volume": "data"})
        container = next(one for one in inventory.containers if one.name == service)
        assert (container.state, container.title) == ("running", "shop/db")
        assert container.mounts == (Mount(name, container.mounts[0].source, writable=True),)


class TestVolumes:
    async def test_created_volume_has_what_was_asked_for(self, setting: Setting) -> None:
        options = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}
        volume = Volume(f"{setting.prefix}-new", options=options, labels={"a": "b"})
        await setting.host.create_volume(volume)
        assert (await setting.host.inventory()).volume(volume.name) == volume

    async def test_volume_that_is_already_so_is_no_error(self, setting: Setting) -> None:
        volume = Volume(f"{setting.prefix}-new", labels={"a": "b"})
        await setting.host.create_volume(volume)
        await setting.host.create_volume(volume)

    async def test_volume_that_is_otherwise_is_left_alone_and_said(self, setting: Setting) -> None:
        volume = Volume(f"{setting.prefix}-new", labels={"a": "b"})
        setting.people.add_volume(volume)
        with pytest.raises(Stalled, match=volume.name) as raised:
            await setting.host.create_volume(replace(volume, labels={"a": "c"}))
        assert raised.value.reason == reasons.NAME_TAKEN
        assert (await setting.host.inventory()).volume(volume.name) == volume


class TestStart:
    async def test_started_agent_has_its_job_and_is_seen_at_work(
        self, setting: Setting, wanted: AgentContainer
    ) -> None:
        container_id = await setting.host.start_agent(wanted, WORKS.job)
        look = await eventually(setting.host, wanted.name, lambda look: bool(look.events and look.error_output))
        assert look.container_id == container_id
        assert (look.alive, look.exit_code, look.out_of_memory) == (True, None, False)
        assert [event.sequence for event in look.events] == [1]
        assert look.error_output == "a diagnosis\n"
        assert look.started_at and look.started_at.tzinfo
        assert (look.image, look.labels["note"]) == (setting.image, setting.prefix)

    async def test_job_is_nowhere_in_what_the_engine_shows(self, setting: Setting, wanted: AgentContainer) -> None:
        await setting.host.start_agent(wanted, WORKS.job)
        assert "a diagnosis" not in setting.people.inspected(wanted.name)

    async def test_taken_name_starts_nothing(self, setting: Setting, wanted: AgentContainer) -> None:
        container_id = await setting.host.start_agent(wanted, WORKS.job)
        assert await setting.host.start_agent(wanted, FAILS.job) is None
        look = await eventually(setting.host, wanted.name, lambda look: bool(look.events))
        assert (look.container_id, look.alive) == (container_id, True)

    async def test_missing_volume_is_named_and_not_created(self, setting: Setting, wanted: AgentContainer) -> None:
        missing = f"{setting.prefix}-missing"
        mounts = (*wanted.mounts, AgentMount("volume", missing, "/volumes/missing", read_only=True))
        error = await refused(setting, replace(wanted, mounts=mounts))
        assert (error.reason, missing in error.message) == (reasons.VOLUME_NOT_FOUND, True)
        assert (await setting.host.inventory()).volume(missing) is None

    async def test_volume_that_cannot_be_mounted_is_said(self, setting: Setting, wanted: AgentContainer) -> None:
        broken = f"{setting.prefix}-broken"
        setting.people.add_unmountable_volume(broken)
        mounts = (AgentMount("volume", broken, "/volumes/broken", read_only=True),)
        assert (await refused(setting, replace(wanted, mounts=mounts))).reason == reasons.VOLUME_MOUNT_FAILED

    async def test_missing_bind_source_is_said(self, setting: Setting, wanted: AgentContainer) -> None:
        mounts = (AgentMount("bind", "/nowhere/at/all", "/repository", read_only=True),)
        error = await refused(setting, replace(wanted, mounts=mounts))
        assert (error.reason, "/nowhere/at/all" in error.message) == (reasons.VOLUME_MOUNT_FAILED, True)

    async def test_missing_directory_is_made(self, setting: Setting, wanted: AgentContainer, tmp_path: Path) -> None:
        directory = str(tmp_path / "made" / "by docker")
        mounts = (AgentMount("directory", directory, "/repository", read_only=False),)
        assert await setting.host.start_agent(replace(wanted, mounts=mounts), WORKS.job)
        again = replace(wanted, name=f"{wanted.name}-2", mounts=(replace(mounts[0], kind="bind"),))
        assert await setting.host.start_agent(again, WORKS.job)

    @pytest.mark.parametrize("policy", ["Never", "IfNotPresent", "Always"])
    async def test_missing_image_is_named(self, setting: Setting, wanted: AgentContainer, policy: Policy) -> None:
        image = "127.0.0.1:1/absent:9"
        error = await refused(setting, replace(wanted, image=image, pull_policy=policy))
        assert (error.reason, image in error.message) == (reasons.IMAGE_UNAVAILABLE, True)


class TestEnd:
    async def test_ended_agent_shows_exit_code_and_a_large_report_whole(
        self, setting: Setting, wanted: AgentContainer
    ) -> None:
        await setting.host.start_agent(wanted, REPORTS.job)
        look = await eventually(setting.host, wanted.name, lambda look: not look.alive)
        assert (look.state, look.exit_code) == ("exited", 3)
        assert [event.sequence for event in look.events] == [1, 2, 3]
        assert look.events[1].report == LARGE_REPORT

    async def test_terminated_agent_ends(self, setting: Setting, wanted: AgentContainer) -> None:
        await setting.host.start_agent(wanted, WORKS.job)
        await eventually(setting.host, wanted.name, lambda look: bool(look.error_output))
        await setting.host.terminate_agent(wanted.name)
        look = await eventually(setting.host, wanted.name, lambda look: not look.alive)
        assert look.exit_code == 143

    async def test_terminating_what_does_not_run_is_no_error(self, setting: Setting, wanted: AgentContainer) -> None:
        await setting.host.terminate_agent(wanted.name)
        await setting.host.start_agent(wanted, FAILS.job)
        await eventually(setting.host, wanted.name, lambda look: not look.alive)
        await setting.host.terminate_agent(wanted.name)
        look = await setting.host.look_at_agent(wanted.name)
        assert look is not None and look.exit_code == 1

    async def test_removed_agent_is_gone_whatever_its_state(self, setting: Setting, wanted: AgentContainer) -> None:
        for part in (WORKS, FAILS):
            assert await setting.host.start_agent(wanted, part.job)
            await setting.host.remove_agent(wanted.name)
            assert await setting.host.look_at_agent(wanted.name) is None
        await setting.host.remove_agent(wanted.name)

    async def test_only_containers_of_this_installation_are_own(self, setting: Setting, wanted: AgentContainer) -> None:
        installation = f"{setting.prefix}-installation"
        ours = replace(wanted, labels={labels.INSTALLATION: installation, "note": "ours"})
        theirs = replace(wanted, name=f"{wanted.name}-2", labels={labels.INSTALLATION: f"{installation}-2"})
        for one in (ours, theirs):
            await setting.host.start_agent(one, FAILS.job)
        setting.people.add_service(f"{setting.prefix}-web-1", f"{setting.prefix}-data", "/data", {})
        await eventually(setting.host, ours.name, lambda look: not look.alive)
        (found,) = await setting.host.own_containers(installation)
        assert (found.name, found.state, found.labels["note"]) == (ours.name, "exited", "ours")
