"""Fetches the Kubernetes project's published binaries, each checked against its published SHA-256.

Called by binaries.py.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import threading
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from realparts.steps import StepFailed, step

URL_VARIABLE = "KUBERNETES_RELEASES_URL"
DEFAULT_URL = "https://dl.k8s.io/release"
NAMES = ("kube-apiserver", "kube-controller-manager", "kubectl")
"""etcd is not among them: it is another project's."""
PATIENCE_SECONDS = 5.0
CHUNK_BYTES = 1 << 20


class ReleaseUnavailable(Exception):
    """The place of published releases does not answer, or not with what is looked for."""


@dataclass(frozen=True)
class Release:
    """The binaries of one Kubernetes version for this machine, at one place."""

    version: str
    """Without `v`, for example `1.36.3`."""
    url: str
    seconds: float = PATIENCE_SECONDS
    """How long the server may stay silent before it counts as unreachable."""

    @classmethod
    def of(cls, version: str) -> Release:
        """Return the release at the place that KUBERNETES_RELEASES_URL names, by default the official one."""
        return cls(version, os.environ.get(URL_VARIABLE) or DEFAULT_URL)

    def is_reachable(self) -> bool:
        """Ask for the smallest of the files, with name resolution bounded too."""
        answers: list[str] = []

        def ask() -> None:
            with suppress(ReleaseUnavailable):
                answers.append(self._checksum(NAMES[0]))

        # urllib's time limit does not cover the name resolver, which may wait for half a minute.
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(self.seconds)
        return bool(answers)

    def download(self, directory: Path) -> None:
        """Fetch every binary into the directory. A failed or wrong one leaves no file under its name."""
        with step(f"download Kubernetes {self.version} from {self.url}"):
            for name in NAMES:
                self._fetch(name, directory / name)

    def _fetch(self, name: str, target: Path) -> None:
        expected = self._checksum(name)
        unfinished = target.with_name(f"{name}.unfinished")
        try:
            actual = self._save(name, unfinished)
            if actual != expected:
                raise _wrong_checksum(self._url_of(name), expected, actual)
            unfinished.chmod(0o755)
            unfinished.rename(target)
        finally:
            unfinished.unlink(missing_ok=True)

    def _save(self, name: str, path: Path) -> str:
        url = self._url_of(name)
        digest = hashlib.sha256()
        try:
            with urllib.request.urlopen(url, timeout=self.seconds) as answer, path.open("wb") as file:
                while chunk := answer.read(CHUNK_BYTES):
                    digest.update(chunk)
                    file.write(chunk)
                announced = int(answer.headers.get("Content-Length") or file.tell())
                if file.tell() < announced:
                    raise ReleaseUnavailable(f"{url}: ended after {file.tell()} of {announced} bytes")
        except (OSError, HTTPException) as error:
            raise ReleaseUnavailable(f"{url}: {error}") from error
        return digest.hexdigest()

    def _checksum(self, name: str) -> str:
        url = f"{self._url_of(name)}.sha256"
        try:
            with urllib.request.urlopen(url, timeout=self.seconds) as answer:
                said: str = answer.read(1000).decode(errors="replace").strip()
        except (OSError, HTTPException) as error:
            raise ReleaseUnavailable(f"{url}: {error}") from error
        # A login page of some network answers every address with success.
        if re.fullmatch("[0-9a-f]{64}", said) is None:
            raise ReleaseUnavailable(f"{url}: not a SHA-256: {said[:80]!r}")
        return said

    def _url_of(self, name: str) -> str:
        return f"{self.url.rstrip('/')}/v{self.version}/bin/linux/{architecture()}/{name}"


def architecture() -> str:
    """Return this machine's architecture as the Kubernetes project spells it."""
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def _wrong_checksum(url: str, expected: str, actual: str) -> StepFailed:
    return StepFailed(
        "check a downloaded binary",
        f"{url} has the SHA-256 {actual}, published is {expected}",
        f"see what stands between this machine and the server, or set {URL_VARIABLE} to another place",
    )
