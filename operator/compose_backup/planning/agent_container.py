"""The agent container for each purpose: mounts, capabilities and limits, each right with the reason why it is needed.

Called by reconcile/run_attempt.py, restore_start.py, journals.py, archive_repository.py and catalog.py.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from compose_backup.api.archive_repository import Storage
from compose_backup.api.compose_host import AgentSettings
from compose_backup.api.job import DOCKER_SOCKET, LIVE_ROOT, PARENT_ROOT, REPOSITORY_ROOT
from compose_backup.api.journal import JOURNAL_ROOT
from compose_backup.planning.facts import AgentContainer, AgentMount
from compose_backup.planning.repository import directory

# What each purpose may do beyond an ordinary process of user 0, all other capabilities being dropped. Measured by
# leaving out one at a time: without it, the loss is as said. No purpose has SYS_ADMIN, so `trusted.*` attributes are
# left out.
BACKUP_CAPABILITIES = (
    "DAC_READ_SEARCH",  # reads files and directories of other users; without it: unreadable, exit 3
    "DAC_OVERRIDE",  # writes to a repository whose directory belongs to another user
)
RESTORE_CAPABILITIES = (
    "CHOWN",  # gives files back to their owners
    "DAC_OVERRIDE",  # writes into directories of other users
    "FOWNER",  # sets mode and times of files of other users
    "FSETID",  # keeps setgid on directories; without it the bit is lost without an error
    "MKNOD",  # makes device nodes
    "SETFCAP",  # gives file capabilities back
)
REPOSITORY_CAPABILITIES = ("DAC_OVERRIDE",)  # opens and creates a repository in a directory of another user
STAGING_CAPABILITIES = (
    *BACKUP_CAPABILITIES,
    *(one for one in RESTORE_CAPABILITIES if one not in BACKUP_CAPABILITIES),  # a stage holds what a volume holds
)
CLEANUP_CAPABILITIES: tuple[str, ...] = ()  # the socket and the journal belong to user 0

NO_STAGES: Mapping[str, str] = MappingProxyType({})


def repository_mount(storage: Storage, *, read_only: bool, may_create: bool) -> AgentMount:
    """Return the mount of the repository's place. A missing directory is created only where a repository may be."""
    if storage.volume:
        return AgentMount("volume", storage.volume.name, REPOSITORY_ROOT, read_only)
    kind: Literal["directory", "bind"] = "directory" if may_create else "bind"
    return AgentMount(kind, directory(storage), REPOSITORY_ROOT, read_only)


def parent_mounts(storage: Storage, *, may_create: bool) -> tuple[AgentMount, ...]:
    """Return the directory above a place that may be created: mounting it fails when it is missing.

    The engine would make all directories above, and a mistyped path would look like a new repository.
    """
    if storage.volume or not may_create:
        return ()
    return (AgentMount("bind", posixpath.dirname(directory(storage)), PARENT_ROOT, read_only=True),)


def backup_mounts(
    volumes: Sequence[str],
    repository: AgentMount,
    docker_socket: str,
    journal: str | None = None,
    stages: Mapping[str, str] = NO_STAGES,
) -> tuple[AgentMount, ...]:
    """Return volumes read-only, the repository, the Docker socket, and the journal where anything is to be undone.

    `stages` holds where a stage volume is mounted, by its name.
    """
    return (
        *(AgentMount("volume", name, f"{LIVE_ROOT}/volumes/{name}", read_only=True) for name in volumes),
        *(AgentMount("volume", name, target, read_only=False) for name, target in stages.items()),
        repository,
        *_quiescing_mounts(docker_socket, journal),
    )


def restore_mounts(
    pairs: Sequence[tuple[str, str]], repository: AgentMount, docker_socket: str, journal: str | None = None
) -> tuple[AgentMount, ...]:
    """Return each target volume mounted under the name of its source, since snapshots hold the source's path."""
    return (
        *(AgentMount("volume", target, f"{LIVE_ROOT}/volumes/{source}", read_only=False) for source, target in pairs),
        repository,
        *_quiescing_mounts(docker_socket, journal),
    )


def cleanup_mounts(docker_socket: str, journal: str) -> tuple[AgentMount, ...]:
    """Return what it takes to undo what a journal says: neither volumes of users nor a repository."""
    return _quiescing_mounts(docker_socket, journal)


def _quiescing_mounts(docker_socket: str, journal: str | None) -> tuple[AgentMount, ...]:
    """Return the Docker socket, through which services are seen, stopped and started, and the journal of it."""
    # A socket mounted read-only can be talked through all the same; only its file cannot be replaced.
    socket = AgentMount("bind", docker_socket, DOCKER_SOCKET, read_only=True)
    return (socket, AgentMount("volume", journal, JOURNAL_ROOT, read_only=False)) if journal else (socket,)


def agent_container(
    name: str,
    labels: dict[str, str],
    mounts: tuple[AgentMount, ...],
    capabilities: tuple[str, ...],
    settings: AgentSettings,
    default_image: str,
) -> AgentContainer:
    """Return the container for one job."""
    return AgentContainer(
        name=name,
        # Unique per container: restic tells a live lock from a stale one by host name and process id.
        hostname=name.removeprefix("compose-backup-")[:63],
        image=settings.image or default_image,
        pull_policy=settings.image_pull_policy,
        labels=labels,
        mounts=mounts,
        capabilities=capabilities,
        memory_bytes=memory_bytes(settings.memory),
        cpus=settings.cpus,
        network=settings.network,
    )


def memory_bytes(text: str) -> int:
    """Return `512Mi` or `1Gi` as bytes."""
    return int(text[:-2]) * {"Mi": 2**20, "Gi": 2**30}[text[-2:]]
