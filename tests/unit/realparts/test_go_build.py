"""The build of the control plane: which Go, what is kept, and when it is made anew.

Run by pytest.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from realparts import cache, go_build
from realparts.fake_programs import fake_go
from realparts.steps import StepFailed


def test_the_module_says_which_versions() -> None:
    module = go_build.module()
    assert module.kubernetes.startswith("1.")
    assert module.go >= (1, 26)


def test_a_go_that_is_too_old_or_no_go_is_passed_over(tmp_path: Path) -> None:
    old = fake_go(tmp_path / "old", "go1.19.8")
    new = fake_go(tmp_path / "new", "go1.99.1")
    assert go_build.first_usable([tmp_path / "missing", old]) is None
    assert go_build.first_usable([old, new]) == go_build.Go(new, "go1.99.1 linux/amd64")


@pytest.mark.parametrize(
    "changed",
    [
        ([b"go.mod", b"go.sum", b"main.go changed"], "flags", "go1.26.8 linux/amd64"),
        ([b"go.mod", b"go.summain.go", b""], "flags", "go1.26.8 linux/amd64"),
        ([b"go.mod", b"go.sum", b"main.go"], "other flags", "go1.26.8 linux/amd64"),
        ([b"go.mod", b"go.sum", b"main.go"], "flags", "go1.26.9 linux/amd64"),
        ([b"go.mod", b"go.sum", b"main.go"], "flags", "go1.26.8 linux/arm64"),
    ],
)
def test_the_cache_key_changes_with_every_input(changed: tuple[list[bytes], str, str]) -> None:
    same = go_build.cache_key([b"go.mod", b"go.sum", b"main.go"], "flags", "go1.26.8 linux/amd64")
    assert go_build.cache_key(*changed) != same


def test_it_is_built_once_under_four_names(bare_machine: Path) -> None:
    fake_go(bare_machine / "go", "go1.99.0")
    directory = go_build.build()
    assert go_build.build() == directory
    for name in go_build.NAMES:
        assert (directory / name).read_text() == "built\n"


def test_a_failed_build_leaves_nothing_and_says_what_to_do(bare_machine: Path) -> None:
    fake_go(bare_machine / "go", "go1.99.0", builds=False)
    with pytest.raises(StepFailed, match=r"no network(.|\n)*What to do: .*KUBEBUILDER_ASSETS"):
        go_build.build()
    assert [path.suffix for path in (cache.root() / "control-plane").iterdir()] == [".lock"]
