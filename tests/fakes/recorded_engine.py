"""An engine on a unix socket that answers as recorded, or not at all: what no machine here can produce on demand.

For the gateway alone, which speaks HTTP with it as with a real one; tests of reconciling use fakes/docker_host.py.
Used by tests/unit/gateways/.
"""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

VERSION = {"Version": "20.10.24", "ApiVersion": "1.41"}
INFO = {"ID": "recorded", "OperatingSystem": "Debian GNU/Linux 12"}


@dataclass(frozen=True)
class Recorded:
    """One answer. `hangs` waits until the engine is closed; `cut` closes the connection instead of answering."""

    status: int = 200
    body: Any = None
    hangs: bool = False
    cut: bool = False


HANGS = Recorded(hangs=True)
CUT = Recorded(cut=True)
ANSWERS = {"GET /version": Recorded(body=VERSION), "GET /info": Recorded(body=INFO), "GET /_ping": Recorded(body="OK")}


@dataclass
class RecordedEngine:
    """Answers by `METHOD /path`, the path without the API version and query."""

    socket: Path
    answers: dict[str, Recorded]
    seen: list[str] = field(default_factory=list)
    asked: threading.Condition = field(default_factory=threading.Condition)
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"unix://{self.socket}"

    def note(self, request: str) -> None:
        """Remember a request."""
        with self.asked:
            self.seen.append(request)
            self.asked.notify_all()

    def wait_for(self, request: str, times: int = 1, seconds: float = 10.0) -> bool:
        """Wait until a request has come so many times. Blocking."""
        with self.asked:
            return self.asked.wait_for(lambda: self.seen.count(request) >= times, seconds)


@contextmanager
def recorded_engine(socket: Path, answers: Mapping[str, Recorded] | None = None) -> Iterator[RecordedEngine]:
    """Run an engine that answers these requests beside the usual ones; a request without an answer is a 404."""
    engine = RecordedEngine(socket, {**ANSWERS, **(answers or {})})

    class Handler(_Handler):
        recorded = engine

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True
        request_queue_size = 64

    with Server(str(socket), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield engine
        finally:
            engine.closing.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    recorded: RecordedEngine

    def address_string(self) -> str:
        return "local"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/v1."):
            path = "/" + path.split("/", 2)[2]
        request = f"{self.command} {path}"
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.recorded.note(request)
        answer = self.recorded.answers.get(request, Recorded(404, {"message": f"no answer recorded to {request}"}))
        if answer.hangs:
            self.recorded.closing.wait()
        if answer.hangs or answer.cut:
            self.close_connection = True
            return
        content = b"" if answer.body is None else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        if answer.status == 101:
            self.send_header("Upgrade", "tcp")
            self.end_headers()
            self.rfile.read()  # the job, until the client closes
            self.close_connection = True
            return
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = _answer
