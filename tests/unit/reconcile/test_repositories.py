"""When a repository is opened, and when what is known of it is enough: stories told by passes alone."""

from __future__ import annotations

from compose_backup.api.kinds import ARCHIVE_REPOSITORY
from compose_backup.planning import labels
from compose_backup.planning.facts import AgentContainer
from compose_backup.reconcile.world import World
from fakes.scene import Scene
from fakes.turned_loop import run_on_turned_loop
from unit.reconcile.test_scenarios import all_ended, at_work, told


def test_a_changed_password_is_tried_without_a_restart() -> None:
    async def story(scene: Scene, world: World) -> None:
        scene.cluster.remove_secret("prod", "restic")
        await scene.until(world, lambda: not scene.get(ARCHIVE_REPOSITORY, "main").ready, seconds=120)
        assert "SecretNotFound" in scene.get(ARCHIVE_REPOSITORY, "main").condition("Ready")
        scene.cluster.put_secret("prod", "restic", {"password": b"another"})
        await scene.until(world, scene.is_ready, seconds=60)
        access = scene.agents.jobs("probe")[-1].repository
        assert access and access.password.get_secret_value() == "another"

    told(story)


def test_what_a_run_has_found_in_the_repository_spares_a_probe() -> None:
    async def story(scene: Scene, world: World) -> None:
        before = len(scene.agents.jobs("probe"))
        await scene.until(world, all_ended(scene))
        await scene.live(world, 60)
        repository = scene.get(ARCHIVE_REPOSITORY, "main")
        assert (repository.status.snapshots, repository.status.size_bytes) == (1, 1024)
        assert len(scene.agents.jobs("probe")) == before

    told(story)


def test_a_run_does_not_vouch_for_a_password_that_was_changed_meanwhile() -> None:
    async def story(scene: Scene, world: World) -> None:
        await scene.until(world, lambda: at_work(scene))
        before = len(scene.agents.jobs("probe"))
        scene.cluster.put_secret("prod", "restic", {"password": b"another"})
        await scene.until(world, all_ended(scene))
        await scene.live(world, 60)
        assert len(scene.agents.jobs("probe")) > before

    told(story)


def test_a_probe_that_another_cluster_left_behind_is_removed_in_the_end() -> None:
    async def scenario() -> None:
        scene = Scene()
        name = labels.probe_name("path:/srv/backups/main")
        owner = labels.Owner("ArchiveRepository", "prod", "main", "uid-in-another-cluster")
        marks = labels.agent_labels(owner, "another-installation", "probe")
        scene.engine.script = lambda agent: agent.end(0)
        await scene.engine.start_agent(
            AgentContainer(name, "h", "agent:test", "Never", marks, (), (), 1, 1, "none"), b""
        )
        scene.engine.script = scene.agents.play
        scene.apply_all()
        world = scene.world()
        await scene.live(world, 30)
        assert name in scene.engine.agents
        assert "waited for" in scene.get(ARCHIVE_REPOSITORY, "main").condition("Ready")
        await scene.until(world, scene.is_ready, seconds=120)

    run_on_turned_loop(scenario())
