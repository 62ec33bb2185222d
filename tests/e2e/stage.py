"""The usual objects of a scene, and what a test does with them: one host, one repository, policies, volumes, agents.

Called by the tests through the fixture `stage` of conftest.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2e.agents import LABELS, Agent
from e2e.scene import Document, Scene, local_host
from realparts import repositories

API = "backup.dockerwarts.io/v1alpha1"
# Whatever a test does, this must be seen nowhere: secrets_kept/ looks for it.
PASSWORD = f"canary-{uuid.uuid4().hex}"
WHOLE = 2.0
MEGABYTE = 1 << 20


def secret(name: str, **data: str) -> Document:
    """Return a Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def composehost(name: str, spec: Mapping[str, Any]) -> Document:
    """Return a ComposeHost."""
    return {"apiVersion": API, "kind": "ComposeHost", "metadata": {"name": name}, "spec": dict(spec)}


def repository(path: Path, name: str = "main", host: str = "srv1", **spec: Any) -> Document:
    """Return an ArchiveRepository in a directory of a host."""
    given = {
        "hostRef": {"name": host},
        "restic": {"passwordSecretRef": {"name": "repository"}},
        "storage": {"hostPath": {"path": str(path)}},
    }
    return {"apiVersion": API, "kind": "ArchiveRepository", "metadata": {"name": name}, "spec": given | spec}


def policy(volumes: list[str], name: str = "nightly", host: str = "srv1", **spec: Any) -> Document:
    """Return a BackupPolicy whose slot is years away, so that runs come on request only."""
    given = {
        "hostRef": {"name": host},
        "repositoryRef": {"name": "main"},
        "selector": {"volumes": volumes},
        "schedule": "0 0 29 2 *",
        "retry": {"limit": 0},
    }
    return {"apiVersion": API, "kind": "BackupPolicy", "metadata": {"name": name}, "spec": given | spec}


def restorerequest(name: str = "bring-it-back", policy: str = "nightly", **spec: Any) -> Document:
    """Return a RestoreRequest of the newest good run of a policy."""
    given = {"source": {"policyRef": {"name": policy}}}
    return {"apiVersion": API, "kind": "RestoreRequest", "metadata": {"name": name}, "spec": given | spec}


