"""The window: `with Quiescence(…)` stops services on the way in and brings them back on the way out, whatever happens.

In order: journal, own restart policy, pre hooks, down · what the caller does · up, post hooks, own restart policy,
journal closed. Called by backup.py, restore.py and recovery.py.
"""

from __future__ import annotations

from typing import Self

from compose_backup.agent.context import Surroundings
from compose_backup.agent.looking import Engine
from compose_backup.agent.quiesce.coming_up import ComingUp
from compose_backup.agent.quiesce.downtimes import Downtimes
from compose_backup.agent.quiesce.going_down import await_down, take_down
from compose_backup.agent.quiesce.hooks import Hooks
from compose_backup.agent.quiesce.journal import Journal
from compose_backup.agent.quiesce.reaching import reaching
from compose_backup.agent.texts import MESSAGE_LIMIT, shorten
from compose_backup.api import reasons
from compose_backup.api.backup_run import HookResult, QuiesceResult
from compose_backup.api.journal import JournalPlan, RestartPolicy
from compose_backup.errors import AgentFailed
from compose_backup.planning import resuming
from compose_backup.planning.facts import Container

RESTARTED = RestartPolicy(name="always")
LEFT_ALONE = RestartPolicy()


class Quiescence:
    """One plan, carried out and undone. Without anything to do it does nothing, and asks nothing of the engine."""

    def __init__(self, plan: JournalPlan, engine: Engine, outside: Surroundings) -> None:
        self._plan = plan
        self._engine = engine
        self._outside = outside
        self._journal = Journal(outside.places.journal, outside.diagnostics.say)
        self._downtimes = Downtimes(plan, outside.emitter.services)
        self._hooks = Hooks(plan, engine, self._journal, outside.diagnostics.redact, outside.patience)
        self._way_up = ComingUp(plan, engine, self._journal, self._downtimes, outside.patience)
        self._incomplete = False
        self._whole = False

    def __enter__(self) -> Self:
        """Take everything down. Raise AgentFailed when that fails; then everything is up again."""
        if self._plan.needs_journal:
            self._journal.open(self._plan)
            try:
                self._go_in()
            except BaseException:
                self._come_out()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        """Bring everything back."""
        if self._plan.needs_journal:
            self._come_out()

    def touching(self) -> None:
        """Say that a byte of a target is about to be written: from here on services are kept away from it."""
        if self._plan.needs_journal and not self._incomplete:
            self._journal.write("touching")
        self._incomplete = True

    def whole(self) -> None:
        """Say that all data is complete, so that services may have it."""
        if self._plan.needs_journal:
            self._journal.note("whole")
        self._incomplete, self._whole = False, True

    def finish(self) -> None:
        """Try what did not come back for some minutes more, when nothing is more urgent, and let go of it."""
        if self._downtimes.failed and not self._incomplete:
            self._way_up.persist(self._outside.patience.afterwards, self._outside.stop)
            self._downtimes.enter(None)
            self._let_go()

    def recover(self) -> None:
        """Undo what an agent before this one has left open in the journal."""
        entries = self._journal.entries
        await_down(self._plan, entries, self._engine, self._outside.patience)
        self._downtimes.recall(entries)
        inspected = self._inspected()
        self._way_up.recall(entries, inspected)
        for service in self._way_up.owed(inspected):
            self._downtimes.found_down(service, self._plan.made_at)  # whatever the journal says: the engine is right
        self._hooks.recall(entries)
        steps = {entry.step for entry in entries}
        self._whole = "whole" in steps
        self._incomplete = "touching" in steps and not self._whole
        self._come_out()
        self.finish()

    @property
    def incomplete(self) -> bool:
        """Whether a target was touched and is not whole."""
        return self._incomplete

    @property
    def result(self) -> QuiesceResult | None:
        """The services and their downtime; None when none was touched."""
        return self._downtimes.result

    @property
    def hooks(self) -> tuple[HookResult, ...]:
        """What became of the commands."""
        return self._hooks.results

    @property
    def failure(self) -> AgentFailed | None:
        """What is wrong although the data is whole: a service that does not run again, or else a post hook."""
        failed = self._downtimes.failed
        if not failed:
            return self._hooks.failure
        listed = "; ".join(f"{entry.service} ({entry.container}): {entry.error}" for entry in failed)
        message = f"services do not run again: {listed}; mend the cause, it is tried again until they run"
        return AgentFailed(reasons.SERVICE_NOT_RESUMED, shorten(message, MESSAGE_LIMIT), retryable=False)

    def _go_in(self) -> None:
        # From here on Docker starts this agent again when it dies, and after a restart of engine or host.
        self._engine.set_restart_policy(self._plan.agent, RESTARTED)
        self._hooks.run_pre(self._outside.stop)
        if self._plan.services:
            self._downtimes.enter("Quiescing")
            take_down(self._plan, self._engine, self._journal, self._downtimes, self._outside.stop)
            self._downtimes.enter("Quiesced")

    def _come_out(self) -> None:
        self._outside.stop.close_window()
        if self._incomplete:
            self._downtimes.keep_stopped()
        else:
            self._resume()
        self._hooks.run_post()
        if not self._downtimes.failed:
            self._let_go()

    def _resume(self) -> None:
        if self._plan.services:
            self._downtimes.enter("Resuming")
            for service in resuming.left_to_others(self._plan, whole=self._whole):
                self._downtimes.given_up(service)
            self._way_up.bring_up()
            self._journal.note("resumed")
            if not self._downtimes.failed:
                self._downtimes.enter(None)

    def _let_go(self) -> None:
        """Be an ordinary container again, that ends when it ends; and close the journal if nothing is left to undo."""
        try:
            reaching(
                lambda: self._engine.set_restart_policy(self._plan.agent, LEFT_ALONE),
                self._outside.patience,
            )
        except AgentFailed as error:
            self._outside.diagnostics.say(f"the agent's own restart policy could not be put back: {error.message}")
            return
        if not (self._incomplete or self._downtimes.failed):
            self._journal.note("closed")

    def _inspected(self) -> tuple[Container, ...]:
        identities = [service.container_id for service in self._plan.services]
        return reaching(lambda: self._engine.inspect(identities), self._outside.patience)
