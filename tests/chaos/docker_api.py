"""The Docker Engine as an outsider asks it: plain HTTP over its socket, shared with nobody.

Called by watch.py, moments.py, faults.py and invariants.py.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

Document = dict[str, Any]
LABEL = "backup.dockerwarts.io"
SECONDS = 20.0


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, seconds: float | None) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class DockerApi:
    """One engine. What it does not answer raises OSError; what it does not have is None."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, path: str) -> Any:
        """Return the decoded answer, None for 404."""
        connection = _Connection(self._path, SECONDS)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
                raise OSError(f"GET {path}: {answer.status} {body.decode(errors='replace')}")
            return json.loads(body) if answer.status == http.HTTPStatus.OK else None
        except (http.client.HTTPException, ValueError) as broken:
            raise OSError(f"GET {path}: {broken!r}") from broken
        finally:
            connection.close()

    def answers(self) -> bool:
        """Say whether the engine is there."""
        try:
            return self.get("/info") is not None
        except OSError:
            return False

    def container(self, name: str) -> Document | None:
        """Return what `inspect` says about a container, None when it is gone."""
        found: Document | None = self.get(f"/containers/{quote(name)}/json")
        return found

    def containers(self, *labels: str) -> list[Document]:
        """Return all containers that carry all of these labels, running or not."""
        found: list[Document] = self.get(f"/containers/json?all=1&filters={_filters(labels)}") or []
        return found

    def volumes(self, *labels: str) -> list[Document]:
        """Return all volumes that carry all of these labels."""
        found: Document = self.get(f"/volumes?filters={_filters(labels)}") or {}
        return found.get("Volumes") or []

    def events(self, since: str) -> Iterator[Document]:
        """Yield events from a moment on (seconds, as the engine counts them), until the engine goes away."""
        connection = _Connection(self._path, None)
        filters = quote(json.dumps({"type": ["container", "volume"]}))
        try:
            connection.request("GET", f"/events?since={since}&filters={filters}")
            for line in connection.getresponse():
                yield json.loads(line)
        except (http.client.HTTPException, OSError, ValueError):
            return
        finally:
            connection.close()


def _filters(labels: tuple[str, ...]) -> str:
    return quote(json.dumps({"label": list(labels)} if labels else {}))
