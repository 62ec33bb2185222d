"""A Compose project that counts while it runs: what it has counted says when it was down, and whether a copy is true.

Called by the fixtures and tests of quiescing/ and coming_back/. Its services are those of a campaign of faults.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos import evidence
from chaos.docker_api import LABEL, DockerApi
from chaos.project import ASLEEP, AWAKE, SERVICES, VOLUMES, WRITERS, write_compose_file
from chaos.watch import NANO, Seen, Watch
from e2e.agents import Agent
from e2e.compose_project import ComposeProject
from e2e.scene import Document, Scene
from e2e.stage import Stage, policy

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
FOR_WORK = ("run", "restore", "cleanup")
BULK_BYTES = 16 << 20
IN_THE_WINDOW_CPUS = 0.1
BACK_SECONDS = 60.0


@dataclass(frozen=True)
class Shop:
    """The project, and what is seen of it from outside and from inside."""

    stage: Stage
    project: ComposeProject
    witness: Path
    docker: DockerApi
    watch: Watch
    ids: dict[str, str] = field(default_factory=dict)
    """Ids of the containers by name, as Compose has made them."""

    @property
    def scene(self) -> Scene:
        """The scene that it stands in."""
        return self.stage.scene

    @property
    def volumes(self) -> list[str]:
        """The full names of its volumes."""
        return [self.project.volume(key) for key in VOLUMES]

    def policy(self, name: str = "nightly", **spec: Any) -> Document:
        """Return a policy for all volumes."""
        return policy(self.volumes, name=name, **spec)

    def names(self, *services: str) -> list[str]:
        """Return the names of the containers of these services."""
        return [name for name in self.ids if name.rsplit("-", 2)[1] in services]

    def service(self, container: str) -> str:
        """Return the service of a container."""
        return container.rsplit("-", 2)[1]

    def inspected(self, container: str) -> Document:
        """Return what the engine says about a container."""
        found = self.docker.container(self.ids[container])
        assert found is not None, f"{container} is gone"
        return found

    def started_at(self) -> dict[str, str]:
        """Return when each container was started."""
        return {name: str(self.inspected(name)["State"]["StartedAt"]) for name in self.ids}

    def down(self) -> set[str]:
        """Return the containers that should run and do not, or are paused, or not healthy (again)."""
        return {name for name in self.names(*AWAKE) if not _is_well(self.inspected(name)["State"])}

    def is_down(self) -> bool:
        """Say whether everything that writes is down."""
        return all(not self.inspected(name)["State"]["Running"] for name in self.names(*WRITERS))

    def wait_until_back(self, *, seconds: float = BACK_SECONDS) -> None:
        """Wait until everything that ran before runs, healthy, with its own restart policy, and what slept sleeps."""
        self.scene.wait_for(f"the services (still down: {self.down()})", lambda: not self.down(), seconds=seconds)
        for name in self.ids:
            document = self.inspected(name)
            assert document["HostConfig"]["RestartPolicy"]["Name"] == SERVICES[self.service(name)].restart
        (asleep,) = self.names(ASLEEP)
        assert not self.inspected(asleep)["State"]["Running"]

    def wait_until_tidy(self, *, seconds: float = BACK_SECONDS) -> None:
        """Wait until nothing of ours is left of this scene."""
        self.scene.wait_for("a tidy host", lambda: not self.leftovers(), seconds=seconds)

    def leftovers(self) -> list[str]:
        """Return the agents, journals and stages of this scene."""
        ours = f"{LABEL}/owner-namespace={self.scene.namespace}"
        agents = [
            one["Names"][0]
            for purpose in FOR_WORK
            for one in self.docker.containers(ours, f"{LABEL}/purpose={purpose}")
        ]
        kinds = (f"{LABEL}/purpose={purpose}" for purpose in ("journal", "stage"))
        return agents + [one["Name"] for kind in kinds for one in self.docker.volumes(ours, kind)]

    def in_the_window(self, purpose: str, document: Document) -> Agent:
        """Return the agent of a run or restore at the moment at which everything is down, slowed down from there."""
        self.scene.wait_for("the services to go down", self.is_down, seconds=90)
        agent = self.stage.agent(purpose, document)
        agent.allow(IN_THE_WINDOW_CPUS)
        assert self.is_down(), "they came back before anybody could look"
        return agent

    def starts(self, container: str) -> list[evidence.Start]:
        """Return how a counting container was started, as it saw it itself."""
        return evidence.starts(self.witness, self.ids[container][:12])

    def copies(self, run: Document, scratch: Path) -> dict[str, dict[str, int]]:
        """Return the numbers in the snapshots of a run, by volume and file; raises when one is missing."""
        found = {}
        for volume in run["status"]["volumes"]:
            self.stage.plain_restic("restore", volume["snapshotId"], "--target", str(scratch), "--quiet")
            found[volume["name"]] = evidence.numbers(scratch / "volumes" / volume["name"])
        return found

    def file(self, container: str) -> str:
        """Return the file of a container's numbers."""
        mapped = SERVICES[self.service(container)].way == "mapped"
        return evidence.PAGES if mapped else f"counter-{self.ids[container][:12]}"

    def signalled(self, mark: int, container: str) -> float:
        """Return when the engine sent a container its first signal since a mark, in seconds since the epoch."""
        return min(one.nanos for one in self.watch.since(mark) if (one.action, one.name) == ("kill", container)) / NANO

    def events(self, mark: int, action: str) -> list[str]:
        """Return the services that this has happened to, in order, since a mark of the watch."""
        happened: list[Seen] = [one for one in self.watch.since(mark) if one.action == action and one.name in self.ids]
        return [self.service(one.name) for one in happened]


@contextmanager
def opened(stage: Stage, directory: Path, image: str) -> Iterator[Shop]:
    """Bring the project up, one service asleep, and take it down in the end."""
    engine = stage.scene.engine
    witness = directory / "witness"
    witness.mkdir(parents=True)
    project = ComposeProject(engine, stage.scene.namespace, write_compose_file(directory, image, stage.image, witness))
    docker = DockerApi(Path(engine.docker_host.removeprefix("unix://")))
    watch = Watch(docker)
    try:
        project.up()
        project.compose("stop", ASLEEP)
        (project.data("db") / "bulk.bin").write_bytes(BULK_BYTES // 64 * bytes(range(64)))
        shop = Shop(stage, project, witness, docker, watch)
        for one in docker.containers(f"{PROJECT_LABEL}={project.name}"):
            shop.ids[one["Names"][0].lstrip("/")] = one["Id"]
        yield shop
    finally:
        watch.end()
        stage.scene.kubectl("delete", "rr,brun,bpol", "--all", "--timeout=30s", check=False)
        for agent in stage.agents():
            engine.docker("rm", "--force", agent, check=False)
        journals = docker.volumes(f"{LABEL}/owner-namespace={project.name}", f"{LABEL}/purpose=journal")
        for journal in journals:
            engine.docker("volume", "rm", journal["Name"], check=False)
        project.remove()


def _is_well(state: Document) -> bool:
    running = bool(state["Running"]) and not state["Paused"] and not state["Restarting"]
    return running and state.get("Health", {"Status": "healthy"})["Status"] == "healthy"
