"""Every way in from kopf, and nothing else: settings, start, the five kinds, health, end. The only importer of kopf.

kopf gives login, watches and life cycle; what an event means is decided in reconcile/. Loaded by
`kopf run --module compose_backup.handlers`.
"""

from __future__ import annotations

import datetime as dt
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kopf

from compose_backup import settings
from compose_backup.api import kinds
from compose_backup.api.base import GROUP, VERSION
from compose_backup.api.compose_host import DEFAULT_AGENT_IMAGE
from compose_backup.errors import Stalled
from compose_backup.gateways.cluster import connect
from compose_backup.gateways.engine_pool import EnginePool
from compose_backup.gateways.heap import share_heap
from compose_backup.observability.logs import configure_logging
from compose_backup.reconcile.manager import Manager
from compose_backup.reconcile.world import World


class InfiniteBackoff:
    """Pauses between tries of kopf's requests, without an end: the operator lives through an outage of the API server.

    An object with `__iter__`, not a generator: kopf iterates over it anew for each request.
    """

    def __iter__(self) -> Iterator[float]:
        """Yield one second, then twice as much each time, up to a minute, a fifth more or less."""
        pause = 1.0
        while True:
            yield pause * random.uniform(0.8, 1.2)
            pause = min(pause * 2, 60.0)


@kopf.on.startup()
async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    """Make kopf quiet and steady: no finalizers, no annotations, no events, no peering, no end of patience."""
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.watching.chunk_size = 100  # see gateways/cluster.py, CHUNK_SIZE
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    settings.networking.error_backoffs = InfiniteBackoff()
    settings.queueing.idle_timeout = 0.5
    settings.queueing.worker_limit = 200
    configure_logging()
    share_heap()


@kopf.on.startup(backoff=5)
async def start(memo: kopf.Memo, **_: Any) -> None:
    """Build the operator and begin to work. Wrong settings end it; an API server that is away does not."""
    try:
        wanted = settings.read(os.environ, DEFAULT_AGENT_IMAGE)
    except Stalled as error:
        raise kopf.PermanentError(error.message) from error
    cluster = await connect(wanted.namespace)
    world = World(
        cluster=cluster,
        hosts=EnginePool(scratch=Path(os.environ.get("TMPDIR", "/tmp"))),
        settings=wanted,
        installation=await cluster.installation(),
        clock=lambda: dt.datetime.now(dt.UTC),
    )
    memo.manager = Manager(world)
    await memo.manager.start()


@kopf.on.cleanup()
async def stop(memo: kopf.Memo, **_: Any) -> None:
    """Stop working; agents on hosts go on by themselves."""
    if "manager" in memo:
        await memo.manager.stop()


@kopf.on.event(GROUP, VERSION, kinds.COMPOSE_HOST.plural)
async def compose_host(type: str | None, body: kopf.Body, memo: kopf.Memo, **_: Any) -> None:
    """Take in a ComposeHost."""
    memo.manager.observe(kinds.COMPOSE_HOST, type, dict(body))


@kopf.on.event(GROUP, VERSION, kinds.ARCHIVE_REPOSITORY.plural)
async def archive_repository(type: str | None, body: kopf.Body, memo: kopf.Memo, **_: Any) -> None:
    """Take in an ArchiveRepository."""
    memo.manager.observe(kinds.ARCHIVE_REPOSITORY, type, dict(body))


@kopf.on.event(GROUP, VERSION, kinds.BACKUP_POLICY.plural)
async def backup_policy(type: str | None, body: kopf.Body, memo: kopf.Memo, **_: Any) -> None:
    """Take in a BackupPolicy."""
    memo.manager.observe(kinds.BACKUP_POLICY, type, dict(body))


@kopf.on.event(GROUP, VERSION, kinds.BACKUP_RUN.plural)
async def backup_run(type: str | None, body: kopf.Body, memo: kopf.Memo, **_: Any) -> None:
    """Take in a BackupRun."""
    memo.manager.observe(kinds.BACKUP_RUN, type, dict(body))


@kopf.on.event(GROUP, VERSION, kinds.RESTORE_REQUEST.plural)
async def restore_request(type: str | None, body: kopf.Body, memo: kopf.Memo, **_: Any) -> None:
    """Take in a RestoreRequest."""
    memo.manager.observe(kinds.RESTORE_REQUEST, type, dict(body))


@kopf.on.probe(id="work", errors=kopf.ErrorsMode.PERMANENT)
async def work_goes_on(memo: kopf.Memo, **_: Any) -> str:
    """Fail the health check when a task has ended or no full list has come in for long."""
    if complaint := memo.manager.complaint():
        raise kopf.PermanentError(complaint)
    return "ready" if memo.manager.ready else "listing"
