"""Certificates as strict clients take them: a TLS connection in which each side proves who it is.

Run by pytest.
"""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest

from realparts.certificates import Authority, Pair


def shake_hands(authority: Authority, server: Pair, client: Pair, host: str) -> str:
    """Connect the two over a socket pair and return the client's name as the server sees it."""
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.certificate)
    serving.verify_mode = ssl.CERT_REQUIRED
    asking = ssl.create_default_context(cafile=authority.certificate)
    for context, pair in ((serving, server), (asking, client)):
        # Python 3.13 does so by itself.
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.load_cert_chain(pair.certificate, pair.key)
    near, far = socket.socketpair()
    names: list[str] = []

    def serve() -> None:
        with serving.wrap_socket(far, server_side=True) as connection:
            names.append(str(connection.getpeercert()))
            connection.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    with near, asking.wrap_socket(near, server_hostname=host) as connection:
        connection.send(b".")
    thread.join()
    return names[0]


def test_both_sides_are_known_by_their_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = authority.server("server", ["127.0.0.1", "localhost"])
    client = authority.client("admin", "/O=system:masters/CN=admin")
    for host in ("127.0.0.1", "localhost"):
        assert "system:masters" in shake_hands(authority, server, client, host)


def test_what_exists_is_kept_and_keys_are_private(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    first = authority.client("admin", "/CN=admin")
    content = first.certificate.read_bytes()
    assert Authority(tmp_path).client("admin", "/CN=admin") == first
    assert first.certificate.read_bytes() == content
    assert {path.stat().st_mode & 0o077 for path in tmp_path.glob("*.key")} == {0}


def test_a_server_of_another_authority_is_refused(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    context = ssl.create_default_context(cafile=authority.certificate)
    bio, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(bio, out, server_hostname="localhost")
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    pair = other.server("server", ["localhost"])
    server_context.load_cert_chain(pair.certificate, pair.key)
    server = server_context.wrap_bio(out, bio, server_side=True)
    for side in (client, server):
        with pytest.raises(ssl.SSLWantReadError):
            side.do_handshake()
    with pytest.raises(ssl.SSLCertVerificationError):
        client.do_handshake()
