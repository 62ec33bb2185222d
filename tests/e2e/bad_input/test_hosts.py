"""Hosts that cannot be reached or must not be: what their condition says, and that it heals when the cause is gone.

Run by pytest.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest

from e2e.bad_input.ward import Ward, assert_says, row, secret
from e2e.scene import Document
from realparts.certificates import Authority
from realparts.processes import free_port
from realparts.ways_in import SshWay


@dataclass(frozen=True)
class Ports:
    """Three servers that are no engine, each in its own way."""

    tls: int
    """Shows a certificate of our authority."""
    silent: int
    """Takes connections and says nothing."""
    refusing: int
    """Nobody listens."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority of the certificate that the TLS server shows."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def ports(authority: Authority) -> Iterator[Ports]:
    """The servers, until the module ends."""
    pair = authority.server("server", ["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with socket.create_server(("127.0.0.1", 0)) as tls, socket.create_server(("127.0.0.1", 0)) as silent:
        threading.Thread(target=greet, args=(tls, context), daemon=True).start()
        yield Ports(tls.getsockname()[1], silent.getsockname()[1], free_port())
        tls.shutdown(socket.SHUT_RDWR)


def greet(server: socket.socket, context: ssl.SSLContext) -> None:
    """Do the handshake with everybody who comes, until the server is closed."""
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            with suppress(OSError), context.wrap_socket(connection, server_side=True):
                pass


@pytest.fixture(scope="module")
def gallery(ward: Ward, ports: Ports, authority: Authority, ssh_way: SshWay, foreign: Authority) -> Ward:
    """All bad hosts, applied at once."""
    client = foreign.client("client", "/CN=operator")
    tls = {"tls.crt": client.certificate.read_text(), "tls.key": client.key.read_text()}
    key = ssh_way.private_key.read_text()
    ward.scene.apply(
        secret("foreign-ca", **tls, **{"ca.crt": foreign.certificate.read_text()}),
        secret("right-ca", **tls, **{"ca.crt": authority.certificate.read_text()}),
        secret("no-certificate", **{"ca.crt": "MIIB nonsense", "tls.crt": "MIIB nonsense", "tls.key": "nonsense"}),
        secret("strange-keys", user="me", password="mine"),
        secret("changed-key", **{"ssh-privatekey": key, "known_hosts": ssh_way.wrong_known_hosts}),
        secret("unknown-key", **{"ssh-privatekey": key, "known_hosts": "elsewhere ssh-ed25519 AAAA\n"}),
        secret(
            "stranger", **{"ssh-privatekey": ssh_way.other_private_key.read_text(), "known_hosts": ssh_way.known_hosts}
        ),
        secret("garbled", **{"ssh-privatekey": "not a key", "known_hosts": ssh_way.known_hosts}),
        *(by_ssh(ward, ssh_way, name) for name in ("changed-key", "unknown-key", "stranger", "garbled")),
        by_tls(ward, "no-secret", ports.tls, "nobody"),
        by_tls(ward, "strange-keys", ports.tls, "strange-keys"),
        by_tls(ward, "foreign-ca", ports.tls, "foreign-ca"),
        by_tls(ward, "no-certificate", ports.tls, "no-certificate"),
        by_tls(ward, "refusing", ports.refusing, "right-ca"),
        by_tls(ward, "silent", ports.silent, "right-ca"),
        ward.host("unresolved", endpoint="tcp://nowhere.invalid:2376", credentialsSecretRef={"name": "right-ca"}),
        ward.host("no-socket", endpoint="unix:///run/no/docker.sock"),
    )
    return ward


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that the TLS server knows nothing of."""
    return Authority(tmp_path_factory.mktemp("foreign"))


def by_ssh(ward: Ward, way: SshWay, name: str) -> Document:
    """Return a host behind the sshd, with the Secret of its name."""
    endpoint = f"ssh://{way.user}@{way.host}:{way.port}{ward.scene.engine.docker_host.removeprefix('unix://')}"
    return ward.host(name, endpoint=endpoint, credentialsSecretRef={"name": name})


def by_tls(ward: Ward, name: str, port: int, credentials: str) -> Document:
    """Return a host behind a port of this machine."""
    return ward.host(name, endpoint=f"tcp://127.0.0.1:{port}", credentialsSecretRef={"name": credentials})


SAID = [
    row("a Secret that does not exist", "no-secret", "SecretNotFound", ["/nobody does not exist", "create it"]),
    row("a Secret with other keys", "strange-keys", "SecretKeyMissing", ["/strange-keys", "no key tls.crt", "add it"]),
    row("an authority that did not sign", "foreign-ca", "CertificateRefused", ["foreign-ca", "ca.crt", "authority"]),
    row("a certificate that is none", "no-certificate", "CertificateRefused", ["no PEM certificate", "replace"]),
    row("a host key that is unknown", "unknown-key", "HostKeyUnknown", ["no key of this host", "ssh-keyscan"]),
    row("a host key that has changed", "changed-key", "HostKeyUnknown", ["another host key", "find out why"]),
    row("a login key that is not accepted", "stranger", "AuthenticationFailed", ["authorized_keys", "does not accept"]),
    row("a login key that is none", "garbled", "AuthenticationFailed", ["cannot be read", "private key"]),
    row("a port where nobody listens", "refusing", "Unreachable", ["connection refused", "is dockerd running"]),
    row("a host that never answers", "silent", "Unreachable", ["does not answer in time", "docker ps"]),
    row("a name that nobody knows", "unresolved", "Unreachable", ["nowhere.invalid", "cannot be resolved", "DNS"]),
    row("a socket that is not there", "no-socket", "Unreachable", ["/run/no/docker.sock", "no such socket"]),
]


@pytest.mark.parametrize(("name", "reason", "words"), SAID)
def test_a_host_says_why_it_is_not_ready(gallery: Ward, name: str, reason: str, words: list[str]) -> None:
    found = gallery.scene.wait_condition("composehost", name, "Ready", status="False", reason=reason)
    assert_says(found, reason, *words)


def test_a_host_heals_when_its_secret_is_corrected(gallery: Ward, ssh_way: SshWay) -> None:
    gallery.scene.wait_condition("composehost", "changed-key", "Ready", status="False")
    right = {"ssh-privatekey": ssh_way.private_key.read_text(), "known_hosts": ssh_way.known_hosts}
    gallery.scene.apply(secret("changed-key", **right))
    gallery.scene.wait_ready("composehost", "changed-key")


def test_the_neighbour_still_runs(gallery: Ward) -> None:
    gallery.assert_neighbour_runs("after bad hosts")
