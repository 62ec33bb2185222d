"""One attempt at all volumes of a backup: captured while services are down, archived then or afterwards.

Called by backup.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from compose_backup.agent.ahead import Prepared
from compose_backup.agent.archive import Archived, archive, failed
from compose_backup.agent.context import Context
from compose_backup.agent.engines.restic_errors import ENDS_THE_ATTEMPT
from compose_backup.agent.engines.restic_output import Message
from compose_backup.agent.looking import Engine, Look
from compose_backup.agent.manifest import manifest_of, root_of
from compose_backup.agent.progress import Tally
from compose_backup.agent.quiesce.checks import look_for, refuse_changes
from compose_backup.agent.repository import Opened
from compose_backup.agent.snapshots import Source
from compose_backup.agent.texts import shorten
from compose_backup.agent.warm import WarmSnapshots
from compose_backup.api import reasons
from compose_backup.api.backup_run import Consistency
from compose_backup.api.job import BackupJob
from compose_backup.api.record import VolumeManifest
from compose_backup.errors import AgentFailed
from compose_backup.planning import records, writers
from compose_backup.planning.facts import Container, Volume
from compose_backup.planning.records import Snapshot

Outcome = TypeVar("Outcome")
STOP_OR_ASK = "it was started meanwhile by somebody else: keep it down, or ask for a live copy by quiesce.method: None"


@dataclass(frozen=True)
class Captured:
    """A volume whose stage holds it as it was while services were down."""

    manifest: VolumeManifest
    consistency: Consistency


@dataclass
class Attempt:
    """`look` is the newest one: the look after a volume is the one before the next."""

    job: BackupJob
    context: Context
    engine: Engine
    look: Look
    opened: Opened
    versions: tuple[str, str]
    """Of the agent and of restic, for the manifests."""
    volumes: Mapping[str, Prepared] = field(default_factory=dict)
    """What was done of each volume ahead."""
    ended_by: AgentFailed | None = None
    _outcomes: dict[str, Archived | Captured] = field(default_factory=dict)

    @property
    def parents(self) -> dict[str, Snapshot | None]:
        """The last snapshot of each volume that a run of the policy has made."""
        job, found = self.job, self.opened.snapshots
        paths = {name: self.context.places.archived(name) for name in job.volumes}
        return {name: records.parent(found, job.policy, job.host, path) for name, path in paths.items()}

    def begin(self, volumes: Mapping[str, Prepared]) -> None:
        """Take over what was done ahead. That may have taken long: raise AgentFailed for what has changed meanwhile."""
        self.volumes = volumes
        expected = {name: one.parent.bytes for name, one in volumes.items() if one.parent is not None}
        self._tally = Tally(self.job.volumes, expected)
        if self.job.ahead:
            self.look = self._look()
            refuse_changes(self.job.plan, self.job.volumes, self.look)

    def refuse(self, refusal: AgentFailed) -> None:
        """Fail every volume for the same reason."""
        self.ended_by = refusal
        self._outcomes = {name: failed(name, refusal) for name in self.job.volumes}

    def capture_all(self) -> None:
        """Do what must be done while services are down; what fails stops the others only when they would fail alike."""
        if self.job.plan.services:
            self.look = self._look()  # what is seen now is what the first volume is captured with
        # Those with a stage first: they take a moment, and a slow one must not eat up their time.
        for name in sorted(self.job.volumes, key=lambda name: self.volumes[name].stage is None):
            started = time.monotonic()
            self._outcomes[name] = self._tried(name, partial(self._capture, name))
            self.volumes[name].took(time.monotonic() - started)

    def archive_all(self, snapshots: WarmSnapshots) -> list[Archived]:
        """Archive the stages, now that services are up again, and return what became of each volume."""
        return [self._told(name, self._from_stage(name, snapshots)) for name in self.job.volumes]

    def _look(self) -> Look:
        return look_for(self.job.plan, self.job.volumes, self.engine, self.context.patience)

    def _tried(self, name: str, act: Callable[[], Outcome]) -> Archived | Outcome:
        if self._is_over_for(name):
            return failed(name, _not_reached(self.ended_by))
        try:
            self.context.stop.check()
            return act()
        except (AgentFailed, OSError) as problem:
            error = problem if isinstance(problem, AgentFailed) else _unreadable(name, problem)
            if error.reason in ENDS_THE_ATTEMPT or error.reason == reasons.WINDOW_EXCEEDED:
                self.ended_by = self.ended_by or error
            return failed(name, error)

    def _is_over_for(self, name: str) -> bool:
        """Return whether a volume is not to be tried any more: what a stage holds was captured in time."""
        in_time = isinstance(self._outcomes.get(name), Captured)
        return self.ended_by is not None and not (in_time and self.ended_by.reason == reasons.WINDOW_EXCEEDED)

    def _capture(self, name: str) -> Archived | Captured:
        """Bring the stage of a volume up to date, or archive the volume where it has none."""
        prepared, volume = self.volumes[name], self._volume(name)
        directory = self.context.places.volume(name)
        manifest = self._manifest(volume, directory)
        if prepared.stage is None:
            live = Path(self.context.places.live)
            source = Source(live, prepared.compared_with, is_sized=prepared.parent is not None)
            archived = self._archive(name, manifest, source)
            return self._with_consistency(volume, archived)
        prepared.capture()
        consistency, objection = self._seen(volume)
        if objection:
            raise AgentFailed(reasons.SERVICES_RUNNING, objection, retryable=True)
        return Captured(manifest, consistency)

    def _from_stage(self, name: str, snapshots: WarmSnapshots) -> Archived:
        """Archive a volume that was captured, and return what became of one that was not."""
        captured, prepared = self._outcomes[name], self.volumes[name]
        if isinstance(captured, Archived):
            return captured

        def act() -> Archived:
            try:
                archived = self._archive(name, captured.manifest, prepared.source(snapshots))
            except (AgentFailed, OSError):
                prepared.check()  # what was dropped cannot be read: that is why, and not what restic says of it
                raise
            prepared.check()
            prepared.leave(self.context.diagnostics.say)
            return replace(archived, result=archived.result.model_copy(update={"consistency": captured.consistency}))

        return self._tried(name, act)

    def _told(self, name: str, archived: Archived) -> Archived:
        """Return the outcome of a volume with what it took while services were down."""
        return replace(archived, result=archived.result.model_copy(update={"window": self.volumes[name].told}))

    def _archive(self, name: str, manifest: VolumeManifest, source: Source) -> Archived:
        def report(status: Message) -> None:
            for one in self.volumes.values():
                one.look_after_space()
            self.context.emitter.progress(self._tally.take(name, status))

        report({})
        archived = archive(name, manifest, self.job, source, self.context, report)
        self.context.emitter.progress(self._tally.finish(name, archived.result.bytes_processed, archived.result.files))
        return archived

    def _manifest(self, volume: Volume, directory: Path) -> VolumeManifest:
        method = self.job.plan.method
        return manifest_of(volume, root_of(directory), self.look, self.engine.digest, self.versions, method)

    def _volume(self, name: str) -> Volume:
        """Return the volume as Docker knows it. Raise AgentFailed when it is gone."""
        volume = self.look.inventory.volume(name)
        if volume is None or not self.context.places.volume(name).is_dir():
            message = f"volume {name} is gone since the run was planned; the next run selects anew"
            raise AgentFailed(reasons.VOLUME_NOT_FOUND, message, retryable=False)
        return volume

    def _with_consistency(self, volume: Volume, archived: Archived) -> Archived:
        consistency, objection = self._seen(volume)
        result = archived.result.model_copy(update={"consistency": consistency})
        if objection is None:
            return replace(archived, result=result)
        result = result.model_copy(update={"phase": "Failed", "error": shorten(objection)})
        return replace(archived, result=result, reason=reasons.SERVICES_RUNNING, retryable=True)

    def _seen(self, volume: Volume) -> tuple[Consistency, str | None]:
        """Look again: whoever wrote since the last look makes the copy a live one; say who, if it was not asked for."""
        before, self.look = self.look, self._look()
        found = writers.consistency(volume, before.inventory, self.look.inventory)
        seen = writers.seen_writing(volume, before.inventory, self.look.inventory)
        who = [one for one in seen if not self._may_go_on(one)]
        if not who:
            return found, None
        return found, f"{writers.titles(who)} wrote to volume {volume.name} while it was read; {STOP_OR_ASK}"

    def _may_go_on(self, container: Container) -> bool:
        """Whether a live copy was asked for, of everything or of what this container writes."""
        return self.job.plan.method == "None" or container.id in self.job.plan.left_running


def _unreadable(name: str, error: OSError) -> AgentFailed:
    message = f"volume {name}: {error}; check that its disk is mounted on the host and answers"
    return AgentFailed(reasons.UNREADABLE_FILES, message, retryable=True)


def _not_reached(cause: AgentFailed | None) -> AgentFailed:
    assert cause
    return AgentFailed(cause.reason, f"not reached: {cause.message}", retryable=cause.retryable)
