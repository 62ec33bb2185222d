"""How a long step shows its progress and how a failed one says what to do.

Called by every module of this folder.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

HEARTBEAT_SECONDS = 20.0
_OF_THIS_THREAD = threading.local()


class StepFailed(Exception):
    """A step could not be done. The message names the step, the cause and what to do."""

    def __init__(self, step: str, cause: str, remedy: str) -> None:
        super().__init__(f"{step} failed: {cause}\n  What to do: {remedy}")


def say(message: str) -> None:
    """Print one line of progress on stderr, where it never mixes with a command's output."""
    print(f"[ground] {message}", file=sys.stderr, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announce a step, say every 20 seconds that it still runs, and say how long it took.

    Of steps within steps only the innermost says that it runs.
    """
    started = time.monotonic()
    finished = threading.Event()
    nested: list[object] = _OF_THIS_THREAD.__dict__.setdefault("steps", [])
    nested.append(finished)

    def heartbeat() -> None:
        while not finished.wait(HEARTBEAT_SECONDS):
            if nested[-1:] == [finished]:  # it may be ending at this moment
                say(f"{title} … {time.monotonic() - started:.0f} s")

    say(f"{title} …")
    threading.Thread(target=heartbeat, daemon=True).start()
    try:
        yield
    finally:
        finished.set()
        nested.remove(finished)
    say(f"{title}: done in {time.monotonic() - started:.1f} s")


def run(
    title: str,
    command: Sequence[str | Path],
    *,
    remedy: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes | None = None,
) -> bytes:
    """Run a command to its end and return its standard output.

    Raises StepFailed with the last lines of its error output.
    """
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, env=env, cwd=cwd, check=False)
    except FileNotFoundError as missing:
        raise StepFailed(title, f"{missing.filename} is not installed", remedy) from missing
    if done.returncode != 0:
        tail = b"\n".join((done.stderr or done.stdout).strip().splitlines()[-15:]).decode(errors="replace")
        raise StepFailed(title, f"{command[0]} ended with {done.returncode}:\n{tail}", remedy)
    return done.stdout


def wait_until(title: str, is_true: Callable[[], bool], *, seconds: float, remedy: str) -> None:
    """Ask ten times a second until the condition holds; raise StepFailed after the given time."""
    deadline = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > deadline:
            raise StepFailed(title, f"not true after {seconds:.0f} s", remedy)
        time.sleep(0.1)
