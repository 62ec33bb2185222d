"""Fingerprints of trees: each thing that a restore may get wrong shows as a difference.

Run by pytest.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from realparts.trees import differences, fingerprint


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with a file of two names, a link and a directory."""
    root = tmp_path / "tree"
    (root / "directory").mkdir(parents=True)
    (root / "file").write_text("content")
    os.link(root / "file", root / "same")
    (root / "link").symlink_to("file")
    return root


def _times_kept(change: Callable[[Path], object]) -> Callable[[Path], None]:
    def changed(path: Path) -> None:
        found = path.lstat()
        change(path)
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))

    return changed


def _made_a_copy(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(_times_kept(lambda path: path.write_text("CONTENT")), id="content"),
        pytest.param(_times_kept(lambda path: path.chmod(0o600)), id="mode"),
        pytest.param(lambda path: os.utime(path, ns=(1, 1)), id="time"),
        pytest.param(_times_kept(_made_a_copy), id="a hard link became a copy"),
        pytest.param(lambda path: path.unlink(), id="gone"),
        pytest.param(lambda path: os.setxattr(path, "user.note", b"x"), id="extended attribute"),
    ],
)
def test_each_change_is_a_difference(tree: Path, change: Callable[[Path], object]) -> None:
    before = fingerprint(tree)
    change(tree / "file")
    changed = {line.split(": ")[0] for line in differences(before, fingerprint(tree))}
    assert changed & {"file", "same"}


def test_a_link_is_its_target_and_a_new_file_is_seen(tree: Path) -> None:
    before = fingerprint(tree)
    (tree / "link").unlink()
    (tree / "link").symlink_to("same")
    (tree / "new").touch()
    changed = [line.split(":")[0] for line in differences(before, fingerprint(tree))]
    assert changed == [".", "link", "new"]


def test_the_same_tree_has_no_differences_and_sockets_do_not_count(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(tree)
    found = tree.stat()
    monkeypatch.chdir(tree)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        os.utime(tree, ns=(found.st_atime_ns, found.st_mtime_ns))
        assert differences(before, fingerprint(tree)) == []
