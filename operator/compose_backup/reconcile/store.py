"""The objects as last seen, by kind and name. Filled by watch events and by listing again; read by every pass.

kopf does not report an object that was deleted while its watch was broken, so the store is compared with a full list
now and then. Called by manager.py and the passes.
"""

from __future__ import annotations

import datetime as dt
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

Place = tuple[str, str]
"""Namespace and name."""
MOST_BURIED = 10_000


@dataclass
class Store:
    """Raw objects by key; typed on the way out, since most are read seldom."""

    _bodies: dict[str, dict[Place, Body]] = field(default_factory=lambda: {kind.name: {} for kind in KINDS})
    _active: dict[str, dict[Place, Body]] = field(default_factory=lambda: {kind.name: {} for kind in KINDS})
    """Those that are not finished: few among thousands, and asked for all the time."""
    _buried: dict[str, None] = field(default_factory=dict)
    """UIDs that are gone. An answer to an own write may come after the deletion, and must not bring the object back."""

    def put(self, kind: Kind, body: Body) -> bool:
        """Take in an object; return whether it tells something new. Our own writes come back by the watch, late."""
        metadata = body["metadata"]
        place = (metadata["namespace"], metadata["name"])
        known = self._bodies[kind.name].get(place)
        if metadata["uid"] in self._buried or (known is not None and not _is_newer(body, known)):
            return False
        if known is not None and known["metadata"]["uid"] != metadata["uid"]:
            self.bury(known["metadata"]["uid"])
        self._bodies[kind.name][place] = slimmed = slim(body)
        self._active[kind.name].pop(place, None)
        if _is_active(slimmed):
            self._active[kind.name][place] = slimmed
        return True

    def remove(self, key: Key) -> None:
        """Forget an object for good."""
        known = self._bodies[key.kind].pop((key.namespace, key.name), None)
        self._active[key.kind].pop((key.namespace, key.name), None)
        if known is not None:
            self.bury(known["metadata"]["uid"])

    def bury(self, uid: str) -> None:
        """Take in nothing more of the object with this UID, which never comes again."""
        self._buried[uid] = None
        if len(self._buried) > MOST_BURIED:
            del self._buried[next(iter(self._buried))]

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

    def policies_of(
        self, namespace: str, *, host: str | None = None, repository: str | None = None
    ) -> Iterator[Policy]:
        """Iterate over the BackupPolicies that refer to a host or a repository."""
        return self._all(
            BACKUP_POLICY,
            namespace,
            lambda body: _refers(body, "hostRef", host) or _refers(body, "repositoryRef", repository),
        )

    def runs_of(self, namespace: str, policy: str) -> Iterator[Run]:
        """Iterate over the BackupRuns that name a policy."""
        return self._all(BACKUP_RUN, namespace, lambda body: _refers(body, "policyRef", policy))

    def last_end(self, namespace: str, repository_uid: str) -> dt.datetime | None:
        """Return when a BackupRun into a repository last ended, unparsed but for the answer: there may be thousands."""
        ends = (
            body["status"].get("completionTime")
            for (place, _), body in self._bodies[BACKUP_RUN.name].items()
            if place == namespace and _archived_into(body, repository_uid)
        )
        # In one form, UTC in whole seconds, so that they can be compared as they are.
        last = max((end for end in ends if end), default=None)
        return dt.datetime.fromisoformat(last) if last else None

    def active_runs(self, namespace: str | None = None) -> Iterator[Run]:
        """Iterate over the BackupRuns that are not finished, in a namespace or in all."""
        return self._all(BACKUP_RUN, namespace, among=self._active)

    def active_bodies(self, kind: Kind) -> list[Body]:
        """Return the runs or restores that are not finished, unparsed: a thousand may wait."""
        return list(self._active[kind.name].values())

    def active_restores(self, namespace: str | None = None) -> Iterator[Restore]:
        """Iterate over the RestoreRequests that are not finished, in a namespace or in all."""
        return self._all(RESTORE_REQUEST, namespace, among=self._active)

    def _one(self, kind: Kind, namespace: str, name: str) -> Any:
        """Return one typed object. Which type follows from the kind, which the type checker cannot see: hence Any."""
        body = self._bodies[kind.name].get((namespace, name))
        return _parse_or_none(kind, body) if body else None

    def _all(
        self,
        kind: Kind,
        namespace: str | None = None,
        wanted: Callable[[Body], bool] | None = None,
        among: dict[str, dict[Place, Body]] | None = None,
    ) -> Iterator[Any]:
        """Iterate over objects; they are chosen before they are parsed, since parsing thousands takes seconds."""
        for (place, _), body in list((among or self._bodies)[kind.name].items()):
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
    """Compare versions, also of two objects of one name: they count up over all of a kind, times are too coarse."""
    return int(body["metadata"]["resourceVersion"]) > int(known["metadata"]["resourceVersion"])


def _archived_into(body: Body, repository_uid: str) -> bool:
    resolved = body["status"].get("resolved") or {}
    return bool((resolved.get("repository") or {}).get("uid") == repository_uid)


def _refers(body: Body, field_name: str, name: str | None) -> bool:
    return name is not None and body["spec"].get(field_name, {}).get("name") == name


def _is_active(body: Body) -> bool:
    return body["status"].get("phase") not in TERMINAL_PHASES


def _parse_or_none(kind: Kind, body: Body) -> Resource[Any, Any] | None:
    try:
        return parse(kind, body)
    except ValueError:
        return None
