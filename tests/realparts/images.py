"""Images without a registry: a small one for test services, base images, and the project's own.

What cannot be pulled is made from Debian packages under the same name and labelled as a stand-in.
Called by the command line and the fixtures of tests/conftest.py.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from realparts import cache
from realparts.base_images import PYTHON, STAND_IN, ensure_base_images, pulled
from realparts.debian import unpack_from_suite
from realparts.engine import Engine
from realparts.steps import run, step

BUSYBOX = "busybox:1.37"
SMALL_IMAGE = "compose-backup-busybox:test"
CONTENT_KEY = "compose-backup.content-key"
# What a machine may need to reach its package registries: passed on with the value that it has here.
PASSED_ON = (
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_TRUSTED_HOST",
)


@dataclass(frozen=True)
class Images:
    """The names of the project's two images."""

    operator: str = "compose-backup-operator:dev"
    agent: str = "compose-backup-agent:dev"


def small_image(engine: Engine) -> str:
    """Return the name of an image of 2 MB with a shell and the usual small programs, made once."""
    if not image_id(engine, SMALL_IMAGE):
        with step(f"make the image {SMALL_IMAGE}"):
            tree = unpack_from_suite("trixie", ["busybox-static"], cache.root() / "debian")
            tar = _busybox_tar(next(tree.rglob("bin/busybox")))
            engine.docker("import", "--change", 'CMD ["sh"]', "--change", STAND_IN, "-", SMALL_IMAGE, stdin=tar)
    return SMALL_IMAGE


def busybox_image(engine: Engine) -> str:
    """Return the public name of busybox that examples use: pulled where a registry is reached, else the small image."""
    if not image_id(engine, BUSYBOX) and not pulled(engine, BUSYBOX):
        engine.docker("tag", small_image(engine), BUSYBOX)
    return BUSYBOX


def image_id(engine: Engine, image: str) -> str:
    """Return the image's id, empty when the engine does not have it."""
    return engine.docker("image", "inspect", "--format", "{{.Id}}", image, check=False)


def copy(image: str, origin: Engine, target: Engine) -> None:
    """Copy an image to another engine unless it has the very same."""
    if image_id(origin, image) == image_id(target, image):
        return
    title = f"copy the image {image} to {target.docker_host}"
    with step(title), tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / "image.tar"
        origin.docker("save", "--output", archive, image)
        target.docker("load", "--input", archive)


def remove_ours(engine: Engine) -> None:
    """Take from an engine the project's images and the stand-ins, which another machine would have pulled."""
    labels = (CONTENT_KEY, "compose-backup.stand-in")
    listed = [engine.docker("images", "--quiet", "--filter", f"label={label}").split() for label in labels]
    for image in dict.fromkeys(image for ours in listed for image in ours):
        engine.docker("image", "rm", "--force", image, check=False)


def build_images(engine: Engine, repo: Path) -> Images:
    """Build the operator's and the agent's image, unless those present were made of the same."""
    images = Images()
    ensure_base_images(engine, [PYTHON])
    key = _content_key(repo, image_id(engine, PYTHON))
    for target, image in (("operator", images.operator), ("agent", images.agent)):
        label = f'{{{{index .Config.Labels "{CONTENT_KEY}"}}}}'
        if engine.docker("image", "inspect", "--format", label, image, check=False) != key:
            _build(engine, repo, target, image, key)
    return images


def _build(engine: Engine, repo: Path, target: str, image: str, key: str) -> None:
    previous = image_id(engine, image)
    options = [word for name in PASSED_ON if name in os.environ for word in ("--build-arg", name)]
    if _resolver_is_local():
        options += ["--network", "host"]
    with step(f"build the image {image}"):
        engine.docker("build", "--target", target, "--tag", image, "--label", f"{CONTENT_KEY}={key}", *options, repo)
    if previous:
        # A container may still use it: then it stays until the next time.
        engine.docker("image", "rm", previous, check=False)


def _content_key(repo: Path, base: str) -> str:
    """Hash everything that an image is made of."""
    digest = hashlib.sha256(base.encode())
    for file in _sources(repo):
        digest.update(f"{file.relative_to(repo)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _sources(repo: Path) -> Iterator[Path]:
    yield from (repo / name for name in ("Dockerfile", ".dockerignore", "pyproject.toml"))
    for file in sorted((repo / "operator").rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            yield file


def _resolver_is_local() -> bool:
    """Say whether names are resolved on the loopback address only, which a container does not share."""
    lines = Path("/etc/resolv.conf").read_text().splitlines()
    servers = [line.split()[1] for line in lines if line.startswith("nameserver ")]
    return bool(servers) and all(server.startswith(("127.", "::1")) for server in servers)


def _busybox_tar(busybox: Path) -> bytes:
    """Return a root file system: busybox, one link for each of its programs, and two users."""
    applets = run("list applets", [busybox, "--list"], remedy="the package is damaged").decode().split()
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for directory, mode in {"bin": 0o755, "etc": 0o755, "root": 0o700, "tmp": 0o1777}.items():
            _add(tar, directory, mode=mode, type=tarfile.DIRTYPE)
        _add(tar, "bin/busybox", busybox.read_bytes(), mode=0o755)
        _add(tar, "etc/passwd", b"root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/tmp:/bin/sh\n")
        _add(tar, "etc/group", b"root:x:0:\nnogroup:x:65534:\n")
        for applet in set(applets) - {"busybox"}:
            _add(tar, f"bin/{applet}", type=tarfile.SYMTYPE, linkname="busybox")
    return content.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes = b"", **attributes: object) -> None:
    """Add an entry that belongs to root and is the same on every machine."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    for attribute, value in attributes.items():
        setattr(entry, attribute, value)
    tar.addfile(entry, io.BytesIO(content))
