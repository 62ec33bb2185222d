"""When a repository is opened again: table tests.

Run by pytest.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from compose_backup.planning.repository import ProbeFacts, due
from fakes.objects import CREATED, ready, repository, status

LATER = CREATED + dt.timedelta(minutes=5)
OPENED = ProbeFacts(repository(), "1", None, None, suspected=False)
AWAY = replace(OPENED, repository=status(repository(), conditions=ready("False", "HostNotReady")))


@pytest.mark.parametrize(
    ("facts", "is_due"),
    [
        pytest.param(OPENED, False, id="it was opened a while ago"),
        pytest.param(replace(OPENED, credentials_version="2"), True, id="its Secret has changed"),
        pytest.param(replace(OPENED, suspected=True), True, id="a run casts doubt on it"),
        pytest.param(replace(OPENED, last_run_ended=LATER), True, id="a run has written to it"),
        pytest.param(AWAY, True, id="its host was away and is back"),
        pytest.param(replace(AWAY, retry_at=LATER + dt.timedelta(seconds=1)), False, id="it failed a moment ago"),
        pytest.param(replace(AWAY, retry_at=LATER), True, id="it failed a while ago"),
    ],
)
def test_due(facts: ProbeFacts, is_due: bool) -> None:
    assert due(facts, LATER) is is_due
