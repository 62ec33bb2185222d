"""Stage volumes on a host: made before an agent starts, and removed when it is gone, whatever it was able to do itself.

Called by run_attempt.py, journals.py, deletion.py and sweep.py.
"""

from __future__ import annotations

import logging

from compose_backup.errors import ComposeBackupError
from compose_backup.planning import staging
from compose_backup.planning.labels import Owner
from compose_backup.planning.staging import Ahead
from compose_backup.reconcile.ports import DockerHost

log = logging.getLogger(__name__)


async def make(docker: DockerHost, ahead: Ahead, owner: Owner, installation: str) -> None:
    """Create the stage volumes of an attempt. One that an earlier attempt has left is taken; the agent empties it."""
    for name in staging.stages_of(ahead, owner.uid):
        await docker.create_volume(staging.stage_volume(name, owner, installation))


async def remove(docker: DockerHost, installation: str, uid: str) -> None:
    """Remove the stage volumes that were made for one object."""
    for name, owner in staging.made_stages(await docker.inventory(), installation):
        if owner and owner.uid == uid:
            await remove_one(docker, name)


async def remove_one(docker: DockerHost, name: str) -> None:
    """Remove one; while a container still has it the engine refuses, and the sweep comes again."""
    try:
        await docker.remove_volume(name)
    except ComposeBackupError as error:
        log.warning("%s is removed later: %s", name, error.message)
