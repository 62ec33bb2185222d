"""What is measured on: an API server of our own, the engine of the checkout, and the operator as a process.

Everything made on the engine carries a prefix of this one stage and is removed in the end; the engine itself is only
used. Opened by every script.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import objects
from api import Api, is_ready
from compose_backup.api.kinds import ARCHIVE_REPOSITORY, BACKUP_POLICY, COMPOSE_HOST
from compose_backup.planning import labels
from operator_process import OperatorProcess
from realparts import ground, installed
from realparts.control_plane import ControlPlane
from realparts.engine import Engine

STATE = ground.state_directory()


@dataclass
class Stage:
    """One API server with one namespace, an engine, an agent image that nobody exchanges meanwhile, and an operator."""

    state: Path
    cluster: ControlPlane
    engine: Engine
    api: Api
    prefix: str
    image: str
    operator: OperatorProcess
    _volumes: list[str] = field(default_factory=list)

    def volume(self, name: str) -> str:
        """Make a volume and return its name on the engine."""
        full = f"{self.prefix}-{name}"
        self.engine.docker("volume", "create", full)
        self.remember(full)
        return full

    def remember(self, volume: str) -> None:
        """Remove this volume in the end, and the marker that a repository in it has."""
        self._volumes += [volume, labels.marker_name(f"volume:{volume}")]

    def directory(self, volume: str) -> Path:
        """Return where a volume lies on this machine."""
        return Path(self.engine.docker("volume", "inspect", "--format", "{{.Mountpoint}}", volume))

    def remove_volumes(self, *volumes: str) -> None:
        """Remove volumes and markers now, so that the disk does not fill."""
        for volume in volumes:
            self.engine.docker("volume", "rm", "--force", volume, labels.marker_name(f"volume:{volume}"), check=False)

    def declare_host(self, name: str = objects.HOST) -> None:
        """Declare the engine as a ComposeHost and wait until it is ready."""
        self.api.create(COMPOSE_HOST, objects.host(name, self.engine.docker_host))
        self.api.wait(COMPOSE_HOST, objects.NAMESPACE, name, is_ready)

    def declare_repository(self, name: str, host: str = objects.HOST) -> str:
        """Declare a repository in a volume of its own, wait until it is ready, and return the volume."""
        volume = self.volume(name)
        self.api.create(ARCHIVE_REPOSITORY, objects.repository(name, volume, host))
        self.api.wait(ARCHIVE_REPOSITORY, objects.NAMESPACE, name, is_ready)
        return volume

    def declare_policy(self, name: str, repository: str, *volumes: str) -> None:
        """Declare a policy and wait until it is scheduled."""
        self.api.create(BACKUP_POLICY, objects.policy(name, repository, volumes))
        self.api.wait(BACKUP_POLICY, objects.NAMESPACE, name, is_ready)

    def close(self) -> None:
        """Stop what was started and remove what was made."""
        self.operator.stop()
        listed = self.engine.docker("ps", "--all", "--format", "{{.Image}} {{.ID}}").splitlines()
        ours = [line.split()[1] for line in listed if line.split()[0] == self.image]
        self.engine.docker("rm", "--force", "--volumes", *ours, check=False)
        self.remove_volumes(*self._volumes)
        self.engine.docker("image", "rm", self.image, check=False)
        self.cluster.stop()
        shutil.rmtree(self.state)


@contextmanager
def opened() -> Iterator[Stage]:
    """Give a stage whose operator does not run yet. What asks this process to end lets it clean up first."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    basis = ground.engine_with_images(STATE)
    state = Path(tempfile.mkdtemp(prefix="compose-backup-benchmark-"))
    cluster = ControlPlane.start(state / "cluster")
    try:
        installed.install(cluster)
        stage = _stage(state, cluster, basis)
    except BaseException:
        cluster.stop()
        raise
    try:
        stage.api.create_core("Namespace", objects.namespace())
        stage.api.create_core("Secret", objects.secret())
        yield stage
    finally:
        stage.close()


def _stage(state: Path, cluster: ControlPlane, basis: ground.Ground) -> Stage:
    prefix = f"bench-{uuid.uuid4().hex[:8]}"
    # A name of our own: somebody who builds meanwhile would give the two sides of a comparison different images.
    image = f"compose-backup-agent:{prefix}"
    basis.engine.docker("tag", basis.images.agent, image)
    kubeconfig = installed.operator_kubeconfig(cluster, state / "operator" / "kubeconfig")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_BACKUP_")},
        "KUBECONFIG": str(kubeconfig),
        "COMPOSE_BACKUP_AGENT_IMAGE": image,
        "COMPOSE_BACKUP_ALLOW_LOCAL_ENDPOINTS": "true",
        "PYTHONPATH": str(ground.REPOSITORY / "operator"),
    }
    operator = OperatorProcess(state / "operator", sys.executable, environment)
    return Stage(state, cluster, basis.engine, Api(cluster.kubeconfig, state), prefix, image, operator)
