"""What process 1 does first, and how it ends when the engine has left its socket behind."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose_backup.agent.__main__ import ENGINE_GONE, NO_JOB, main
from compose_backup.agent.context import Places
from compose_backup.agent.quiesce.journal import Journal
from unit.agent.quiesce_scene import HASTY, plan


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    """An agent whose stdin has ended, and an engine that is not there."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    (tmp_path / "journal").mkdir()
    (tmp_path / "stdin").touch()
    with (tmp_path / "stdin").open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        yield Places(journal=str(tmp_path / "journal"), docker_socket=str(tmp_path / "docker.sock"))
    for number, handler in before.items():
        signal.signal(number, handler)


def said(capfd: pytest.CaptureFixture[str]) -> str:
    return capfd.readouterr().out


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_open_journal_comes_before_any_job(places: Places, capfd: pytest.CaptureFixture[str]) -> None:
    """And an engine that nobody reaches leaves it open: Docker starts the agent again, with a fresh mount."""
    Journal(places.journal, print).open(plan())
    assert main(places, HASTY) == ENGINE_GONE
    gc.collect()  # the SDK leaves a socket open that could not be connected
    out = said(capfd)
    assert '"type":"accepted"' in out and '"type":"report"' not in out
    assert Journal(places.journal, print).is_open


@pytest.mark.parametrize("closed", [True, False])
def test_without_an_open_journal_a_job_is_wanted(
    places: Places, capfd: pytest.CaptureFixture[str], closed: bool
) -> None:
    if closed:
        journal = Journal(places.journal, print)
        journal.open(plan())
        journal.note("closed")
    assert main(places, HASTY) == NO_JOB
    assert said(capfd) == ""


def test_a_request_to_stop_is_heard(
    places: Places, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Process 1 gets no signal that it has no handler for, and what it was at ends by itself."""
    reading, writing = os.pipe()
    ignored: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ignored.append(number))
    end_of_file = threading.Timer(2.0, os.close, (writing,))
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        end_of_file.start()
        assert main(places, HASTY) == NO_JOB
    heard = "asked to stop before a job came" in capfd.readouterr().err
    end_of_file.cancel()
    if heard:
        os.close(writing)
    assert heard and ignored == []
