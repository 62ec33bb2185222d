"""Objects of our kinds as the API server has them, read over one kept connection: tests look several times a second.

Called by scene.py. A new kubectl for each look costs more processor time than everything else that a test does.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from kubernetes import client, config

from compose_backup.api.base import GROUP, VERSION
from compose_backup.api.kinds import KINDS

Document = dict[str, Any]
PLURALS = {name: kind.plural for kind in KINDS for name in (kind.name.lower(), kind.plural, kind.short_name)}


def read(kubeconfig: Path, namespace: str, kind: str, name: str) -> Document:
    """Return one object; `kind` is any name that kubectl takes."""
    found: Any = _api(kubeconfig).get_namespaced_custom_object(GROUP, VERSION, namespace, PLURALS[kind], name)
    document: Document = found
    return document


def read_all(kubeconfig: Path, namespace: str, kind: str) -> list[Document]:
    """Return all objects of a kind in a namespace, in no order."""
    found: Any = _api(kubeconfig).list_namespaced_custom_object(GROUP, VERSION, namespace, PLURALS[kind])
    items: list[Document] = found["items"]
    return items


@cache
def _api(kubeconfig: Path) -> client.CustomObjectsApi:
    return client.CustomObjectsApi(config.new_client_from_config(str(kubeconfig)))  # type: ignore[no-untyped-call]
