"""Finds kube-apiserver, kube-controller-manager, etcd and kubectl: given, cached, published, or built.

Called by control_plane.py and existing_cluster.py.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from realparts import cache, go_build
from realparts.release import Release, ReleaseUnavailable, architecture
from realparts.steps import StepFailed, say

ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"
REQUIRED = ("kube-apiserver", "etcd", "kubectl")
OPTIONAL = ("kube-controller-manager",)
OLDEST_ETCD = (3, 5)


@dataclass(frozen=True)
class Binaries:
    """The programs of a control plane."""

    kube_apiserver: Path
    etcd: Path
    kubectl: Path
    kube_controller_manager: Path | None
    """None where KUBEBUILDER_ASSETS holds none, as envtest's assets do: namespaces are then never emptied."""


def find() -> Binaries:
    """Return the four programs from the first source that has them; building them is the last."""
    given = _overrides(os.environ)
    if not all(name in given for name in REQUIRED):
        given = {**_programs_in(_directory()), **given}
    missing = [name for name in REQUIRED if name not in given]
    if missing:
        raise _incomplete(missing)
    controllers = given.get("kube-controller-manager")
    return Binaries(given["kube-apiserver"], given["etcd"], given["kubectl"], controllers)


def find_kubectl() -> Path:
    """Return kubectl alone, for a cluster that runs already: the machine's own one before building."""
    directory = _assets() or _cached()
    found = {**_programs_in(directory), **_overrides(os.environ)} if directory else _overrides(os.environ)
    on_path = shutil.which("kubectl")
    return found.get("kubectl") or (Path(on_path) if on_path else find().kubectl)


def _overrides(environment: Mapping[str, str]) -> dict[str, Path]:
    """Read envtest's TEST_ASSET_KUBE_APISERVER and its like, each naming one program."""
    variables = {name: f"TEST_ASSET_{name.upper().replace('-', '_')}" for name in (*REQUIRED, *OPTIONAL)}
    return {name: Path(environment[key]) for name, key in variables.items() if environment.get(key)}


def _programs_in(directory: Path) -> dict[str, Path]:
    paths = {name: directory / name for name in (*REQUIRED, *OPTIONAL)}
    return {name: path for name, path in paths.items() if path.exists()}


def _directory() -> Path:
    return _assets() or _cached() or _published() or go_build.build()


def _assets() -> Path | None:
    directory = os.environ.get(ASSETS_VARIABLE)
    return Path(directory) if directory else None


def _cached() -> Path | None:
    go = go_build.find_go()
    places = [_release_place(), *([go_build.place(go)] if go else [])]
    return next((place for place in reversed(places) if place.exists()), None)


def _published() -> Path | None:
    release = Release.of(go_build.module().kubernetes)
    if not release.is_reachable():
        say(f"{release.url} is not reachable: the control plane is built instead")
        return None
    try:
        return cache.filled(_release_place(), lambda directory: _complete(release, directory))
    except ReleaseUnavailable as reason:
        say(f"{reason}: the control plane is built instead")
        return None


def _release_place() -> Path:
    return cache.root() / "control-plane" / f"release-{go_build.module().kubernetes}-{architecture()}"


def _complete(release: Release, directory: Path) -> None:
    # etcd is not published there. Built alone it takes a tenth of the time of the whole.
    release.download(directory)
    on_path = shutil.which("etcd")
    if on_path and etcd_version(Path(on_path)) >= OLDEST_ETCD:
        shutil.copy2(on_path, directory / "etcd")
    else:
        go_build.build_etcd(directory / "etcd")


def etcd_version(program: Path) -> tuple[int, int]:
    """Return major and minor version of an etcd; (0, 0) when it does not say. Kubernetes 1.36 needs 3.5."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"etcd Version: (\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _incomplete(missing: list[str]) -> StepFailed:
    directory = os.environ.get(ASSETS_VARIABLE)
    return StepFailed(
        "find the control plane's programs",
        f"{', '.join(missing)} not in {ASSETS_VARIABLE}={directory}",
        f"put them there, name them with TEST_ASSET_…, or unset {ASSETS_VARIABLE} to have them built",
    )
