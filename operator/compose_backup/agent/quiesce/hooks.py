"""Commands in containers of services, before they go down and after they are back. Called by window.py."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from compose_backup.agent.context import Patience
from compose_backup.agent.looking import Engine
from compose_backup.agent.quiesce.journal import Journal
from compose_backup.agent.quiesce.reaching import reaching
from compose_backup.agent.stopping import Stop
from compose_backup.agent.texts import shorten
from compose_backup.api import reasons
from compose_backup.api.backup_policy import Hook, HookPhase
from compose_backup.api.backup_run import HookResult
from compose_backup.api.journal import JournalEntry, JournalPlan
from compose_backup.errors import AgentFailed
from compose_backup.planning import hooks as planning
from compose_backup.planning.facts import Container

OUTPUT_LIMIT = 1024
COMMAND_LIMIT = 256


class Hooks:
    """The commands of one plan, and what became of them."""

    def __init__(
        self,
        plan: JournalPlan,
        engine: Engine,
        journal: Journal,
        redact: Callable[[str], str],
        patience: Patience,
    ) -> None:
        self._plan = plan
        self._engine = engine
        self._journal = journal
        self._redact = redact
        self._patience = patience
        self._done: set[int] = set()
        self.results: tuple[HookResult, ...] = ()
        self.failure: AgentFailed | None = None
        """Of the first post hook that must not fail and did."""

    def recall(self, entries: Iterable[JournalEntry]) -> None:
        """Take from the journal which post hooks an agent before this one has brought to their end."""
        self._done |= {entry.index for entry in entries if entry.step == "post-hook-done" and entry.index is not None}

    def run_pre(self, stop: Stop) -> None:
        """Run all that come before. Raise AgentFailed for one that must not fail and does; the others are not run."""
        for index, hook in enumerate(self._plan.pre_hooks):
            stop.check()
            self._journal.write("pre-hook", index=index)
            error = self._run("pre", hook, lambda: stop.cause is not None)
            stop.check()
            if error is not None and hook.on_error == "Fail":
                raise error

    def run_post(self) -> None:
        """Run all that come after and have not come to their end yet, whatever becomes of each."""
        for index, hook in enumerate(self._plan.post_hooks):
            if index in self._done:
                continue
            self._journal.note("post-hook", index=index)
            error = self._run("post", hook, lambda: False)
            self._journal.note("post-hook-done", index=index)
            self._done.add(index)
            if error is not None and hook.on_error == "Fail":
                self.failure = self.failure or error

    def _run(self, phase: HookPhase, hook: Hook, given_up: Callable[[], bool]) -> AgentFailed | None:
        """Run one command, keep its result, and return why it failed."""
        started = time.monotonic()
        code, output, problem = self._outcome(hook, given_up)
        command = shorten(self._redact(" ".join(hook.command)), COMMAND_LIMIT)
        result = HookResult(
            phase=phase,
            service=f"{hook.project}/{hook.service}",
            command=command,
            exit_code=code,
            duration_seconds=round(time.monotonic() - started, 3),
            # Secrets go first: one that is cut in two would not be found any more.
            output=self._redact(output).strip()[-OUTPUT_LIMIT:] or None,
            error=problem,
        )
        self.results = (*self.results, result)
        if problem is None:
            return None
        message = f"{phase} hook of {result.service} failed: `{command}` {problem}; its output is in status.hooks"
        # Nothing is repeated for a command that comes after: the data is archived already.
        return AgentFailed(reasons.HOOK_FAILED, message, retryable=phase == "pre")

    def _outcome(self, hook: Hook, given_up: Callable[[], bool]) -> tuple[int | None, str, str | None]:
        """Return exit code, output, and why the command counts as failed."""
        try:
            container = self._container(hook)
            if container is None:
                return None, "", "was not run: no container of the service is running"
            executed = self._engine.execute(container.id, hook, given_up)
        except AgentFailed as error:
            return None, "", f"was not run: {shorten(error.message)}"
        if executed.exit_code is None:
            when = "before the agent was told to stop" if given_up() else f"within {hook.timeout_seconds} s"
            return None, executed.output, f"did not end {when}; it was left to itself"
        failed = f"ended with {executed.exit_code}" if executed.exit_code else None
        return executed.exit_code, executed.output, failed

    def _container(self, hook: Hook) -> Container | None:
        """Return the first running replica of the hook's service."""
        look = reaching(lambda: self._engine.look(()), self._patience)
        return planning.container_of(hook, look.inventory.containers)
