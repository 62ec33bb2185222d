"""The objects as last seen, by kind and name. Filled by watch events and by listing again; read by every pass.

kopf does not report an object that was deleted while its watch was broken, so the store is compared with a full list
now and then. Called by manager.py and the passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from compose_backup.api.backup_run import TERMINAL_PHASES
from compose_backup.api.kinds import (
    ARCHIVE_REPOSITORY,
    BACKUP_POLICY,
    BACKUP_RUN,
    COMPOSE_HOST,
    KINDS,
    RESTORE_REQUEST,
    Kind,
)
from compose_backup.api.resources import Host, Policy, Repository, Resource, Restore, Run, parse
from compose_backup.reconcile.ports import Body
from compose_backup.reconcile.queue import Key


@dataclass
class Store:
    """Raw objects by key; typed on the way out, since most are read seldom."""

    _bodies: dict[str, dict[tuple[str, str], Body]] = field(
        default_factory=lambda: {kind.name: {} for kind in KINDS}
    )

    def put(self, kind: Kind, body: Body) -> bool:
        """Take in an object; return whether it tells something new. Our own writes come back through the watch, late."""
        metadata = body["metadata"]
        place = (metadata["namespace"], metadata["name"])
        known = self._bodies[kind.name].get(place)
        if known is not None and not _is_newer(body, known):
            return False
        self._bodies[kind.name][place] = slim(body)
        return True

    def remove(self, key: Key) -> None:
        """Forget an object."""
        self._bodies[key.kind].pop((key.namespace, key.name), None)

    def keys(self, kind: Kind) -> set[Key]:
        """Return the keys of all objects of a kind."""
        return {Key(kind.name, namespace, name) for namespace, name in self._bodies[kind.name]}

    def body(self, key: Key) -> Body | None:
        """Return an object as it was last seen, or None."""
        return self._bodies[key.kind].get((key.namespace, key.name))

    def host(self, namespace: str, name: str) -> Host | None:
        """Return a ComposeHost whose spec is valid, or None."""
        found: Host | None = self._one(COMPOSE_HOST, namespace, name)
        return found

    def repository(self, namespace: str, name: str) -> Repository | None:
        """Return an ArchiveRepository whose spec is valid, or None."""
        found: Repository | None = self._one(ARCHIVE_REPOSITORY, namespace, name)
        return found

    def policy(self, namespace: str, name: str) -> Policy | None:
        """Return a BackupPolicy whose spec is valid, or None."""
        found: Policy | None = self._one(BACKUP_POLICY, namespace, name)
        return found

    def run(self, namespace: str, name: str) -> Run | None:
        """Return a BackupRun whose spec is valid, or None."""
        found: Run | None = self._one(BACKUP_RUN, namespace, name)
        return found

    def hosts(self) -> Iterator[Host]:
        """Iterate over all ComposeHosts."""
        return self._all(COMPOSE_HOST)

    def repositories_on(self, namespace: str, host: str) -> Iterator[Repository]:
        """Iterate over the ArchiveRepositories that lie on a host."""
        return self._all(ARCHIVE_REPOSITORY, namespace, lambda body: _refers(body, "hostRef", host))

    def policies_of(self, namespace: str, *, host: str | None = None, repository: str | None = None) -> Iterator[Policy]:
        """Iterate over the BackupPolicies that refer to a host or a repository."""
        return self._all(
            BACKUP_POLICY,
            namespace,
            lambda body: _refers(body, "hostRef", host) or _refers(body, "repositoryRef", repository),
        )

    def runs_of(self, namespace: str, policy: str) -> Iterator[Run]:
        """Iterate over the BackupRuns that name a policy."""
        return self._all(BACKUP_RUN, namespace, lambda body: _refers(body, "policyRef", policy))

    def finished_runs(self, namespace: str) -> Iterator[Run]:
        """Iterate over the finished BackupRuns of a namespace."""
        return self._all(BACKUP_RUN, namespace, lambda body: not _is_active(body))

    def active_runs(self, namespace: str | None = None) -> Iterator[Run]:
        """Iterate over the BackupRuns that are not finished, in a namespace or in all."""
        return self._all(BACKUP_RUN, namespace, _is_active)

    def active_restores(self, namespace: str | None = None) -> Iterator[Restore]:
        """Iterate over the RestoreRequests that are not finished, in a namespace or in all."""
        return self._all(RESTORE_REQUEST, namespace, _is_active)

    def _one(self, kind: Kind, namespace: str, name: str) -> Any:
        """Return one typed object. Which type follows from the kind, which the type checker cannot see: hence Any."""
        body = self._bodies[kind.name].get((namespace, name))
        return _parse_or_none(kind, body) if body else None

    def _all(
        self, kind: Kind, namespace: str | None = None, wanted: Callable[[Body], bool] | None = None
    ) -> Iterator[Any]:
        """Iterate over objects; they are chosen before they are parsed, since parsing thousands takes seconds."""
        for (place, _), body in list(self._bodies[kind.name].items()):
            if namespace not in (None, place) or (wanted and not wanted(body)):
                continue
            if resource := _parse_or_none(kind, body):
                yield resource


def slim(body: Body) -> Body:
    """Return the object without the parts that are large and never read."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    annotations = metadata.get("annotations") or {}
    metadata["annotations"] = {k: v for k, v in annotations.items() if not k.endswith("last-applied-configuration")}
    return {"metadata": metadata, "spec": body.get("spec") or {}, "status": body.get("status") or {}}


def _is_newer(body: Body, known: Body) -> bool:
    new, old = body["metadata"], known["metadata"]
    if new["uid"] != old["uid"]:
        return bool(new["creationTimestamp"] >= old["creationTimestamp"])
    return int(new["resourceVersion"]) > int(old["resourceVersion"])


def _refers(body: Body, field_name: str, name: str | None) -> bool:
    return name is not None and body["spec"].get(field_name, {}).get("name") == name


def _is_active(body: Body) -> bool:
    return body["status"].get("phase") not in TERMINAL_PHASES


def _parse_or_none(kind: Kind, body: Body) -> Resource[Any, Any] | None:
    try:
        return parse(kind, body)
    except ValueError:
        return None
