"""A namespace with a healthy host, repository and policy, and short words for the objects that are wrong beside them.

Made by the fixture `ward` of conftest.py, once for each module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from e2e.scene import Document, Scene, condition, local_host, markers
from realparts import repositories
from realparts.steps import run

API_VERSION = "backup.dockerwarts.io/v1alpha1"
PASSWORD = "correct horse battery staple"
ONCE_A_YEAR = "0 3 1 1 *"


@dataclass(frozen=True)
class Ward:
    """The scene of one module. Names of volumes begin with its namespace, since the engine is shared."""

    scene: Scene
    pid: int
    """Process id of the operator when the module began: whatever is applied, it must live on."""
    made: list[str] = field(default_factory=list)
    mounts: list[Path] = field(default_factory=list)

    @property
    def directory(self) -> Path:
        """Where repositories may lie."""
        return self.scene.directory

    def settle_in(self) -> None:
        """Apply what is healthy, and wait until it is."""
        self.made_before("main")
        self.volume("healthy", "all is well")
        self.scene.apply(secret("password"), self.host("here"), self.repository("main"), self.policy("healthy"))
        self.scene.wait_ready("backuppolicy", "healthy")
        self.scene.wait_ready("archiverepository", "main")

    def made_before(self, *names: str) -> None:
        """Have these repositories exist before anybody declares them."""
        for name in names:
            repositories.make(self.directory / name, PASSWORD)

    def volume(self, key: str, content: str = "some data") -> str:
        """Make a volume with one file, `file.txt`, or an empty one, and return its full name."""
        name = f"{self.scene.namespace}-{key}"
        self.scene.engine.docker("volume", "create", name)
        self.made.append(name)
        if content:
            (self.data(key) / "file.txt").write_text(content)
        return name

    def data(self, key: str) -> Path:
        """Return where the files of a volume lie."""
        name = f"{self.scene.namespace}-{key}"
        return Path(self.scene.engine.docker("volume", "inspect", "--format", "{{.Mountpoint}}", name))

    def full(self, key: str) -> str:
        """Return the full name of a volume."""
        return f"{self.scene.namespace}-{key}"

    def mount(self, name: str, options: str) -> Path:
        """Mount a disk in memory with these options below the directory, and return where."""
        place = self.directory / name
        place.mkdir()
        run("mount", ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], remedy="run as root")
        self.mounts.append(place)
        return place

    def host(self, name: str, **spec: object) -> Document:
        """Return a ComposeHost on the engine; fields of the spec may be replaced."""
        usual = local_host(self.scene.engine, [self.directory]) | {"maxConcurrentRuns": 16}
        return document("ComposeHost", name, usual | spec)

    def repository(self, name: str, **spec: object) -> Document:
        """Return an ArchiveRepository in a directory of its own; fields of the spec may be replaced."""
        usual = {
            "hostRef": {"name": "here"},
            "restic": {"passwordSecretRef": {"name": "password"}},
            "storage": {"hostPath": {"path": str(self.directory / name)}},
        }
        return document("ArchiveRepository", name, usual | spec)

    def policy(self, name: str, **spec: object) -> Document:
        """Return a BackupPolicy of the volume that has its name; fields of the spec may be replaced."""
        usual = {
            "hostRef": {"name": "here"},
            "repositoryRef": {"name": "main"},
            "selector": {"volumes": [self.full(name)]},
            "schedule": ONCE_A_YEAR,
        }
        return document("BackupPolicy", name, usual | spec)

    def run(self, policy: str, name: str = "") -> Document:
        """Return a BackupRun as a person makes it by hand: of this name, or of the policy's."""
        return document("BackupRun", name or policy, {"policyRef": {"name": policy}})

    def ended(self, kind: str, name: str, *, seconds: float = 120) -> Document:
        """Return the status of a run or restore once it has ended."""
        status: Document = self.scene.wait_finished(kind, name, seconds=seconds)["status"]
        return status

    def assert_neighbour_runs(self, value: str) -> None:
        """The operator is the same process and healthy, and a healthy policy still archives its volume."""
        assert self.scene.operator.pid == self.pid, self.scene.told()
        self.scene.operator.start()  # waits for its health check; it would not start a second one
        asked = self.scene.request_run("healthy", value)
        status = self.ended("backuprun", asked["metadata"]["name"])
        assert status["phase"] == "Succeeded", self.scene.told()
        assert self.scene.operator.pid == self.pid

    def wait_until_no_agent(self) -> None:
        """Wait until nothing of this namespace works on the host."""
        self.scene.wait_for("no agent of this namespace", lambda: not self._agents(), seconds=90)

    def close(self) -> None:
        """Remove the namespace, then what runs may have held."""
        self.scene.close()
        self.wait_until_no_agent()
        for name in [*self.made, *self._markers()]:
            self.scene.engine.docker("volume", "rm", "--force", name, check=False)
        for place in self.mounts:
            run("umount", ["umount", "--lazy", place], remedy="run as root")

    def _agents(self) -> list[str]:
        label = f"label=backup.dockerwarts.io/owner-namespace={self.scene.namespace}"
        return self.scene.engine.docker("ps", "--all", "--quiet", "--filter", label).split()

    def _markers(self) -> list[str]:
        """Return the markers of repositories of this namespace: they outlive their repositories on purpose."""
        return markers(self.scene.engine, f"path:{self.directory}", f"volume:{self.scene.namespace}")


def document(kind: str, name: str, spec: Mapping[str, object]) -> Document:
    """Return an object."""
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}


def secret(name: str, **data: str) -> Document:
    """Return a Secret; without data it holds the password of the repositories."""
    content = data or {"password": PASSWORD}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": content}


def row(title: str, *values: object) -> object:
    """Return one row of a table whose id is a sentence."""
    return pytest.param(*values, id=title)


def assert_says(found: Document, reason: str, *words: str, type_: str = "Ready") -> None:
    """The condition has this reason, and its message the words that lead a person on."""
    said = condition(found, type_)
    assert said.get("reason") == reason, said
    for word in words:
        assert word in said["message"], said


def assert_failed(status: Mapping[str, object], reason: str, *words: str, phase: str = "Failed") -> None:
    """A run or restore has ended so, for this reason, in these words."""
    failure = status.get("failure")
    assert isinstance(failure, dict), status
    assert (status["phase"], failure["reason"]) == (phase, reason), failure
    for word in words:
        assert word in failure["message"], failure
