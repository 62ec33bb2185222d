"""The sweep: what is removed from a host, and when, also one whose engine fails at one container."""

from __future__ import annotations

from compose_backup.planning import labels, wholeness
from compose_backup.planning.facts import AgentContainer, Volume
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


def test_the_mark_of_a_restore_that_is_gone_stays_as_long_as_its_journal() -> None:
    async def scenario() -> None:
        scene = Scene()
        scene.apply_all()
        world = scene.world()
        await scene.until(world, scene.is_ready)
        owner = labels.Owner("RestoreRequest", "prod", "long-gone", "uid-of-nobody")
        ours, theirs = (wholeness.mark_of(owner, one) for one in (world.installation, "another"))
        mark = wholeness.made(ours, ())
        journal = Volume(labels.journal_name(owner.uid))
        others = wholeness.made(theirs.model_copy(update={"name": "others"}), ())
        scene.engine.volumes |= {one.name: one for one in (mark, journal, others)}
        (host,) = world.store.hosts()
        await sweep.sweep_host(world, host)
        assert mark.name in scene.engine.volumes
        del scene.engine.volumes[journal.name]
        await sweep.sweep_host(world, host)
        assert mark.name not in scene.engine.volumes and others.name in scene.engine.volumes

    run_on_turned_loop(scenario())
