"""Ahead of the window: what is done of a volume while its services still run, so that they are down for less.

| means | ahead | while services are down | afterwards |
|---|---|---|---|
| `Clone`, `Copy` | all of it goes into the stage | what has changed goes there again | the stage is archived |
| `Warm` | it is archived live (warm.py) | it is archived, compared with that | |
| `Everything` | | it is archived | |

Chosen volume by volume, the best that works. Called by backup.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from compose_backup.agent.context import Context
from compose_backup.agent.quiesce.reaching import EngineGone
from compose_backup.agent.snapshots import Source
from compose_backup.agent.stage.contents import why_no_clones
from compose_backup.agent.stage.filling import Means
from compose_backup.agent.stage.space import SpaceGuard, floor_bytes, free_bytes, total_bytes
from compose_backup.agent.stage.staging import Stage
from compose_backup.agent.stage.unusable import StageUnusable
from compose_backup.agent.texts import shorten
from compose_backup.agent.warm import WarmSnapshots
from compose_backup.api import reasons
from compose_backup.api.backup_run import Means as ChosenMeans
from compose_backup.api.backup_run import WindowUse
from compose_backup.api.job import BackupJob, VolumeAhead
from compose_backup.errors import AgentFailed
from compose_backup.planning.records import Snapshot


class NoStage(Exception):
    """There is no stage of a volume; the message says why, for people."""


@dataclass
class Prepared:
    """One volume, and what was done of it ahead."""

    volume: str
    parent: Snapshot | None
    """The last run's."""
    warm: str | None = None
    """What it is compared with instead: a snapshot made ahead."""
    use: WindowUse | None = None
    """None where no service goes down for it."""
    stage: Stage | None = None
    guard: SpaceGuard | None = None

    @property
    def told(self) -> WindowUse | None:
        """What is told of it in the end."""
        if self.use is None or self.stage is None or self.guard is None:
            return self.use
        stall = round(self.stage.longest_stall_seconds, 3)
        return self.use.model_copy(update={"stall_seconds": stall, "pinned_bytes": self.guard.pinned_bytes})

    def capture(self) -> None:
        """Bring the stage up to date while services are down. Raise AgentFailed when that cannot be done."""
        assert self.stage
        try:
            self.stage.second_pass()
        except StageUnusable as error:
            raise self._given_up(error.reason) from error

    def took(self, seconds: float) -> None:
        """Take down how long it took while services were down."""
        if self.use is not None:
            self.use = self.use.model_copy(update={"seconds": round(seconds, 3)})

    @property
    def compared_with(self) -> str | None:
        """The snapshot that a volume without a stage is compared with."""
        return self.warm or (self.parent.id if self.parent else None)

    def source(self, snapshots: WarmSnapshots) -> Source:
        """Return the stage, when it is up to date, and what it is compared with."""
        assert self.stage
        try:
            self.stage.write_table()
        except StageUnusable as error:
            raise self._given_up(error.reason) from error
        staged = Source(self.stage.tree.parent.parent, staged=True, is_sized=self.parent is not None)
        return snapshots.compared(staged, self.volume, self.parent, self.stage.distrusted)

    def look_after_space(self) -> None:
        """Drop the stage at once when the disk runs full: whoever still reads it finds nothing there."""
        if self.stage is not None and self.guard is not None and self.guard.must_drop:
            with suppress(StageUnusable):
                self.stage.drop()

    def check(self) -> None:
        """Raise AgentFailed when the stage was dropped while it was read: then what was read is worth nothing."""
        if (why := self.shortage()) is not None:
            raise self._given_up(why)

    def shortage(self) -> str | None:
        """Return why the stage must not be kept, by a look at the disk now; None where it may, or there is none."""
        if self.guard is None:
            return None
        self.guard.look()
        try:
            self.guard.check()
        except StageUnusable as error:
            return error.reason
        return None

    def leave(self, say: Callable[[str], None]) -> None:
        """Leave nothing of a stage, so that not a byte stays pinned; its volume is removed by the operator."""
        self.use, stage, guard = self.told, self.stage, self.guard
        self.stage = self.guard = None
        if guard is not None:
            guard.close()
        try:
            if stage is not None:
                stage.table.with_name(f"{self.volume}.json").unlink(missing_ok=True)  # the manifest, written beside it
                stage.drop()
        except (StageUnusable, OSError) as error:
            say(f"the stage of volume {self.volume} could not be emptied: {error}")

    def _given_up(self, why: str) -> AgentFailed:
        message = f"the stage was given up: {why}; the attempt after this one has none"
        return AgentFailed(reasons.STAGE_DROPPED, message, retryable=True)


