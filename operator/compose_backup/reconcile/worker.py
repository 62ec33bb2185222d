"""One pass over one key: parse the object, reconcile it by its kind, commit the outcome, plan the next look.

Errors end here and nowhere else: what is expected becomes a condition, what is not is logged with its trace, and the
key is tried again with back-off. Called by manager.py.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import ValidationError

from compose_backup.api import reasons
from compose_backup.api.backup_run import Failure
from compose_backup.api.conditions import QUEUED, READY, RECONCILING, STALLED
from compose_backup.api.kinds import BY_NAME, Kind
from compose_backup.api.resources import Resource, parse, status_of
from compose_backup.errors import ComposeBackupError, Stalled, Unreachable
from compose_backup.planning.conditions import Claim, Standing, claims, ended
from compose_backup.reconcile import archive_repository, backup_policy, backup_run, compose_host, restore_request
from compose_backup.reconcile.commit import commit
from compose_backup.reconcile.outcome import NOTHING, Outcome
from compose_backup.reconcile.ports import Body
from compose_backup.reconcile.queue import Key
from compose_backup.reconcile.world import World

log = logging.getLogger(__name__)

Reconcile = Callable[[World, Any], Awaitable[Outcome]]

RECONCILE: dict[str, Reconcile] = {
    "ComposeHost": compose_host.reconcile,
    "ArchiveRepository": archive_repository.reconcile,
    "BackupPolicy": backup_policy.reconcile,
    "BackupRun": backup_run.reconcile,
    "RestoreRequest": restore_request.reconcile,
}
STALLED_LOOK_SECONDS = 30.0


async def work(world: World) -> None:
    """Take keys from the queue and work them off, one after the other, until cancelled."""
    while True:
        await work_once(world)


async def work_once(world: World) -> None:
    """Take the next key that is due, and give it back when its pass has ended, well or not."""
    key = await world.queue.take()
    try:
        await _pass(world, key)
    except ComposeBackupError as error:
        log.warning("%s %s/%s: %s: %s", key.kind, key.namespace, key.name, error.reason, error.message)
        world.queue.failed(key)
    except Exception:
        log.exception("%s %s/%s: a fault of the operator; the pass is tried again", key.kind, key.namespace, key.name)
        world.queue.failed(key)
    else:
        world.queue.done(key)


async def _pass(world: World, key: Key) -> None:
    body = world.store.body(key)
    if body is None:
        return
    kind = BY_NAME[key.kind]
    parsed = _parsed(kind, body)
    if isinstance(parsed, ValidationError):
        resource, outcome = _invalid(kind, body, parsed, world.now())
    else:
        resource, outcome = parsed, await _reconciled(world, parsed)
    rest = await commit(world, resource, outcome)
    if rest.afterwards:
        await rest.afterwards()
    if rest.look_again_in is not None:
        world.queue.add_later(key, rest.look_again_in)


async def _reconciled(world: World, resource: Resource[Any, Any]) -> Outcome:
    """Reconcile; what goes wrong on the way is said in the object's own Ready condition before it is tried again."""
    try:
        return await RECONCILE[resource.kind.name](world, resource)
    except Stalled as error:
        return _said(resource, error, STALLED_LOOK_SECONDS)
    except Unreachable as error:
        await commit(world, resource, _said(resource, error, None))
        raise


def _said(resource: Resource[Any, Any], error: ComposeBackupError, look_again_in: float | None) -> Outcome:
    """Keep the status, but say why the object waits: what has not ended is never failed by this."""
    standing = Standing("waiting", error.reason, error.message)
    return Outcome(resource.status.model_copy(update={"conditions": ()}), _restated(resource, standing), look_again_in)


def _restated(resource: Resource[Any, Any], standing: Standing) -> tuple[Claim, ...]:
    """Return how an object stands now, and what was said of it besides."""
    kept = (
        Claim(condition.type, condition.status, condition.reason, condition.message)
        for condition in resource.status.conditions
        if condition.type not in (READY, RECONCILING, STALLED, QUEUED)
    )
    return (*claims(standing), *kept)


def _parsed(kind: Kind, body: Body) -> Resource[Any, Any] | ValidationError:
    try:
        return parse(kind, body)
    except ValidationError as error:
        return error


def _invalid(kind: Kind, body: Body, error: ValidationError, now: dt.datetime) -> tuple[Resource[Any, Any], Outcome]:
    """Say that a specification, which the API server has let through, does not fit its type; nothing known is lost.

    A run or restore ends by it, since its specification never changes; one that has ended stays as it is.
    """
    bare = Resource(
        kind=kind,
        namespace=body["metadata"]["namespace"],
        name=body["metadata"]["name"],
        uid=body["metadata"]["uid"],
        generation=body["metadata"].get("generation", 1),
        created=dt.datetime.fromisoformat(body["metadata"]["creationTimestamp"]),
        deleting=False,
        annotations={},
        owner_uids=frozenset(),
        spec=kind.spec.model_construct(),
        status=status_of(kind, body),
        body=body,
    )
    wrong = "; ".join(f"spec.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:10])
    message = f"the specification is not valid: {wrong}"
    status = bare.status.model_copy(update={"conditions": ()})
    if "phase" not in kind.status.model_fields:
        return bare, Outcome(status, _restated(bare, Standing("stalled", reasons.INVALID_SPEC, message)))
    if bare.finished:
        return bare, NOTHING
    failure = Failure(reason=reasons.INVALID_SPEC, message=message[:4096])
    status = status.model_copy(update={"phase": "Failed", "failure": failure, "completion_time": now})
    return bare, Outcome(status, ended("Failed", failure, ""))