@dataclass(frozen=True)
class Stage:
    """A scene with a host `srv1`, a repository `main` and, by default, a policy `nightly`."""

    scene: Scene
    image: str
    """A small image with a shell."""
    restic: Path
    volumes: list[str] = field(default_factory=list)
    containers: list[str] = field(default_factory=list)

    @property
    def repository(self) -> Path:
        """The directory of the repository."""
        return self.scene.directory / "repository"

    @property
    def host(self) -> Document:
        """The host. Runs wait for each other for better reasons than their number."""
        return composehost("srv1", local_host(self.scene.engine, [self.scene.directory]) | {"maxConcurrentRuns": 4})

    @property
    def place(self) -> tuple[Document, ...]:
        """The password, the host and the repository."""
        return secret("repository", password=PASSWORD), self.host, repository(self.repository)

    def declare(self, *policies: Document, slow_to_open: bool = False) -> None:
        """Apply host, repository and policies, and wait until all are ready.

        The repository exists already, with a cheap key. One that is slow to open is made by its agent: an agent that
        gets little of a processor then works for as long as a test takes.
        """
        if not slow_to_open:
            repositories.make(self.repository, PASSWORD)
        self.scene.apply(*self.place, *policies)
        self.scene.wait_ready("composehost", "srv1")
        self.scene.wait_ready("archiverepository", "main", seconds=90)
        for document in policies:
            self.scene.wait_ready("backuppolicy", document["metadata"]["name"])

    def volume(self, key: str, *, megabytes: int = 0, **options: str) -> str:
        """Make a volume with one small file, and one of so many megabytes that do not compress; return its name."""
        name = self.volume_name(key)
        words = [word for option, value in options.items() for word in ("--opt", f"{option}={value}")]
        self.scene.engine.docker("volume", "create", *words, name)
        self.volumes.append(name)
        if not options:
            self.fill(name, megabytes)
        return name

    def volume_name(self, key: str) -> str:
        """Return the full name of a volume of this scene, and have it removed in the end."""
        name = f"{self.scene.namespace}-{key}"
        self.volumes.append(name)
        return name

    def fill(self, volume: str, megabytes: int = 0) -> None:
        """Write a small file and a large one into a volume."""
        (self.data(volume) / "note.txt").write_text(f"this is {volume}\n")
        if megabytes:
            (self.data(volume) / "large.bin").write_bytes(os.urandom(megabytes * MEGABYTE))

    def data(self, volume: str) -> Path:
        """Return where the files of a volume lie on this machine."""
        return Path(self.scene.engine.docker("volume", "inspect", "--format", "{{.Mountpoint}}", volume))

    def run_container(self, name: str, *arguments: str, command: tuple[str, ...] = ("tail", "-f", "/dev/null")) -> str:
        """Start a container, that does nothing, for ever, unless told otherwise, and return its name."""
        full = f"{self.scene.namespace}-{name}"
        self.scene.engine.docker("run", "--detach", "--init", "--name", full, *arguments, self.image, *command)
        self.containers.append(full)
        return full

    def agent(self, purpose: str, document: Document) -> Agent:
        """Return the agent that works for an object: `run`, `restore` or `catalog`."""
        return Agent(self.scene.engine, f"compose-backup-{purpose}-{document['metadata']['uid']}")

    def agents(self) -> list[str]:
        """Return the agents at work for runs, restores and policies of the scene, or left over from them."""
        label = f"label={LABELS}/owner-namespace={self.scene.namespace}"
        found = self.scene.engine.docker("ps", "--all", "--format", "{{.Names}}", "--filter", label).split()
        return [name for name in found if not name.startswith("compose-backup-probe-")]

    def archive(self, policy: str = "nightly", value: str = "now") -> Document:
        """Have a run done, and return it; it must succeed."""
        return self.succeeded(self.scene.request_run(policy, value))

    def succeeded(self, run: Document, *, seconds: float = 180) -> Document:
        """Wait for the end of a run, which must be good."""
        finished = self.scene.wait_finished("backuprun", run["metadata"]["name"], seconds=seconds)
        assert finished["status"]["phase"] == "Succeeded", self.scene.told()
        return finished

    def started(self, purpose: str, document: Document, *, cpus: float = WHOLE) -> Agent:
        """Wait until the agent of an object has got its job, with no more than a part of a processor to do it."""
        agent = self.agent(purpose, document)
        self.scene.wait_for(f"the container {agent.name}", lambda: agent.state, seconds=90)
        agent.allow(cpus)
        self.scene.wait_for(f"a job for {agent.name}", agent.has_accepted, seconds=90)
        return agent

    def request_restore(self, document: Document) -> Document:
        """Apply a RestoreRequest and return it with its UID."""
        self.scene.apply(document)
        return self.scene.get("restorerequest", document["metadata"]["name"])

    def snapshots(self, kind: str, run: Document) -> list[Document]:
        """Return what plain restic finds of a run: snapshots of kind `run`, or its `record`."""
        wanted = f"kind={kind},uid={run['metadata']['uid']}"
        found: list[Document] = json.loads(self.plain_restic("snapshots", "--json", "--no-lock", "--tag", wanted))
        return found

    def locks(self) -> list[str]:
        """Return the locks in the repository."""
        return self.plain_restic("list", "locks", "--no-lock", "--quiet").split()

    def plain_restic(self, *arguments: str) -> str:
        """Run restic, which knows nothing of the project, on the repository."""
        command: list[str | Path] = [self.restic, "--repo", self.repository, "--no-cache", *arguments]
        return subprocess.check_output(command, env=os.environ | {"RESTIC_PASSWORD": PASSWORD}).decode()

    def clear(self) -> None:
        """End what a test has left, so that the next one can use its names; host and repository stay."""
        self.scene.kubectl("delete", "rr,brun,bpol", "--all", "--timeout=30s", check=False)
        self.close()

    def close(self) -> None:
        """Remove containers and volumes; what still uses a volume is removed with it."""
        engine = self.scene.engine
        for container in (*self.containers, *self.agents()):
            engine.docker("rm", "--force", "--volumes", container, check=False)
        for volume in dict.fromkeys(self.volumes):
            engine.docker("volume", "rm", "--force", volume, check=False)


def failure(document: Document) -> tuple[str, str]:
    """Return phase and reason of a run or restore that has ended badly."""
    status = document["status"]
    return status["phase"], status.get("failure", {}).get("reason", "")