@contextmanager
def prepared(
    job: BackupJob, parents: Mapping[str, Snapshot | None], snapshots: WarmSnapshots, context: Context
) -> Iterator[Mapping[str, Prepared]]:
    """Do ahead what can be done of each volume; afterwards no stage is left. AgentFailed ends the job here."""
    volumes: dict[str, Prepared] = {}
    try:
        for name in job.volumes:
            volumes[name] = Prepared(name, parents[name])
            if name in job.ahead:
                _prepare(volumes[name], job.ahead[name], snapshots, context)
        for one in volumes.values():
            _keep_only_with_space(one, context)
        yield volumes
    except EngineGone:
        raise  # services may be down, and this agent ends only to start them: the operator removes the stages
    except BaseException:
        _leave_all(volumes, context)
        raise
    _leave_all(volumes, context)


@contextmanager
def in_window(volumes: Mapping[str, Prepared]) -> Iterator[None]:
    """Keep every stage meanwhile, however full the disk: to drop one would keep services down for longer."""
    guards = [one.guard for one in volumes.values() if one.guard]
    for guard in guards:
        guard.window_opens()
    try:
        yield
    finally:
        for guard in guards:
            guard.window_is_over()


def _prepare(one: Prepared, may: VolumeAhead, snapshots: WarmSnapshots, context: Context) -> None:
    started = time.monotonic()
    means: ChosenMeans = "Everything"
    why = may.no_stage
    try:
        if may.stage:
            means = _stage(one, Path(may.stage), may, context).value
    except NoStage as error:
        why = str(error)
    if one.stage is None and may.warm:
        try:
            not_worth_it = snapshots.not_worth_it(one.volume, one.parent)
            if not_worth_it is None:
                means, one.warm = "Warm", snapshots.live_pass(one.volume, one.parent)
        except OSError as error:  # the disk is at fault: the run itself tells of each file that it cannot read
            not_worth_it = f"a live pass failed: {error}"
        why = "; ".join(filter(None, (why, not_worth_it)))
    seconds = round(time.monotonic() - started, 3)
    one.use = WindowUse(means=means, reason=shorten(why) if why else None, ahead_seconds=seconds)


def _stage(one: Prepared, root: Path, may: VolumeAhead, context: Context) -> Means:
    """Fill the stage of a volume, and return by what means. Raise NoStage when it cannot have one."""
    volume, check = context.places.volume(one.volume), context.stop.check
    try:
        means = _means(volume, root, may, context)
        one.guard = SpaceGuard(lambda: free_bytes(root), floor_bytes(may.churn_bytes, total_bytes(root)))
        stage = Stage(volume, root, one.volume, means, one.guard, check)
        stage.drop()  # what an attempt that died has left
        one.stage = stage
        stage.first_pass()
    except (StageUnusable, OSError) as error:
        one.leave(context.diagnostics.say)
        raise NoStage(str(error)) from error
    return means


def _keep_only_with_space(one: Prepared, context: Context) -> None:
    """Go on without a stage for which the disk has become too full while those of other volumes were filled."""
    if (why := one.shortage()) is not None:
        one.leave(context.diagnostics.say)
        one.use = WindowUse(means="Everything", reason=shorten(why))


def _leave_all(volumes: Mapping[str, Prepared], context: Context) -> None:
    for one in volumes.values():
        one.leave(context.diagnostics.say)


def _means(volume: Path, root: Path, may: VolumeAhead, context: Context) -> Means:
    no_clones = why_no_clones(volume, root, context.stop.check)
    if no_clones is None:
        return Means.CLONE
    if may.copies:
        return Means.COPY
    raise NoStage(no_clones.reason)
