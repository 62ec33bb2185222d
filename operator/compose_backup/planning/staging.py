"""What is done ahead of the window, volume by volume: which may have a stage, and for which a live pass has paid off.

Called by reconcile/run_attempt.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

from compose_backup.api import reasons
from compose_backup.api.backup_policy import StageChoice
from compose_backup.api.backup_run import ResolvedRun, VolumeResult
from compose_backup.api.job import STAGES_ROOT, VolumeAhead
from compose_backup.api.journal import JournalPlan
from compose_backup.api.resources import Run
from compose_backup.planning import writers
from compose_backup.planning.facts import Inventory, Volume
from compose_backup.planning.labels import INSTALLATION, PURPOSE, Owner, agent_labels, stage_name

LEAST_GAIN = 0.1
"""Two live passes running that saved less than this share of the window end them, as long as both are remembered."""
LOST = "the attempt before had to give it up"
HARMLESS_OPTIONS = frozenset({"size"})
"""Options of the driver `local` with which a volume lies where those without any lie (docs.docker.com, volume create).
"""


Ahead = Mapping[str, VolumeAhead]
NOTHING_AHEAD: Ahead = MappingProxyType({})


def ahead(run: Run, resolved: ResolvedRun, plan: JournalPlan, inventory: Inventory, earlier: Collection[Run]) -> Ahead:
    """Return what may be done ahead for each volume; nothing for one that no service goes down for."""
    if not plan.services:
        return NOTHING_AHEAD
    last = run.status.failure
    lost = LOST if last is not None and last.reason == reasons.STAGE_DROPPED else None
    choice = resolved.quiesce.stage
    return {
        name: _of_volume(choice, index, volume, _results(earlier, resolved, name), lost)
        for index, name in enumerate(resolved.volumes)
        if (volume := inventory.volume(name)) and not _is_written_to_all_the_same(volume, plan, inventory)
    }


def stages_of(ahead: Ahead, uid: str) -> Mapping[str, str]:
    """Return the stage volumes that an attempt needs: name → where it is mounted."""
    places = [one.stage for one in ahead.values() if one.stage]
    return {stage_name(uid, place.rpartition("/")[2]): place for place in places}


def stage_volume(name: str, owner: Owner, installation: str) -> Volume:
    """Return a stage volume: without options it lies where the volumes lie that may have one."""
    return Volume(name, labels=agent_labels(owner, installation, "stage"))


def made_stages(inventory: Inventory, installation: str) -> tuple[tuple[str, Owner | None], ...]:
    """Return the stage volumes of an installation that are there, with the objects that they were made for."""
    return tuple(
        (volume.name, Owner.of(volume.labels))
        for volume in inventory.volumes
        if volume.labels.get(PURPOSE) == "stage" and volume.labels.get(INSTALLATION) == installation
    )


def no_stage(volume: Volume) -> str | None:
    """Return why there can be no stage beside a volume, or None: ours lies where plain volumes of `local` lie."""
    if volume.driver != "local":
        return f"the volume's driver is {volume.driver}, and a stage would lie elsewhere"
    if volume.device:
        return "the volume is a directory of the host (o=bind), and a stage would lie elsewhere"
    options = sorted(set(volume.options) - HARMLESS_OPTIONS)
    if options:
        return f"the volume has options of its own ({', '.join(options)}), and a stage would lie elsewhere"
    return None


def _is_written_to_all_the_same(volume: Volume, plan: JournalPlan, inventory: Inventory) -> bool:
    """Return whether a service goes on writing, as was asked: such a copy is a live one by whatever means."""
    return any(one.id in plan.left_running for one in writers.writers(volume, inventory))


def _of_volume(
    choice: StageChoice, index: int, volume: Volume, earlier: list[VolumeResult], lost: str | None
) -> VolumeAhead:
    if choice == "None":
        return VolumeAhead()
    why = lost or no_stage(volume)
    return VolumeAhead(
        stage=None if why else f"{STAGES_ROOT}/{index}",
        no_stage=why,
        copies=choice == "Copy",
        churn_bytes=earlier[0].bytes_added if earlier else 0,
        warm=live_pass_pays(earlier),
    )


def _results(earlier: Iterable[Run], resolved: ResolvedRun, volume: str) -> list[VolumeResult]:
    """Return what became of a volume in the good runs that are remembered, newest first."""
    mine = [run for run in earlier if run.status.resolved and run.status.resolved.policy_uid == resolved.policy_uid]
    newest = sorted(mine, key=lambda run: run.status.completion_time or run.created, reverse=True)
    return [one for run in newest for one in run.status.volumes if one.name == volume and one.phase == "Succeeded"]


def live_pass_pays(earlier: Iterable[VolumeResult]) -> bool:
    """Return whether a live pass is expected to pay: it helps logs and small files, and hurts with large databases."""
    warm = [one.window for one in earlier if one.window and one.window.means == "Warm"][:2]
    return len(warm) < 2 or any(one.seconds <= (1 - LEAST_GAIN) * one.ahead_seconds for one in warm)
