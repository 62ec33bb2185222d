"""The release downloader against a local HTTP server of the same layout as the official one.

Run by pytest.
"""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from realparts.release import NAMES, Release, ReleaseUnavailable, architecture
from realparts.steps import StepFailed


class Handler(SimpleHTTPRequestHandler):
    """Serves a directory; of a file with a `.cut` beside it, announces ten bytes more than it sends."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def send_header(self, keyword: str, value: str) -> None:
        """Lie about the length where the served directory asks for it."""
        if keyword == "Content-Length" and Path(self.translate_path(f"{self.path}.cut")).exists():
            value = str(int(value) + 10)
        super().send_header(keyword, value)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Lay out a release of version 1.2.3 as the Kubernetes project does, and return its folder."""
    folder = tmp_path / "served" / "v1.2.3" / "bin" / "linux" / architecture()
    folder.mkdir(parents=True)
    for name in NAMES:
        (folder / name).write_bytes(f"program {name}".encode())
        (folder / f"{name}.sha256").write_text(hashlib.sha256(f"program {name}".encode()).hexdigest())
    return folder


@pytest.fixture
def release(published: Path, tmp_path: Path) -> Iterator[Release]:
    """Serve that folder, and return the release as a client sees it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path / "served")))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield Release("1.2.3", f"http://127.0.0.1:{server.server_port}/", seconds=2)
    server.shutdown()
    server.server_close()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Return the empty directory to download into."""
    directory = tmp_path / "target"
    directory.mkdir()
    return directory


def test_every_binary_arrives_executable(release: Release, target: Path) -> None:
    assert release.is_reachable()
    release.download(target)
    assert sorted(path.name for path in target.iterdir()) == sorted(NAMES)
    for name in NAMES:
        assert (target / name).read_bytes() == f"program {name}".encode()
        assert (target / name).stat().st_mode & 0o111 == 0o111


def test_a_binary_with_another_checksum_is_refused_and_removed(release: Release, published: Path, target: Path) -> None:
    (published / "kubectl").write_bytes(b"something else")
    with pytest.raises(StepFailed, match=r"kubectl has the SHA-256 .*, published is .*\n.*What to do"):
        release.download(target)
    assert not list(target.glob("kubectl*"))


def test_a_connection_that_breaks_is_no_wrong_checksum(release: Release, published: Path, target: Path) -> None:
    (published / "kubectl.cut").touch()
    with pytest.raises(ReleaseUnavailable, match="ended after 15 of 25 bytes"):
        release.download(target)
    assert not list(target.glob("kubectl*"))


def test_a_version_that_is_not_published_is_unavailable(release: Release, target: Path) -> None:
    other = Release("9.9.9", release.url)
    assert not other.is_reachable()
    with pytest.raises(ReleaseUnavailable, match=r"v9\.9\.9.*404"):
        other.download(target)


def test_a_login_page_is_no_release(release: Release, published: Path) -> None:
    for name in NAMES:
        (published / f"{name}.sha256").write_text("<html>Please log in</html>")
    assert not release.is_reachable()


def test_a_silent_server_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert not Release("1.2.3", address, seconds=0.2).is_reachable()
        assert time.monotonic() - started < 1


def test_the_place_can_be_overridden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_RELEASES_URL", "http://example.invalid/mirror")
    assert Release.of("1.2.3").url == "http://example.invalid/mirror"
    monkeypatch.delenv("KUBERNETES_RELEASES_URL")
    assert Release.of("1.2.3").url == "https://dl.k8s.io/release"
