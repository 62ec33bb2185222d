"""What a test has to itself: a namespace, a directory for repositories, Compose projects, and patience.

Called by the tests through the fixture `scene` of conftest.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from e2e import objects
from e2e.compose_project import ComposeProject
from e2e.operator_process import OperatorProcess
from realparts.cluster import Cluster
from realparts.engine import Engine
from realparts.ground import REPOSITORY

Document = dict[str, Any]
Found = TypeVar("Found")
EXAMPLES = REPOSITORY / "examples"
ANNOTATIONS = "backup.dockerwarts.io"
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Scene:
    """One namespace on the cluster, one engine beside it, and the operator between them."""

    cluster: Cluster
    engine: Engine
    operator: OperatorProcess
    namespace: str
    directory: Path
    """Repositories may lie below it; it is removed with the scene."""
    projects: list[ComposeProject] = field(default_factory=list)

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl in the namespace of the scene."""
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, stdin=stdin, check=check)

    def apply(self, *documents: Mapping[str, Any]) -> None:
        """Apply objects, in the namespace of the scene whatever they say."""
        text = yaml.safe_dump_all([self._moved(document) for document in documents])
        self.kubectl("apply", "--filename", "-", stdin=text)

    def get(self, kind: str, name: str) -> Document:
        """Return an object as it is now."""
        return objects.read(self.cluster.kubeconfig, self.namespace, kind, name)

    def all_of(self, kind: str) -> list[Document]:
        """Return all objects of a kind, the oldest first."""
        found = objects.read_all(self.cluster.kubeconfig, self.namespace, kind)
        return sorted(found, key=lambda item: str(item["metadata"]["creationTimestamp"]))

    def request_run(self, policy: str, value: str) -> Document:
        """Ask for a run of a policy by annotation, and return the run as soon as it is there."""
        before = {run["metadata"]["uid"] for run in self.all_of("backupruns")}
        self.kubectl("annotate", "--overwrite", "backuppolicy", policy, f"{ANNOTATIONS}/run-requested={value}")

        def new_run() -> Document | None:
            runs = (run for run in self.all_of("backupruns") if run["spec"]["policyRef"]["name"] == policy)
            return next((run for run in runs if run["metadata"]["uid"] not in before), None)

        return self.wait_for(f"a run of {policy}", new_run)

    def wait_ready(self, kind: str, name: str, *, seconds: float = 60) -> Document:
        """Return the object once it is Ready."""
        return self.wait_condition(kind, name, "Ready", seconds=seconds)

    def wait_finished(self, kind: str, name: str, *, seconds: float = 120) -> Document:
        """Return the run or restore once it has ended, whatever its end."""
        return self.wait_condition(kind, name, "Finished", seconds=seconds)

    def wait_condition(
        self, kind: str, name: str, type_: str, *, status: str = "True", reason: str | None = None, seconds: float = 60
    ) -> Document:
        """Return the object once the condition has this status, and this reason if one is given."""

        def holds() -> Document | None:
            found = self.get(kind, name)
            is_so = condition(found, type_).get("status") == status
            return found if is_so and reason in (None, condition(found, type_).get("reason")) else None

        wanted = f"{kind}/{name} {type_}={status}" + (f" ({reason})" if reason else "")
        return self.wait_for(wanted, holds, seconds=seconds)

    def wait_for(self, what: str, look: Callable[[], Found | None], *, seconds: float = 60) -> Found:
        """Look again and again until something is found, and return it. Too late: show what the cluster says."""
        deadline = time.monotonic() + seconds
        while not (found := look()):
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds:.0f} s: {what}\n{self.told()}")
            time.sleep(POLL_SECONDS)
        return found

    def told(self) -> str:
        """Return what a person would look at when something is wrong: objects, Events, the end of the log."""
        objects = self.kubectl("get", "chost,arepo,bpol,brun,rr", "--output", "wide", check=False)
        events = self.kubectl("get", "events", "--sort-by=.metadata.creationTimestamp", check=False)
        log = "\n".join(self.operator.log_file.read_text().splitlines()[-30:])
        return f"{objects}\n{events}\n{log}"

    def project(self, file: Path, name: str = "") -> ComposeProject:
        """Return a Compose project that ends with the scene. It is not up yet."""
        project = ComposeProject(self.engine, name or self.namespace, file)
        self.projects.append(project)
        return project

    def example(self, path: str) -> list[Document]:
        """Return the objects of an example, on the engine and in the directory of the scene instead of its own."""
        documents = [document for document in yaml.safe_load_all((EXAMPLES / path).read_text()) if document]
        return [self._adapted(document) for document in documents if document["kind"] != "Namespace"]

    def markers(self) -> list[str]:
        """Return the volumes that remember the repositories of the scene."""
        return markers(self.engine, f"path:{self.directory}/")

    def close(self) -> None:
        """Remove the namespace, then the projects: runs are cancelled before their volumes go."""
        self.cluster.delete_namespace(self.namespace)
        for project in self.projects:
            project.remove()

    def _moved(self, document: Mapping[str, Any]) -> Document:
        return {**document, "metadata": {**document["metadata"], "namespace": self.namespace}}

    def _adapted(self, document: Document) -> Document:
        spec = document.get("spec", {})
        match document["kind"]:
            case "ComposeHost":
                return {**document, "spec": spec | local_host(self.engine, [self.directory])}
            case "ArchiveRepository" if "hostPath" in spec["storage"]:
                path = str(self.directory / Path(spec["storage"]["hostPath"]["path"]).name)
                return {**document, "spec": {**spec, "storage": {"hostPath": {"path": path}}}}
            case "BackupPolicy" if spec.get("selector", {}).get("projects"):
                return {**document, "spec": {**spec, "selector": {**spec["selector"], "projects": [self.namespace]}}}
        return document


def markers(engine: Engine, *beginnings: str) -> list[str]:
    """Return the volumes that remember repositories at such places: they outlive everything else on purpose."""
    key = f"{ANNOTATIONS}/repository-location"
    shown = f'{{{{.Name}}}} {{{{.Label "{key}"}}}}'
    listed = engine.docker("volume", "ls", "--filter", f"label={key}", "--format", shown).splitlines()
    pairs = (line.split(maxsplit=1) for line in listed)
    return [name for name, place in pairs if place.startswith(beginnings)]


def local_host(engine: Engine, host_paths: Iterable[Path]) -> Document:
    """Return the spec of a ComposeHost on a local engine."""
    return {
        "endpoint": engine.docker_host,
        "agent": {"dockerSocket": engine.docker_host.removeprefix("unix://"), "imagePullPolicy": "Never"},
        "permit": {"hostPaths": [str(path) for path in host_paths]},
    }


def condition(document: Mapping[str, Any], type_: str) -> Document:
    """Return a condition of an object, empty when there is none."""
    conditions: list[Document] = document.get("status", {}).get("conditions", [])
    return next((found for found in conditions if found["type"] == type_), {})
