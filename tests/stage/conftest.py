"""Volumes on real file systems. Run by pytest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from compose_backup.agent.stage.filling import Means
from realparts.file_systems import FileSystems, open_file_systems
from stage.room import Room, opened_room

KINDS = (("xfs", Means.CLONE), ("btrfs", Means.CLONE), ("ext4", Means.COPY))


@pytest.fixture(scope="session")
def file_systems(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileSystems]:
    """The file systems of this session."""
    with open_file_systems(tmp_path_factory.mktemp("file-systems")) as opened:
        yield opened


@pytest.fixture(params=KINDS, ids=[kind for kind, _ in KINDS])
def room(request: pytest.FixtureRequest, file_systems: FileSystems, tmp_path: Path) -> Iterator[Room]:
    """A volume and room for its stage on each of the file systems, with the means that it has."""
    kind, means = request.param
    with opened_room(file_systems.mounted(kind), means, tmp_path) as opened:
        yield opened


@pytest.fixture
def xfs_room(file_systems: FileSystems, tmp_path: Path) -> Iterator[Room]:
    """The same on XFS alone."""
    with opened_room(file_systems.mounted("xfs"), Means.CLONE, tmp_path) as opened:
        yield opened


@pytest.fixture
def btrfs_room(file_systems: FileSystems, tmp_path: Path) -> Iterator[Room]:
    """The same on btrfs alone."""
    with opened_room(file_systems.mounted("btrfs"), Means.CLONE, tmp_path) as opened:
        yield opened


@pytest.fixture
def ext4_room(file_systems: FileSystems, tmp_path: Path) -> Iterator[Room]:
    """The same on ext4 alone."""
    with opened_room(file_systems.mounted("ext4"), Means.COPY, tmp_path) as opened:
        yield opened


@pytest.fixture
def coarse_room(file_systems: FileSystems, tmp_path: Path) -> Iterator[Room]:
    """The same on a file system that keeps times in whole seconds."""
    with opened_room(file_systems.mounted("ext4-coarse"), Means.COPY, tmp_path) as opened:
        yield opened
