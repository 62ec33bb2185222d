"""Where a campaign takes place: a control plane, an engine of its own that may be killed, a small disk, the operator.

Called by __main__.py.
"""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from chaos.cluster_api import ClusterApi, condition
from chaos.docker_api import DockerApi
from chaos.project import ASLEEP, PROJECT, VOLUMES, volume_name, write_compose_file
from chaos.schedule import Work
from chaos.watch import Watch
from chaos.way import Way
from e2e.compose_project import ComposeProject
from e2e.operator_process import OperatorProcess
from e2e.stage import composehost, policy, repository, secret
from realparts import images, installed
from realparts.control_plane import ControlPlane
from realparts.daemon import Daemon
from realparts.engine import Engine, second_engine
from realparts.file_systems import open_file_systems
from realparts.ground import Ground
from realparts.steps import run, step, wait_until

HOST = "srv1"
POLICIES: dict[Work, str] = {"backup": "nightly", "staged": "staged"}
PASSWORD = "chaos"
DISK_BYTES = 1 << 29
BULK_BYTES = 1 << 20
READY_SECONDS = 120.0


@dataclass(frozen=True)
class Place:
    """Everything that a round works on."""

    cluster: ControlPlane
    engine: Engine
    restic: Path
    operator: OperatorProcess
    namespace: str
    directory: Path
    api: DockerApi
    objects: ClusterApi
    watch: Watch
    way: Way
    project: ComposeProject
    retries: int
    """How often a backup that failed is tried again."""

    @property
    def witness(self) -> Path:
        """Where the services keep what no backup sees."""
        return self.directory / "witness"

    @property
    def disk(self) -> Path:
        """The small disk that the repository lies on."""
        return self.directory / "disk"

    @property
    def repository(self) -> Path:
        """The repository."""
        return self.disk / "repository"

    @property
    def volumes_disk(self) -> Path:
        """The disk of the engine, with the volumes; its file system clones."""
        return self.directory / "volumes" / "xfs-for-an-engine" / "mounted"

    @property
    def daemon(self) -> Daemon:
        """The daemon of the engine, which is ours."""
        assert self.engine.daemon is not None
        return self.engine.daemon

    def start_engine(self, *, live_restore: bool) -> None:
        """Start the daemon after its death."""
        replace(self.daemon, live_restore=live_restore).start()

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace."""
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, stdin=stdin)

    def data(self, key: str) -> Path:
        """Return where the files of a volume lie on this machine."""
        found = self.api.get(f"/volumes/{volume_name(key)}")
        return Path(found["Mountpoint"])

    def plain_restic(self, *arguments: str | Path) -> bytes:
        """Run restic, which knows nothing of the project, and return its output."""
        command: list[str | Path] = [self.restic, "--repo", self.repository, "--no-cache", "--no-lock", *arguments]
        env = os.environ | {"RESTIC_PASSWORD": PASSWORD}
        return run("plain restic", command, remedy="look into the repository", env=env)

    def refill(self) -> None:
        """Write new large files beside the counters, so that there is something to move."""
        for key in VOLUMES:
            (self.data(key) / "bulk.bin").write_bytes(os.urandom(BULK_BYTES))


@contextmanager
def made(cluster: ControlPlane, ground: Ground, directory: Path, *, retries: int = 1) -> Iterator[Place]:
    """Make a place, and leave nothing of it."""
    namespace = f"chaos-{uuid.uuid4().hex[:8]}"
    with ExitStack() as stack:
        (directory / "volumes").mkdir(parents=True)
        volumes = stack.enter_context(open_file_systems(directory / "volumes")).mounted("xfs-for-an-engine")
        engine = _engine(stack, ground, volumes / "engine")
        _disk(stack, directory / "disk")
        (directory / "witness").mkdir()
        api = DockerApi(_socket(engine))
        place = Place(
            cluster=cluster,
            engine=engine,
            restic=ground.restic,
            operator=OperatorProcess(cluster, directory / "operator", ground.images.agent),
            namespace=namespace,
            directory=directory,
            api=api,
            objects=ClusterApi(cluster.kubeconfig, namespace),
            watch=_watch(stack, api),
            way=_way(stack, engine),
            project=ComposeProject(engine, PROJECT, _file(ground, directory)),
            retries=retries,
        )
        stack.callback(_forget_namespace, place)
        stack.callback(place.operator.stop)
        _furnish(place)
        yield place


def _furnish(place: Place) -> None:
    """Bring the services up, one of them asleep, and declare what backs them up."""
    installed.install(place.cluster)
    place.cluster.kubectl("create", "namespace", place.namespace)
    with step("start the services of the campaign"):
        place.project.up()
        place.project.compose("stop", ASLEEP)
        place.refill()
    place.operator.start()
    documents = [{**one, "metadata": one["metadata"] | {"namespace": place.namespace}} for one in _declared(place)]
    place.kubectl("apply", "--filename", "-", stdin=yaml.safe_dump_all(documents))
    for plural, name in (
        ("composehosts", HOST),
        ("archiverepositories", "main"),
        *(("backuppolicies", name) for name in POLICIES.values()),
    ):
        wait_until(
            f"wait for {plural}/{name}",
            lambda plural=plural, name=name: _is_ready(place, plural, name),  # type: ignore[misc]
            seconds=READY_SECONDS,
            remedy=f"read {place.operator.log_file}",
        )


def _declared(place: Place) -> list[dict[str, Any]]:
    agent = {"dockerSocket": str(_socket(place.engine)), "imagePullPolicy": "Never", "memory": "256Mi"}
    host = {"endpoint": f"unix://{place.way.path}", "agent": agent, "permit": {"hostPaths": [str(place.disk)]}}
    quiesce = {"method": "Stop", "maxSeconds": 120}
    retry = {"limit": place.retries, "backoffSeconds": 1}
    stages: dict[Work, str] = {"backup": "None", "staged": "Auto"}
    names = [volume_name(key) for key in VOLUMES]
    return [
        secret("repository", password=PASSWORD),
        composehost(HOST, host | {"probeIntervalSeconds": 10}),
        repository(place.repository),
        *(
            policy(names, name=name, quiesce=quiesce | {"stage": stages[work]}, retry=retry)
            for work, name in POLICIES.items()
        ),
    ]


def _is_ready(place: Place, plural: str, name: str) -> bool:
    return condition(place.objects.get(plural, name), "Ready").get("status") == "True"


def _engine(stack: ExitStack, ground: Ground, state: Path) -> Engine:
    engine = second_engine(state)
    stack.callback(_remove_engine, engine)
    for image in (ground.images.agent, ground.small_image):
        images.copy(image, ground.engine, engine)
    return engine


def _remove_engine(engine: Engine) -> None:
    """End the containers first: killed, since nobody needs them any more, and quicker than asked."""
    engine.start()
    if ids := engine.docker("ps", "--all", "--quiet").split():
        engine.docker("rm", "--force", *ids, check=False)
    engine.remove()


def _disk(stack: ExitStack, path: Path) -> None:
    path.mkdir(parents=True)
    options = f"size={DISK_BYTES}"
    run("mount a small disk", ["mount", "-t", "tmpfs", "-o", options, "chaos", path], remedy="run as root")
    stack.callback(_unmount, path)


def _unmount(path: Path) -> None:
    subprocess.run(["umount", "--lazy", path], check=False)


def _watch(stack: ExitStack, api: DockerApi) -> Watch:
    watch = Watch(api)
    stack.callback(watch.end)
    return watch


def _way(stack: ExitStack, engine: Engine) -> Way:
    way = Way(_socket(engine).with_name("way.sock"), _socket(engine))
    stack.callback(way.close)
    return way


def _file(ground: Ground, directory: Path) -> Path:
    return write_compose_file(directory, ground.images.agent, ground.small_image, directory / "witness")


def _socket(engine: Engine) -> Path:
    return Path(engine.docker_host.removeprefix("unix://"))


def _forget_namespace(place: Place) -> None:
    place.cluster.start_api_server()
    place.cluster.kubectl("delete", "namespace", place.namespace, "--ignore-not-found", "--wait=false")
