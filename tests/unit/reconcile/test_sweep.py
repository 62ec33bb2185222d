"""The sweep of a host whose engine fails at one container."""

from __future__ import annotations

from compose_backup.planning import labels
from compose_backup.planning.facts import AgentContainer
from compose_backup.reconcile import sweep
from fakes.scene import Scene
from fakes.turned_loop import run_on_turned_loop


def test_a_container_at_which_the_engine_fails_keeps_no_other_from_being_removed() -> None:
    async def scenario() -> None:
        scene = Scene()
        scene.apply_all()
        world = scene.world()
        await scene.until(world, scene.is_ready)
        owner = labels.Owner("BackupRun", "prod", "long-gone", "uid-of-nobody")
        marks = labels.agent_labels(owner, world.installation, "run")
        scene.engine.script = lambda agent: agent.end(0)
        for name in ("held", "left"):
            container = AgentContainer(name, "h", "agent:test", "Never", marks, (), (), 1, 1, "none")
            await scene.engine.start_agent(container, b"")
        scene.engine.unremovable.add("held")
        (host,) = world.store.hosts()
        assert await sweep.sweep_host(world, host), "another sweep is needed soon"
        assert [name for name in ("held", "left") if name in scene.engine.agents] == ["held"]

    run_on_turned_loop(scenario())
