"""Where the control plane's programs come from, and in which order.

Run by pytest.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from realparts import binaries, go_build
from realparts.fake_programs import fake_go, fake_program
from realparts.release import NAMES, architecture
from realparts.steps import StepFailed

ENVTEST_NAMES = ("kube-apiserver", "etcd", "kubectl")


def assets(directory: Path, *names: str) -> Path:
    """Fill a directory with programs."""
    for name in names:
        fake_program(directory / name)
    return directory


def publish(directory: Path) -> str:
    """Lay out the release that go.mod names, and return its URL."""
    version = go_build.module().kubernetes
    folder = directory / f"v{version}" / "bin" / "linux" / architecture()
    for name in NAMES:
        program = fake_program(folder / name)
        checksum = hashlib.sha256(program.read_bytes()).hexdigest()
        (folder / f"{name}.sha256").write_text(checksum)
    return directory.as_uri()


def cached_build(programs: Path) -> Path:
    """Put a finished build of the module as it stands into the cache."""
    fake_go(programs / "go", "go1.99.0", builds=False)
    go = go_build.find_go()
    assert go is not None
    return assets(go_build.place(go), *go_build.NAMES)


def test_assets_come_before_the_cache(bare_machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached_build(bare_machine)
    given = assets(tmp_path / "assets", *ENVTEST_NAMES)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(given))
    found = binaries.find()
    assert found.kube_apiserver == given / "kube-apiserver"
    assert found.kube_controller_manager is None


def test_one_program_can_be_overridden(bare_machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = assets(tmp_path / "assets", *ENVTEST_NAMES)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(given))
    monkeypatch.setenv("TEST_ASSET_ETCD", "/elsewhere/etcd")
    found = binaries.find()
    assert (found.etcd, found.kubectl) == (Path("/elsewhere/etcd"), given / "kubectl")


def test_incomplete_assets_are_an_error_that_names_what_is_missing(
    bare_machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets(tmp_path / "assets", "kubectl")))
    with pytest.raises(StepFailed, match="kube-apiserver, etcd not in KUBEBUILDER_ASSETS="):
        binaries.find()


def test_the_cache_comes_before_a_published_release(
    bare_machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_RELEASES_URL", publish(tmp_path / "served"))
    cached = cached_build(bare_machine)
    assert binaries.find().kube_controller_manager == cached / "kube-controller-manager"


def test_a_published_release_comes_before_building_and_is_kept(
    bare_machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_go(bare_machine / "go", "go1.99.0", builds=False)
    fake_program(bare_machine / "etcd", "echo etcd Version: 3.5.30")
    monkeypatch.setenv("KUBERNETES_RELEASES_URL", publish(tmp_path / "served"))
    first = binaries.find()
    assert first.kube_controller_manager is not None
    assert first.etcd.read_bytes() == (bare_machine / "etcd").read_bytes()
    monkeypatch.setenv("KUBERNETES_RELEASES_URL", "http://127.0.0.1:1")
    assert binaries.find() == first


def test_a_release_gets_an_etcd_built_where_the_machine_has_too_old_a_one(
    bare_machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_go(bare_machine / "go", "go1.99.0")
    fake_program(bare_machine / "etcd", "echo etcd Version: 3.4.23")
    monkeypatch.setenv("KUBERNETES_RELEASES_URL", publish(tmp_path / "served"))
    assert binaries.find().etcd.read_text() == "built\n"


def test_building_is_the_last_source(bare_machine: Path) -> None:
    fake_go(bare_machine / "go", "go1.99.0")
    found = binaries.find()
    assert found.kube_controller_manager is not None
    assert found.kubectl.read_text() == "built\n"


def test_kubectl_alone_is_the_machines_own_before_building(bare_machine: Path) -> None:
    fake_go(bare_machine / "go", "go1.99.0", builds=False)
    kubectl = fake_program(bare_machine / "kubectl")
    assert binaries.find_kubectl() == kubectl
