"""The cluster's objects as an outsider reads them: by their public names, over one kept connection.

Called by moments.py, faults.py, campaign.py and invariants.py. It knows nothing of the product's types.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kubernetes import client, config

Document = dict[str, Any]
GROUP, VERSION = "backup.dockerwarts.io", "v1alpha1"
GONE = 404


class ClusterApi:
    """The objects of one namespace."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self._namespace = namespace
        self._api = client.CustomObjectsApi(
            config.new_client_from_config(str(kubeconfig))  # type: ignore[no-untyped-call]
        )

    def get(self, plural: str, name: str) -> Document | None:
        """Return an object, None when it is gone."""
        try:
            found: Any = self._api.get_namespaced_custom_object(GROUP, VERSION, self._namespace, plural, name)
        except client.ApiException as error:
            if error.status == GONE:
                return None
            raise
        return dict(found)

    def all(self, plural: str) -> list[Document]:
        """Return all objects of a kind."""
        found: Any = self._api.list_namespaced_custom_object(GROUP, VERSION, self._namespace, plural)
        return list(found["items"])

    def create(self, plural: str, document: Document) -> Document:
        """Make an object and return it with its UID."""
        made: Any = self._api.create_namespaced_custom_object(GROUP, VERSION, self._namespace, plural, document)
        return dict(made)

    def annotate(self, plural: str, name: str, key: str, value: str) -> None:
        """Set an annotation of ours."""
        patch = {"metadata": {"annotations": {f"{GROUP}/{key}": value}}}
        self._api.patch_namespaced_custom_object(GROUP, VERSION, self._namespace, plural, name, patch)

    def delete(self, plural: str, name: str) -> None:
        """Delete an object, at once; that it is gone already is no error."""
        try:
            self._api.delete_namespaced_custom_object(GROUP, VERSION, self._namespace, plural, name)
        except client.ApiException as error:
            if error.status != GONE:
                raise


def phase(document: Document | None) -> str:
    """Return the phase of a run or restore, empty before it has one."""
    return str((document or {}).get("status", {}).get("phase", ""))


def is_finished(document: Document | None) -> bool:
    """Say whether a run or restore has ended, whatever its end."""
    return "completionTime" in (document or {}).get("status", {})


def condition(document: Document | None, type_: str) -> Document:
    """Return a condition, empty where there is none."""
    conditions = (document or {}).get("status", {}).get("conditions", [])
    return next((one for one in conditions if one["type"] == type_), {})
