"""Repositories that open at once: restic's own but for their key, whose derivation costs next to nothing.

restic makes a key so dear that guessing its password takes half a second a try. Most of the processor time of the
tests would go there, since an agent opens its repository several times. The parameters stand in the key file, and any
will do (restic's design document, "Keys, Encryption and MAC").

Called by fixtures and helpers of tests that are not about how a repository is made.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realparts import cache
from realparts.ground import plain_restic
from realparts.steps import run

COST = {"N": 2, "r": 8, "p": 1}
TEMPLATE_PASSWORD = "of the template"
MEMORY_BYTES = 256 << 20
REMEDY = "install openssl 3, and see that the file system has room"


@dataclass(frozen=True)
class Key:
    """What restic encrypts with (AES-256 in counter mode) and signs with (Poly1305-AES)."""

    encrypt: bytes
    mac_k: bytes
    mac_r: bytes

    @classmethod
    def derived(cls, password: str, document: dict[str, Any]) -> Key:
        """Return the key that a password and the parameters of a key file give."""
        cost = {name: int(document["N" if name == "n" else name]) for name in ("n", "r", "p")}
        salt = base64.b64decode(document["salt"])
        found = hashlib.scrypt(password.encode(), salt=salt, dklen=64, maxmem=MEMORY_BYTES, **cost)
        return cls(found[:32], found[32:48], found[48:])

    def opened(self, sealed: bytes) -> bytes:
        """Return the content of what this key has sealed."""
        nonce, hidden, signature = sealed[:16], sealed[16:-16], sealed[-16:]
        assert signature == self._signature(nonce, hidden), "not the key of this repository"
        return _openssl("aes-256-ctr", self.encrypt, hidden, nonce)

    def sealed(self, content: bytes) -> bytes:
        """Return a content as restic stores it."""
        nonce = secrets.token_bytes(16)
        hidden = _openssl("aes-256-ctr", self.encrypt, content, nonce)
        return nonce + hidden + self._signature(nonce, hidden)

    def _signature(self, nonce: bytes, message: bytes) -> bytes:
        """Return Poly1305-AES (Bernstein, 2005)."""
        factor = int.from_bytes(self.mac_r, "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
        total = 0
        for start in range(0, len(message), 16):
            block = message[start : start + 16] + b"\1"
            total = (total + int.from_bytes(block, "little")) * factor % ((1 << 130) - 5)
        added = int.from_bytes(_openssl("aes-128-ecb", self.mac_k, nonce), "little")
        return ((total + added) % (1 << 128)).to_bytes(16, "little")


def make(directory: Path, password: str) -> None:
    """Put a new, empty repository into a directory. One that exists is left as it is."""
    if directory.exists():
        return
    template = cache.filled(cache.root() / "restic-repository", _fill)
    shutil.copytree(template, directory)
    master = _exchange_key(directory, TEMPLATE_PASSWORD, password)
    config = directory / "config"
    document = json.loads(master.opened(config.read_bytes())) | {"id": secrets.token_hex(32)}
    _replace(config, config, master.sealed(json.dumps(document).encode()))


def quicken(directory: Path, password: str) -> None:
    """Make the one key of a repository a cheap one, of the same password."""
    _exchange_key(directory, password, password)


def _fill(directory: Path) -> None:
    command: list[str | Path] = [plain_restic(), "--repo", directory, "--no-cache", "init", "--quiet"]
    run("make a repository", command, remedy=REMEDY, env=os.environ | {"RESTIC_PASSWORD": TEMPLATE_PASSWORD})
    quicken(directory, TEMPLATE_PASSWORD)


def _exchange_key(directory: Path, before: str, after: str) -> Key:
    """Write the key file anew for a password, and return the key of the repository."""
    (file,) = (directory / "keys").iterdir()
    document = json.loads(file.read_text())
    master = Key.derived(before, document).opened(base64.b64decode(document["data"]))
    document |= COST | {"salt": base64.b64encode(secrets.token_bytes(64)).decode()}
    document["data"] = base64.b64encode(Key.derived(after, document).sealed(master)).decode()
    content = json.dumps(document).encode()
    _replace(file, file.with_name(hashlib.sha256(content).hexdigest()), content)
    parts = json.loads(master)
    return Key(*map(base64.b64decode, (parts["encrypt"], parts["mac"]["k"], parts["mac"]["r"])))


def _replace(before: Path, after: Path, content: bytes) -> None:
    """Write a file as restic does: read-only, and named by its content."""
    before.unlink()
    after.write_bytes(content)
    after.chmod(0o400)


def _openssl(cipher: str, key: bytes, content: bytes, start: bytes = b"") -> bytes:
    vector = ("-iv", start.hex()) if start else ()
    command = ("openssl", "enc", f"-{cipher}", "-nopad", "-K", key.hex(), *vector)
    return subprocess.run(command, input=content, capture_output=True, check=True).stdout
