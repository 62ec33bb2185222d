"""What a look at an agent container means."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from compose_backup.api import reasons
from compose_backup.api.backup_run import Failure, Progress, QuiesceResult
from compose_backup.api.job import Event, Report
from compose_backup.planning.agent_state import Died, NeverStarted, Reported, Working, has_its_job, judge
from compose_backup.planning.facts import AgentLook

NOW = dt.datetime(2026, 10, 13, 2, 0, tzinfo=dt.UTC)
ACCEPTED = Event(sequence=1, time=NOW, type="accepted")
HALF = Event(sequence=2, time=NOW, type="progress", progress=Progress(percent=50))
WRITTEN = Event(sequence=3, time=NOW, type="progress", target_touched=True)
REPORT = Event(sequence=4, time=NOW, type="report", report=Report())
BASELINE = AgentLook("id", "image", "running", None, False, NOW, {}, (ACCEPTED, HALF))
DEAD = replace(BASELINE, state="exited", exit_code=1, error_output="x" * 2000 + "last words")


@pytest.mark.parametrize("state", ["running", "paused", "restarting"])
def test_a_container_that_lives_works_even_when_its_report_is_out(state: str) -> None:
    look = replace(BASELINE, state=state, events=(ACCEPTED, HALF, REPORT))
    assert judge(look) == Working(4, Progress(percent=50))


QUIESCE = QuiesceResult(method="Stop")
RESUMING = Event(sequence=3, time=NOW, type="progress", window="Resuming", quiesce=QUIESCE)


def test_where_the_services_are_is_what_the_newest_event_says() -> None:
    assert judge(replace(BASELINE, events=(HALF, RESUMING))) == Working(3, Progress(percent=50), "Resuming", QUIESCE)
    after = judge(replace(BASELINE, events=(RESUMING, HALF)))
    assert after == Working(2, Progress(percent=50), None, QUIESCE)


def test_a_restarted_agent_counts_by_its_newest_events() -> None:
    first = Event(sequence=90, time=NOW, type="progress", window="Quiesced", quiesce=QUIESCE)
    again = Event(sequence=1, time=NOW, type="progress", window="Resuming", quiesce=QUIESCE)
    assert judge(replace(BASELINE, events=(first, again))) == Working(1, None, "Resuming", QUIESCE)
    interrupted = Failure(reason=reasons.INTERRUPTED, message="restarted", retryable=True)
    last = Event(sequence=2, time=NOW, type="report", report=Report(failure=interrupted))
    seen = judge(replace(DEAD, events=(first, REPORT, again, last)))
    assert isinstance(seen, Reported) and seen.report.failure == interrupted


def test_a_death_remembers_what_was_down() -> None:
    seen = judge(replace(DEAD, events=(RESUMING, HALF)))
    assert isinstance(seen, Died) and seen.quiesce == QUIESCE


def test_before_its_first_word_it_works() -> None:
    assert judge(replace(BASELINE, events=())) == Working(0, None)


@pytest.mark.parametrize("state", ["exited", "dead", "removing"])
def test_a_report_counts_whatever_the_exit_code(state: str) -> None:
    seen = judge(replace(DEAD, state=state, exit_code=137, events=(ACCEPTED, REPORT)))
    assert isinstance(seen, Reported) and seen.log_tail.endswith("last words") and len(seen.log_tail) == 1024


def test_a_container_that_was_only_created_has_done_nothing() -> None:
    assert isinstance(judge(replace(BASELINE, state="created", events=())), NeverStarted)


@pytest.mark.parametrize(
    ("look", "reason", "touched"),
    [
        pytest.param(None, reasons.AGENT_LOST, True, id="gone: nothing is known"),
        pytest.param(DEAD, reasons.AGENT_LOST, False, id="ended before it wrote"),
        pytest.param(replace(DEAD, events=(ACCEPTED, WRITTEN)), reasons.AGENT_LOST, True, id="ended after it wrote"),
        pytest.param(replace(DEAD, events=(WRITTEN, HALF)), reasons.AGENT_LOST, True, id="written is written"),
        pytest.param(replace(DEAD, events=()), reasons.AGENT_LOST, True, id="ended without a word"),
        pytest.param(replace(DEAD, events=(), exit_code=2), reasons.AGENT_LOST, False, id="ended for want of a job"),
        pytest.param(replace(DEAD, exit_code=137), reasons.AGENT_KILLED, False, id="killed"),
        pytest.param(
            replace(DEAD, exit_code=137, out_of_memory=True), reasons.OUT_OF_MEMORY, False, id="killed for its memory"
        ),
    ],
)
def test_deaths(look: AgentLook | None, reason: str, touched: bool) -> None:
    seen = judge(look)
    assert isinstance(seen, Died)
    assert (seen.failure.reason, seen.failure.retryable, seen.target_touched) == (reason, True, touched)


@pytest.mark.parametrize(
    ("look", "has"),
    [
        pytest.param(None, False, id="gone"),
        pytest.param(replace(BASELINE, state="created", events=()), False, id="never started"),
        pytest.param(replace(BASELINE, events=()), None, id="silent so far"),
        pytest.param(BASELINE, True, id="at work"),
        pytest.param(DEAD, True, id="dead at work"),
        pytest.param(replace(DEAD, events=(), exit_code=2), False, id="ended for want of a job"),
        pytest.param(replace(DEAD, events=(), exit_code=137), True, id="killed, who knows when"),
    ],
)
def test_whether_a_found_container_has_its_job(look: AgentLook | None, has: bool | None) -> None:
    assert has_its_job(look) is has
