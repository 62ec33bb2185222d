"""The job, read from stdin: eight bytes of length, then JSON. Called by agent/__main__.py."""

from __future__ import annotations

import os
import select
import time

from compose_backup.agent.stopping import Stop
from compose_backup.api.job import ACCEPT_SECONDS, LENGTH_HEADER, MAX_JOB_BYTES, Job

POLL_SECONDS = 0.2
READ_BYTES = 1 << 16


class NoJob(Exception):
    """No job came, or something that is none. The message holds nothing of what was read: it may be a secret."""


def read_job(descriptor: int, stop: Stop, seconds: float = ACCEPT_SECONDS) -> Job:
    """Return the job. Raise NoJob when it is not there in time, too large, or cannot be understood."""
    limit = time.monotonic() + seconds
    (length,) = LENGTH_HEADER.unpack(_exactly(descriptor, LENGTH_HEADER.size, limit, stop))
    if length > MAX_JOB_BYTES:
        raise NoJob(f"the job is announced with {length} bytes, more than {MAX_JOB_BYTES}")
    document = _exactly(descriptor, length, limit, stop)
    try:
        return Job.model_validate_json(document)
    except ValueError:
        raise NoJob("the job cannot be understood: operator and agent image are of different versions") from None


def _exactly(descriptor: int, count: int, limit: float, stop: Stop) -> bytes:
    content = bytearray()
    while len(content) < count:
        if stop.cancelled:
            raise NoJob("asked to stop before a job came")
        if time.monotonic() >= limit:
            raise NoJob(f"no job within {ACCEPT_SECONDS} s")
        if not select.select([descriptor], [], [], POLL_SECONDS)[0]:
            continue
        piece = os.read(descriptor, min(READ_BYTES, count - len(content)))
        if not piece:
            raise NoJob("stdin ended before the job was complete")
        content += piece
    return bytes(content)
