"""Which container takes the command of a hook, and whether hooks may be run at all.

Called by planning/quiescing.py, planning/policy.py and reconcile/run_end.py, and by the agent to find the container.
"""

from __future__ import annotations

from collections.abc import Iterable

from compose_backup.api import reasons
from compose_backup.api.backup_policy import Hook, Hooks
from compose_backup.api.backup_run import Failure, HookResult
from compose_backup.api.compose_host import Permit
from compose_backup.planning import permits
from compose_backup.planning.checks import Objection
from compose_backup.planning.facts import Container


def container_of(hook: Hook, containers: Iterable[Container]) -> Container | None:
    """Return the container that takes the command: the running replica with the lowest number, or None."""
    running = [one for one in _of_service(hook, containers) if one.state == "running"]
    return min(running, key=lambda one: (one.number or 0, one.name), default=None)


def objection(hooks: Hooks, permit: Permit, containers: Iterable[Container]) -> Objection | None:
    """Return why the hooks of a policy cannot be run, or None."""
    seen = tuple(containers)
    # A hook that may fail is only told of.
    missing = (_missing(hook, seen) for hook in (*hooks.pre, *hooks.post) if hook.on_error == "Fail")
    return not_permitted(hooks, permit) or next((one for one in missing if one), None)


def failed_after(hooks: Hooks, results: Iterable[HookResult]) -> Failure | None:
    """Return that a hook which must not fail has failed after the data was archived, as a run record tells, or None."""
    told = [one for one in results if one.phase == "post"]
    for hook, one in zip(hooks.post, told, strict=False):
        if one.error and hook.on_error == "Fail":
            return Failure(reason=reasons.HOOK_FAILED, message=f"post hook of {one.service} failed: {one.error}")
    return None


def not_permitted(hooks: Hooks, permit: Permit) -> Objection | None:
    """Object to commands that the host does not allow."""
    every = (*hooks.pre, *hooks.post)
    if not every:
        return None
    if not permit.hooks:
        message = "the policy has hooks, and spec.permit.hooks of the ComposeHost does not allow to run commands"
        return Objection(reasons.NOT_PERMITTED, message, "fail")
    for hook in every:
        if not permits.allows(permit, hook.project):
            message = permits.refusal(f"the hook of {hook.project}/{hook.service}", hook.project)
            return Objection(reasons.NOT_PERMITTED, message, "fail")
    return None


def _missing(hook: Hook, containers: tuple[Container, ...]) -> Objection | None:
    if container_of(hook, containers):
        return None
    states = sorted({one.state for one in _of_service(hook, containers)})
    found = f"its containers are {', '.join(states)}" if states else "it has no container on the host"
    message = f"a hook is to be run in {hook.project}/{hook.service}, which is not running: {found}"
    return Objection(reasons.HOOK_FAILED, message, "fail")


def _of_service(hook: Hook, containers: Iterable[Container]) -> list[Container]:
    return [one for one in containers if (one.project, one.service) == (hook.project, hook.service) and not one.one_off]
