"""Base images of public names, pulled where a registry is reached, otherwise made from Debian packages.

A made one holds this machine's certificate authorities and the label of a stand-in: it is not for publishing.
Called by images.py and the command line.
"""

from __future__ import annotations

import hashlib
import os
import select
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from realparts import cache
from realparts.debian import install, mirror
from realparts.engine import Engine
from realparts.steps import run, say, step

DEBIAN = "debian:trixie-slim"
PYTHON = "python:3.13-slim"
STAND_IN = "LABEL compose-backup.stand-in=true"
# What the images are configured with. Debian's Python is not upstream's, but answers to the same names.
CHANGES = {
    DEBIAN: ('CMD ["bash"]', STAND_IN),
    PYTHON: (
        'CMD ["python3"]',
        "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8",
        STAND_IN,
    ),
}
PULL_SECONDS = 8.0  # until a registry must have shown that it is there; the pull itself may take longer
RECIPE = "2"  # raise it when the recipe below changes: kept archives of another recipe are not used
AUTHORITIES = Path("/usr/local/share/ca-certificates")
REMEDY = "check that the Debian mirror is reached, and that this runs as root with 2 GB of free disk space"


def ensure_base_images(engine: Engine, images: Sequence[str] = (DEBIAN, PYTHON)) -> None:
    """Give the engine the base images that it does not have yet."""
    for image in images:
        if not engine.docker("image", "inspect", "--format", "{{.Id}}", image, check=False):
            with step(f"get the image {image}"):
                _get(engine, image)


def _get(engine: Engine, image: str) -> None:
    if pulled(engine, image):
        return
    say(f"{image} cannot be pulled: a stand-in is made from Debian packages")
    archive = _archives() / f"{image.replace(':', '-')}.tar"
    changes = [word for change in CHANGES[image] for word in ("--change", change)]
    engine.docker("import", *changes, archive, image)


def pulled(engine: Engine, image: str) -> bool:
    """Pull an image and say whether that went well, giving up when the registry says nothing within a few seconds."""
    command: list[str | Path] = [engine.docker_path, "pull", image]
    env = os.environ | engine.client_environment
    output, reported = os.pipe()
    with (
        os.fdopen(output, "rb") as progress,
        subprocess.Popen(command, stdout=reported, stderr=reported, env=env) as pull,
    ):
        os.close(reported)
        if not select.select([progress], [], [], PULL_SECONDS)[0]:
            pull.kill()
        progress.read()
    return pull.returncode == 0


def _archives() -> Path:
    """Return the directory with the root file systems of both images, kept for every clone and engine."""
    return cache.filled(cache.root() / "base-images" / _key(), _make_archives)


def _key() -> str:
    """Name the content: another recipe or other authorities make other images."""
    digest = hashlib.sha256(f"{RECIPE} {os.uname().machine}".encode())
    for authority in sorted(AUTHORITIES.glob("*.crt")):
        digest.update(authority.read_bytes())
    return digest.hexdigest()[:16]


def _make_archives(directory: Path) -> None:
    """Write one archive for each base image: the second is the first with Python added."""
    install("debootstrap")
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        root = Path(scratch) / "root"
        with step("install Debian trixie into a directory"):
            _install_debian(root)
            _pack(root, directory / f"{DEBIAN.replace(':', '-')}.tar")
        with step("install Python into it"):
            _install_python(root)
            _pack(root, directory / f"{PYTHON.replace(':', '-')}.tar")


def _install_debian(root: Path) -> None:
    include = "--include=ca-certificates"
    debootstrap: list[str | Path] = ["debootstrap", "--variant=minbase", include, "trixie", root, mirror()]
    run("install Debian trixie", debootstrap, remedy=REMEDY)
    # A mirror may be a dated copy, in the image as on this machine.
    (root / "etc/apt/apt.conf.d/90stand-in").write_text('Acquire::Check-Valid-Until "false";\n')
    for authority in AUTHORITIES.glob("*.crt"):
        shutil.copy(authority, root / AUTHORITIES.relative_to("/"))
    _inside(root, "update-ca-certificates")


def _install_python(root: Path) -> None:
    _inside(root, "apt-get update -q")
    _inside(root, "apt-get install -y -q --no-install-recommends python3 python3-pip python3-venv")
    for name, program in {"python": "python3", "python3": "python3", "pip": "pip3", "pip3": "pip3"}.items():
        (root / "usr/local/bin" / name).symlink_to(Path("/usr/bin") / program)
    # In an image of Python's own nothing manages it from outside.
    for mark in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        mark.unlink()


def _inside(root: Path, command: str) -> None:
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    run(command, ["chroot", root, *command.split()], remedy=REMEDY, env=env)


def _pack(root: Path, archive: Path) -> None:
    """Write the root file system without what is only downloaded, devices and this machine's resolver."""
    left_out = (
        "./dev/*",
        "./var/cache/apt/*",
        "./var/lib/apt/lists/*",
        "./etc/resolv.conf",
        "./etc/hostname",
    )
    exclude = [f"--exclude={pattern}" for pattern in left_out]
    run(
        f"pack {archive.name}",
        ["tar", "-C", root, "--numeric-owner", *exclude, "-cf", archive, "."],
        remedy=REMEDY,
    )
