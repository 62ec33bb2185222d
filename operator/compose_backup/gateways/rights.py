"""Every right on the Kubernetes API that the operator uses, in one table.

gateways/cluster.py asks for nothing else, and a test compares the table with the roles in manifests/base.
"""

from __future__ import annotations

from dataclasses import dataclass

from compose_backup.api.base import GROUP
from compose_backup.api.kinds import BACKUP_RUN, KINDS


@dataclass(frozen=True)
class Right:
    """One verb on one resource, in the words of RBAC. A subresource follows its resource after a slash."""

    group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}.{self.group}" if self.group else f"{self.verb} {self.resource}"


# Secrets are never listed or watched: a leak of the operator's token then tells nobody which Secrets there are.
GET_SECRET = Right("", "secrets", "get")
# Held in the operator's own namespace only.
GET_OWN_NAMESPACE = Right("", "namespaces", "get")
CREATE_EVENT = Right("events.k8s.io", "events", "create")

USED_VERBS = frozenset(
    {
        *(Right(GROUP, kind.plural, verb) for kind in KINDS for verb in ("get", "list")),
        *(Right(GROUP, f"{kind.plural}/status", "patch") for kind in KINDS),
        Right(GROUP, BACKUP_RUN.plural, "create"),  # one for each slot of a policy
        Right(GROUP, BACKUP_RUN.plural, "delete"),  # history beyond what the policy keeps
        GET_SECRET,
        GET_OWN_NAMESPACE,
        CREATE_EVENT,
    }
)
# kopf lists before it watches. With handlers of events alone it never patches an object.
KOPF_VERBS = frozenset(Right(GROUP, kind.plural, verb) for kind in KINDS for verb in ("list", "watch"))
