"""The job on stdin: whole, in time, and never shown."""

from __future__ import annotations

import os

import pytest

from compose_backup.agent.inbox import NoJob, read_job
from compose_backup.agent.stopping import Stop
from compose_backup.api.job import LENGTH_HEADER, MAX_JOB_BYTES, Job, ProbeJob, RepositoryAccess

JOB = Job(repository=RepositoryAccess.model_validate({"password": "canary"}), probe=ProbeJob(create=True))


def read(content: bytes, *, close: bool = True, stop: Stop | None = None, seconds: float = 5.0) -> Job:
    reading, writing = os.pipe()
    try:
        os.write(writing, content)
        if close:
            os.close(writing)
        return read_job(reading, stop or Stop(), seconds)
    finally:
        os.close(reading)
        if not close:
            os.close(writing)


def test_a_job_arrives_while_stdin_stays_open() -> None:
    assert read(JOB.framed(), close=False) == JOB


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"", "stdin ended", id="nothing"),
        pytest.param(JOB.framed()[:-1], "stdin ended", id="cut"),
        pytest.param(LENGTH_HEADER.pack(MAX_JOB_BYTES + 1), "more than", id="too-large"),
        pytest.param(LENGTH_HEADER.pack(9) + b'"canary"?', "cannot be understood", id="not-json"),
    ],
)
def test_no_job(content: bytes, said: str) -> None:
    with pytest.raises(NoJob, match=said) as caught:
        read(content)
    assert "canary" not in str(caught.value)


def test_no_job_in_time() -> None:
    with pytest.raises(NoJob, match="no job within"):
        read(b"", close=False, seconds=0.1)


def test_stop_while_waiting() -> None:
    stop = Stop()
    stop.cancel()
    with pytest.raises(NoJob, match="asked to stop"):
        read(b"", close=False, stop=stop)
