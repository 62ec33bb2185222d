"""Events as the API server takes them.

Run by pytest.
"""

from __future__ import annotations

import datetime as dt

import pytest

from compose_backup.api.kinds import KINDS, Kind
from compose_backup.gateways.events import ACTIONS, MAX_NOTE_BYTES, event_body, shortened
from compose_backup.reconcile.ports import Notice

NOW = dt.datetime(2026, 10, 13, 2, 0, 0, 250, tzinfo=dt.UTC)
METADATA = {"namespace": "apps", "name": "nightly", "uid": "u", "resourceVersion": "7", "generation": 3}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_has_an_action(kind: Kind) -> None:
    body = event_body(Notice(kind, {"metadata": METADATA}, "Normal", "Created", "made"), "pod-1", NOW)
    assert body["action"] == ACTIONS[kind.name]
    assert body["regarding"]["kind"] == kind.name


def test_time_is_told_to_the_microsecond() -> None:
    body = event_body(Notice(KINDS[0], {"metadata": METADATA}, "Normal", "Created", "made"), "pod-1", NOW)
    assert body["eventTime"] == "2026-10-13T02:00:00.000250Z"


def test_short_note_stays_as_it_is() -> None:
    assert shortened("a" * MAX_NOTE_BYTES) == "a" * MAX_NOTE_BYTES


@pytest.mark.parametrize("letter", ["a", "é", "日", "𝄞"])
@pytest.mark.parametrize("shift", range(4))
def test_long_note_is_cut_at_a_whole_character(letter: str, shift: int) -> None:
    note = shortened("x" * shift + letter * 2000)
    assert note.endswith(letter + "…")
    assert MAX_NOTE_BYTES - 4 <= len(note.encode()) <= MAX_NOTE_BYTES
