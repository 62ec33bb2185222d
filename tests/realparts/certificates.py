"""Certificates and keys for servers on this machine, made with openssl: an authority and what it signs.

What exists is kept. Called by control_plane.py and ways_in.py.
"""

from __future__ import annotations

import ipaddress
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from realparts.debian import install
from realparts.steps import run

VALID_DAYS = "3650"
REMEDY = "install openssl 3 (Debian: apt-get install openssl) and see that the directory can be written"


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, both PEM files; the key is readable by its owner only."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """A certificate authority of our own in a directory, as `ca.crt` and `ca.key`."""

    directory: Path

    @property
    def pair(self) -> Pair:
        """The authority's own certificate and key; made on first use."""
        extensions = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
        return _made(self.directory, "ca", "/CN=compose-backup-operator tests", extensions, ())

    @property
    def certificate(self) -> Path:
        """The certificate by which clients and servers know what this authority signed."""
        return self.pair.certificate

    def server(self, name: str, hosts: Sequence[str]) -> Pair:
        """Return the certificate `<name>.crt` of a server that is reached by these names and addresses."""
        extensions = ("extendedKeyUsage=serverAuth", f"subjectAltName={_names(hosts)}")
        return self._signed(name, f"/CN={hosts[0]}", extensions)

    def client(self, name: str, subject: str) -> Pair:
        """Return the certificate `<name>.crt` of a client, for example with subject `/O=group/CN=user`."""
        return self._signed(name, subject, ("extendedKeyUsage=clientAuth",))

    def _signed(self, name: str, subject: str, extensions: tuple[str, ...]) -> Pair:
        common = ("basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature")
        # Python 3.13 verifies strictly: a certificate must name the key of its authority.
        named = "authorityKeyIdentifier=keyid"
        issuer = ("-CA", self.pair.certificate, "-CAkey", self.pair.key)
        return _made(self.directory, name, subject, (*common, named, *extensions), issuer)


def rsa_key(path: Path) -> Path:
    """Return a private RSA key of 2048 bits in PEM format; made on first use."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        generate = ("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
        _openssl(f"make the key {path.name}", *generate, "-out", path)
    return path


def _made(directory: Path, name: str, subject: str, extensions: Sequence[str], issuer: Sequence[str | Path]) -> Pair:
    pair = Pair(directory / f"{name}.crt", directory / f"{name}.key")
    if not pair.certificate.exists():
        directory.mkdir(parents=True, exist_ok=True)
        all_extensions = ("subjectKeyIdentifier=hash", *extensions)
        added = [word for extension in all_extensions for word in ("-addext", extension)]
        # The machine's own configuration would make every certificate one of an authority.
        request = ("req", "-x509", "-config", "/dev/null", "-subj", subject, "-days", VALID_DAYS, "-nodes")
        new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", pair.key)
        title = f"make the certificate {name}"
        _openssl(title, *request, *new_key, *issuer, *added, "-out", pair.certificate)
    return pair


def _names(hosts: Sequence[str]) -> str:
    return ",".join(f"{'IP' if _is_address(host) else 'DNS'}:{host}" for host in hosts)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _openssl(title: str, *arguments: str | Path) -> None:
    if shutil.which("openssl") is None:
        install("openssl")
    run(title, ("openssl", *arguments), remedy=REMEDY)
