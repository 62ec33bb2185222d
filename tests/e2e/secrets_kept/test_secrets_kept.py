"""A password is seen nowhere but in its Secret, and a changed Secret is taken up by itself.

Run by pytest.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from e2e.scene import condition
from e2e.stage import PASSWORD, WHOLE, Stage, policy, restorerequest, secret

KINDS = "chost,arepo,bpol,brun,rr,events"


def places(stage: Stage, seen: list[str]) -> Iterator[tuple[str, str]]:
    """Yield what anybody could look at, and what it says: objects, Events, logs, containers and their processes."""
    engine = stage.scene.engine
    yield "objects and Events", stage.scene.kubectl("get", KINDS, "--output", "yaml", "--show-managed-fields")
    yield "the operator's log", stage.scene.operator.log_file.read_text()
    for name in seen:
        yield f"inspect of {name}", engine.docker("inspect", name)
        yield f"logs of {name}", engine.docker("logs", name)
        yield f"files written by {name}", engine.docker("diff", name)
        yield from processes(engine.docker("top", name, "-eo", "pid,args"))


def processes(top: str) -> Iterator[tuple[str, str]]:
    """Yield arguments and environment of each process that `docker top` lists."""
    yield "docker top", top
    for pid in (line.split()[0] for line in top.splitlines()[1:]):
        for what in ("cmdline", "environ"):
            yield f"{what} of {pid}", Path(f"/proc/{pid}/{what}").read_bytes().decode(errors="replace")


def test_a_password_is_seen_nowhere(stage: Stage) -> None:
    scene, volume = stage.scene, stage.volume("data", megabytes=24)
    stage.declare(policy([volume]))
    run = scene.request_run("nightly", "watched")
    agent = stage.started("run", run, cpus=0.2)
    # In the middle of its work, with restic beside it, everything stands still to be looked at.
    scene.wait_for("restic", lambda: "restic backup" in scene.engine.docker("top", agent.name, "-eo", "pid,args"))
    agent.pause()
    found = dict(places(stage, [agent.name]))
    agent.unpause()
    assert any("restic" in text for name, text in found.items() if name.startswith("cmdline"))
    assert [name for name, text in found.items() if PASSWORD in text] == []
    agent.allow(WHOLE)
    stage.succeeded(run)
    scene.apply(restorerequest(existingData="Mirror"))
    scene.wait_finished("restorerequest", "bring-it-back")
    assert [name for name, text in places(stage, []) if PASSWORD in text] == []


def test_a_changed_secret_is_taken_up(stage: Stage) -> None:
    scene = stage.scene
    stage.declare()
    scene.apply(secret("repository", password="not-the-password"))
    wrong = scene.wait_condition(
        "archiverepository", "main", "Ready", status="False", reason="WrongPassword", seconds=120
    )
    assert "not-the-password" not in condition(wrong, "Ready")["message"]
    scene.apply(secret("repository", password=PASSWORD))
    scene.wait_ready("archiverepository", "main", seconds=120)
