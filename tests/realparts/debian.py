"""Debian packages: installed on the machine, or unpacked from another suite without installing anything.

Programs of newer suites (Compose v2, restic, buildx) run on Debian 12 as they are: they need only its libc.
Called by engine.py, images.py and ways_in.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from realparts import cache
from realparts.processes import exclusively
from realparts.steps import StepFailed, run, step

ARCHIVE_KEY = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
NETWORK_REMEDY = "check that `apt-get update` works on this machine (network, proxy, /etc/apt)"
INSTALL_REMEDY = f"run the command by hand as root; {NETWORK_REMEDY}"


def install(*packages: str) -> None:
    """Install the packages that are missing; nothing happens when all are there."""
    missing = [package for package in packages if not _is_installed(package)]
    if not missing:
        return
    title = f"install {', '.join(missing)}"
    with step(title), exclusively(cache.root() / "apt.lock"):
        _update_if_unknown(missing)
        command = ["apt-get", "install", "-y", "-q", "--no-install-recommends"]
        patient = ["-o", "DPkg::Lock::Timeout=300"]  # another apt may be at work
        run(title, [*command, *patient, *missing], remedy=INSTALL_REMEDY, env=_quiet())


def mirror() -> str:
    """Return the Debian mirror that this machine is configured for."""
    address = _configured_mirror()
    if not address:
        _update()
        address = _configured_mirror()
    if not address:
        raise StepFailed("find the Debian mirror", "apt knows none", "add Debian to /etc/apt/sources.list")
    return address


def unpack_from_suite(suite: str, packages: Sequence[str], cache_directory: Path) -> Path:
    """Return a tree that holds the packages' files, downloaded from the suite once, then kept."""
    title = f"unpack {', '.join(packages)} from Debian {suite}"

    def fill(tree: Path) -> None:
        with step(title), tempfile.TemporaryDirectory() as scratch:
            _download_and_unpack(title, suite, packages, Path(scratch), tree)

    return cache.filled(cache_directory / f"{suite}-{'-'.join(packages)}", fill)


def _download_and_unpack(title: str, suite: str, packages: Sequence[str], scratch: Path, tree: Path) -> None:
    """Fill the tree by an apt of its own in the scratch directory, which knows only the suite."""
    env = _quiet() | {"APT_CONFIG": str(_isolated_apt(suite, scratch))}
    run(title, ["apt-get", "update", "-q"], remedy=NETWORK_REMEDY, env=env)
    run(title, ["apt-get", "download", "-q", *packages], remedy=NETWORK_REMEDY, env=env, cwd=scratch)
    for package in sorted(scratch.glob("*.deb")):
        run(title, ["dpkg", "-x", package, tree], remedy="look for free disk space")


def _isolated_apt(suite: str, scratch: Path) -> Path:
    """Write the configuration of an apt that shares the machine's proxy and authorities, not its state."""
    for directory in ("lists/partial", "cache/archives/partial"):
        (scratch / directory).mkdir(parents=True)
    sources = scratch / "sources.list"
    sources.write_text(f"deb [signed-by={ARCHIVE_KEY}] {mirror()} {suite} main\n")
    settings = {
        "Dir::State::lists": scratch / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": scratch / "cache",
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "-",
        "Acquire::Check-Valid-Until": "false",  # a mirror may be a dated copy
        "APT::Sandbox::User": "root",  # the scratch directory is not open to the user _apt
    }
    config = scratch / "apt.conf"
    config.write_text("".join(f'{name} "{value}";\n' for name, value in settings.items()))
    return config


def _is_installed(package: str) -> bool:
    """Say whether dpkg has the package, configured."""
    if shutil.which("dpkg-query") is None:
        raise StepFailed(f"install {package}", "this machine is not a Debian", "use Debian 12")
    query = ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}", package]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout.startswith("ii")


def _update_if_unknown(packages: Sequence[str]) -> None:
    """Fetch the package lists when apt has no candidate, as on a machine where it was never updated."""
    known = subprocess.run(["apt-cache", "show", *packages], capture_output=True, check=False)
    if known.returncode != 0 or not _configured_mirror():
        _update()


def _update() -> None:
    run("apt-get update", ["apt-get", "update", "-q"], remedy=NETWORK_REMEDY, env=_quiet())


def _configured_mirror() -> str:
    """Return the address that apt's downloaded lists name, empty before the first `apt-get update`."""
    query = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(LABEL)", "Created-By: Packages"]
    lines = run("find the Debian mirror", query, remedy="use Debian 12").decode().splitlines()
    return next((line.split()[0] for line in lines if line.endswith(" Debian")), "")


def _quiet() -> dict[str, str]:
    return os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
