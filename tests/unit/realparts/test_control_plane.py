"""The control plane's processes when something is wrong, and the cluster that exists already.

The programs are fakes; the real ones are used by every end-to-end test. Run by pytest.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from realparts import processes
from realparts.control_plane import API_SERVER, ETCD, ControlPlane, open_cluster
from realparts.existing_cluster import ExistingCluster
from realparts.fake_programs import fake_program
from realparts.steps import StepFailed

CONFIG = '{"clusters": [{"cluster": {"server": "https://203.0.113.1:6443"}}]}'


def broken_programs(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give an API server that ends at once beside an etcd that runs."""
    fake_program(directory / ETCD, "exec tail -f /dev/null")
    fake_program(directory / API_SERVER, "echo the disk is full; exit 1")
    fake_program(directory / "kubectl")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(directory))


def test_a_program_that_ends_is_named_with_its_log_and_nothing_is_left_running(
    bare_machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_programs(bare_machine, monkeypatch)
    with pytest.raises(StepFailed, match=r"start kube-apiserver failed: (.|\n)*the disk is full\n.*What to do"):
        ControlPlane.start(tmp_path / "state")
    assert (tmp_path / "state" / "etcd.log").exists()
    assert processes.pid_of(ETCD, tmp_path / "state") is None


def test_programs_are_got_before_anything_is_timed(
    bare_machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_program(bare_machine / ETCD)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(bare_machine))
    with pytest.raises(StepFailed, match="kube-apiserver"):
        ControlPlane.start(tmp_path / "state")
    assert not (tmp_path / "state" / "ports.json").exists()


def test_stopping_what_never_ran_is_no_error(tmp_path: Path) -> None:
    ControlPlane(tmp_path).stop()


def test_kubeconfig_alone_never_means_that_its_cluster_may_be_used(
    bare_machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_programs(bare_machine, monkeypatch)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "production"))
    with pytest.raises(StepFailed, match="start kube-apiserver"):
        open_cluster(tmp_path / "state")


def test_an_existing_cluster_is_used_and_not_harmed(
    bare_machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_program(bare_machine / "kubectl", f"echo '{CONFIG}'")
    monkeypatch.setenv("USE_EXISTING_CLUSTER", "true")
    cluster = open_cluster(tmp_path / "state")
    assert isinstance(cluster, ExistingCluster)
    assert cluster.server == "https://203.0.113.1:6443"
    assert cluster.kubeconfig.stat().st_mode & 0o077 == 0
    for harm in (cluster.kill_api_server, cluster.start_api_server):
        with pytest.raises(StepFailed, match="not ours to harm"):
            harm()
