"""The Kubernetes API as a person uses it, without kubectl's start-up time in between: create, get, delete, wait.

Made by stage.py, used by every script.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests
import yaml

from compose_backup.api.base import API_VERSION
from compose_backup.api.kinds import Kind

Body = Mapping[str, Any]
Wanted = Callable[[dict[str, Any]], bool]

CONNECTIONS = 8
REQUEST_SECONDS = 30
PATIENCE = 300.0


class Api:
    """One API server, with the rights of a kubeconfig."""

    def __init__(self, kubeconfig: Path, scratch: Path) -> None:
        """`scratch` takes certificates as files, which is how the TLS library wants them."""
        document = yaml.safe_load(kubeconfig.read_text())
        address, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        self._server = address["server"]
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = _file(scratch / "ca.crt", address["certificate-authority-data"])
        if "token" in user:
            self._session.headers["Authorization"] = f"Bearer {user['token']}"
        else:
            certificate = _file(scratch / "user.crt", user["client-certificate-data"])
            self._session.cert = (certificate, _file(scratch / "user.key", user["client-key-data"]))

    def create(self, kind: Kind, body: Body) -> dict[str, Any]:
        """Create an object of ours."""
        document = {"apiVersion": API_VERSION, "kind": kind.name, **body}
        return self._ask("POST", _path(kind, body["metadata"]["namespace"]), document)

    def create_all(self, kind: Kind, bodies: Sequence[Body]) -> None:
        """Create many objects, several at a time."""
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(lambda body: self.create(kind, body), bodies))

    def create_core(self, kind: str, body: Body) -> None:
        """Create a Namespace or a Secret."""
        namespace = body["metadata"].get("namespace")
        within = f"/namespaces/{namespace}" if namespace else ""
        self._ask("POST", f"/api/v1{within}/{kind.lower()}s", {"apiVersion": "v1", "kind": kind, **body})

    def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        """Return an object of ours."""
        return self._ask("GET", _path(kind, namespace, name))

    def all(self, kind: Kind) -> list[dict[str, Any]]:
        """Return all objects of a kind."""
        found: list[dict[str, Any]] = self._ask("GET", f"/apis/{API_VERSION}/{kind.plural}")["items"]
        return found

    def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """Delete an object of ours."""
        self._ask("DELETE", _path(kind, namespace, name))

    def wait(self, kind: Kind, namespace: str, name: str, wanted: Wanted, seconds: float = PATIENCE) -> dict[str, Any]:
        """Return the object as soon as it is as wanted, told by a watch. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            body = self.get(kind, namespace, name)
            if wanted(body):
                return body
            for changed in self._changes(kind, namespace, body):
                if wanted(changed):
                    return changed
        raise TimeoutError(f"{kind.name} {name} is not as wanted after {seconds:g} s: {json.dumps(body.get('status'))}")

    def _changes(self, kind: Kind, namespace: str, since: Body) -> Iterator[dict[str, Any]]:
        """Yield an object after each change, for some seconds."""
        query = {
            "watch": "1",
            "fieldSelector": f"metadata.name={since['metadata']['name']}",
            "resourceVersion": since["metadata"]["resourceVersion"],
            "timeoutSeconds": "10",
        }
        address = f"{self._server}{_path(kind, namespace)}"
        with self._session.get(address, params=query, stream=True, timeout=REQUEST_SECONDS) as answer:
            # Byte by byte, or a line would wait for the one after it.
            for line in answer.iter_lines(chunk_size=1):
                event = json.loads(line)
                if event["type"] in ("ADDED", "MODIFIED"):
                    yield event["object"]

    def _ask(self, method: str, path: str, body: Body | None = None) -> dict[str, Any]:
        answer = self._session.request(method, f"{self._server}{path}", json=body, timeout=REQUEST_SECONDS)
        if not answer.ok:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        found: dict[str, Any] = answer.json()
        return found


def is_ready(body: Body) -> bool:
    """Say whether the condition Ready is True for the object as it is now."""
    return any(
        one["type"] == "Ready"
        and one["status"] == "True"
        and one["observedGeneration"] == body["metadata"]["generation"]
        for one in body.get("status", {}).get("conditions", ())
    )


def has_ended(body: Body) -> bool:
    """Say whether a run or a restore has reached its end, whatever that is."""
    return "completionTime" in body.get("status", {})


def _path(kind: Kind, namespace: str, name: str | None = None) -> str:
    return f"/apis/{API_VERSION}/namespaces/{namespace}/{kind.plural}" + (f"/{name}" if name else "")


def _file(path: Path, content: str) -> str:
    path.touch(mode=0o600)
    path.write_bytes(base64.b64decode(content))
    return str(path)
