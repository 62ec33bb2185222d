"""A Kubernetes API server in memory, as far as the port Cluster shows one.

tests/contracts/test_cluster.py holds it to the real one. Used by the tests of reconcile/.
"""

from __future__ import annotations

import copy
import datetime as dt
import itertools
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from compose_backup.api.base import API_VERSION, GROUP
from compose_backup.api.kinds import KINDS, Kind
from compose_backup.gateways.cluster import Refused
from compose_backup.gateways.rights import USED_VERBS, Right
from compose_backup.planning.facts import Secret
from compose_backup.reconcile.ports import Body, Notice

NEVER_SEEN = {"observedGeneration": -1}
Place = tuple[str, str]


def _now() -> dt.datetime:
    return dt.datetime(2026, 10, 13, 2, 0, tzinfo=dt.UTC)


@dataclass
class FakeCluster:
    """Objects by kind, namespace and name. The methods above the line are what people do, those below are the port."""

    clock: Callable[[], dt.datetime] = _now
    """Gives objects their creation time."""
    failure: Exception | None = None
    """While set, every call of the port raises it: the API server is down, or a right is missing."""
    notices: list[Notice] = field(default_factory=list)
    """The Events that were written."""
    status_writes: list[Body] = field(default_factory=list)
    """The objects as they were after each write of a status that changed them."""

    def __post_init__(self) -> None:
        self._objects: dict[str, dict[Place, dict[str, Any]]] = {kind.name: {} for kind in KINDS}
        self._secrets: dict[Place, Secret] = {}
        self._versions = itertools.count(1)
        self._installation = str(uuid.uuid4())

    def apply(self, kind: Kind, body: Body) -> Body:
        """Create an object or change its spec and annotations, as `kubectl apply` does; a status in it is ignored."""
        place = _place(body)
        known = self._objects[kind.name].get(place)
        if known is None:
            return self._add(kind, body)
        wanted = copy.deepcopy(dict(body))
        if wanted["spec"] != known["spec"]:
            known["spec"] = wanted["spec"]
            known["metadata"]["generation"] += 1
        for key in ("annotations", "labels"):
            if key in wanted["metadata"]:
                known["metadata"][key] = wanted["metadata"][key]
        return self._touched(known)

    def remove(self, kind: Kind, namespace: str, name: str) -> None:
        """Delete an object, as `kubectl delete` does."""
        del self._objects[kind.name][(namespace, name)]

    def put_secret(self, namespace: str, name: str, data: Mapping[str, bytes]) -> None:
        """Create a Secret, or replace its content."""
        self._secrets[(namespace, name)] = Secret(version=str(next(self._versions)), data=dict(data))

    def remove_secret(self, namespace: str, name: str) -> None:
        """Delete a Secret."""
        del self._secrets[(namespace, name)]

    # ------------------------------------------------------------------------------------------------------------------

    async def list(self, kind: Kind) -> list[Body]:
        self._check(Right(GROUP, kind.plural, "list"))
        return [copy.deepcopy(body) for _, body in sorted(self._objects[kind.name].items())]

    async def get(self, kind: Kind, namespace: str, name: str) -> Body | None:
        self._check(Right(GROUP, kind.plural, "get"))
        return copy.deepcopy(self._objects[kind.name].get((namespace, name)))

    async def create(self, kind: Kind, body: Body) -> Body | None:
        self._check(Right(GROUP, kind.plural, "create"))
        return None if _place(body) in self._objects[kind.name] else self._add(kind, body)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        self._check(Right(GROUP, kind.plural, "delete"))
        known = self._objects[kind.name].get((namespace, name))
        if known is not None and known["metadata"]["uid"] == uid:
            self.remove(kind, namespace, name)

    async def write_status(self, kind: Kind, body: Body, status: Mapping[str, Any]) -> Body | None:
        self._check(Right(GROUP, f"{kind.plural}/status", "patch"))
        known = self._objects[kind.name].get(_place(body))
        if known is None or known["metadata"]["uid"] != body["metadata"]["uid"]:
            return None
        if _leaves_its_end(known["status"], status):
            raise Refused("a finished object never leaves its phase")
        if status == known["status"]:
            return copy.deepcopy(known)
        known["status"] = copy.deepcopy(dict(status))
        self.status_writes.append(self._touched(known))
        return copy.deepcopy(known)

    async def secret(self, namespace: str, name: str) -> Secret | None:
        self._check(Right("", "secrets", "get"))
        return self._secrets.get((namespace, name))

    async def emit(self, notice: Notice) -> None:
        # The real one logs a failure and forgets it.
        if self.failure is None:
            self.notices.append(notice)

    async def installation(self) -> str:
        self._check(Right("", "namespaces", "get"))
        return self._installation

    def _check(self, right: Right) -> None:
        if right not in USED_VERBS:
            raise LookupError(f"{right} is not among the operator's rights (gateways/rights.py)")
        if self.failure is not None:
            raise self.failure

    def _add(self, kind: Kind, body: Body) -> Body:
        made = copy.deepcopy({**body, "apiVersion": API_VERSION, "kind": kind.name, "status": NEVER_SEEN})
        created = self.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
        made["metadata"] |= {"uid": str(uuid.uuid4()), "generation": 1, "creationTimestamp": created}
        self._objects[kind.name][_place(body)] = made
        return self._touched(made)

    def _touched(self, body: dict[str, Any]) -> Body:
        """Give the object a new version, and return what a caller may keep."""
        body["metadata"]["resourceVersion"] = str(next(self._versions))
        return copy.deepcopy(body)


def _leaves_its_end(before: Body, after: Body) -> bool:
    """Say what the rule TERMINAL_IS_FINAL of api/backup_run.py says."""
    finished = before.get("completionTime")
    return finished is not None and any(before.get(key) != after.get(key) for key in ("completionTime", "phase"))


def _place(body: Body) -> Place:
    return body["metadata"]["namespace"], body["metadata"]["name"]
