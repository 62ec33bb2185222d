"""That a restore is whole, told on its host: an empty volume whose labels carry what became of each target.

It outlives the agent, and whoever may list volumes can read it. The agent makes it when the last byte is written and
checked, before the first service is started; without it, a restore whose agent is gone counts as half done.
Called by agent/restore.py, debts.py and reconcile/.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import TypeAdapter, ValidationError

from compose_backup.api.job import WholeMark
from compose_backup.api.restore_request import RestoredVolume
from compose_backup.planning.facts import Inventory, Volume
from compose_backup.planning.labels import (
    INSTALLATION,
    PURPOSE,
    RESTORED,
    Owner,
    agent_labels,
    journal_name,
    whole_name,
)

_RESTORED = TypeAdapter(tuple[RestoredVolume, ...])


def mark_of(owner: Owner, installation: str) -> WholeMark:
    """Return the name of a restore's mark and the labels that it is found by."""
    return WholeMark(name=whole_name(owner.uid), labels=agent_labels(owner, installation, "whole"))


def made(mark: WholeMark, restored: Iterable[RestoredVolume]) -> Volume:
    """Return the mark as it is made on the host."""
    told = _RESTORED.dump_json(tuple(restored), by_alias=True, exclude_defaults=True).decode()
    return Volume(mark.name, labels={**mark.labels, RESTORED: told})


def told_of(uid: str, inventory: Inventory) -> tuple[RestoredVolume, ...]:
    """Return what became of each target of a restore that is whole; nothing where no mark says that it is."""
    mark = inventory.volume(whole_name(uid))
    try:
        return _RESTORED.validate_json(mark.labels.get(RESTORED, "")) if mark else ()
    except ValidationError:
        return ()


def orphans(inventory: Inventory, installation: str) -> tuple[tuple[str, Owner], ...]:
    """Return the marks of an installation that no journal needs any more, with the restores that they were made for."""
    mine = [one for one in inventory.volumes if one.labels.get(INSTALLATION) == installation]
    marks = [(one.name, Owner.of(one.labels)) for one in mine if one.labels.get(PURPOSE) == "whole"]
    return tuple((name, owner) for name, owner in marks if owner and not inventory.volume(journal_name(owner.uid)))
