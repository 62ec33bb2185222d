"""Children that behave, and children that do not."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import pytest

from compose_backup.agent.processes import Call, Ended, Runner
from compose_backup.agent.stopping import Stop

PATH = {"PATH": "/usr/bin:/bin"}


@dataclass
class Heard:
    output: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    ended: Ended | None = None


def run(script: str, stop: Stop | None = None, *, seconds: float | None = None, stdin: bytes | None = None) -> Heard:
    heard = Heard()
    call = Call(("sh", "-c", script), PATH, b"canary", stdin, seconds)
    heard.ended = Runner(stop or Stop(), grace_seconds=0.3).run(call, heard.output.append, heard.errors.append)
    return heard


@pytest.mark.parametrize(
    ("script", "stdin", "output", "code"),
    [
        pytest.param("echo one; printf 'two\\nthree'", None, ["one", "two", "three"], 0, id="lines"),
        pytest.param("exit 7", None, [], 7, id="code"),
        pytest.param("kill -9 $$", None, [], -9, id="killed"),
        pytest.param("cat", b"x" * 300_000, ["x" * 300_000], 0, id="large-stdin-and-line"),
        pytest.param("cat", None, [], 0, id="no-stdin"),
        pytest.param("cat $RESTIC_PASSWORD_FILE", None, ["canary"], 0, id="password-by-pipe"),
        pytest.param("printf 'a\\377b'", None, ["a\ufffdb"], 0, id="not-utf-8"),
        pytest.param("exec >&- 2>&-; sleep 0.3; exit 3", None, [], 3, id="closes-its-outputs-first"),
    ],
)
def test_child(script: str, stdin: bytes | None, output: list[str], code: int) -> None:
    heard = run(script, stdin=stdin)
    assert heard.output == output
    assert heard.ended is not None and (heard.ended.code, heard.ended.stopped) == (code, None)


def test_environment_and_arguments_hold_no_secret() -> None:
    heard = run("env; cat /proc/$$/cmdline /proc/$$/environ | tr '\\0' '\\n'")
    assert heard.output and "canary" not in "".join(heard.output)


def test_errors_are_heard_and_their_tail_is_kept() -> None:
    heard = run("i=0; while [ $i -lt 1000 ]; do echo $i >&2; i=$((i+1)); done")
    assert len(heard.errors) == 1000
    assert heard.ended is not None and heard.ended.error_lines == tuple(str(number) for number in range(800, 1000))


@pytest.mark.parametrize(
    ("script", "code"),
    [
        pytest.param("trap 'echo bye; exit 130' TERM; while :; do sleep 0.05; done", 130, id="ends-by-itself"),
        pytest.param("trap '' TERM; while :; do sleep 0.05; done", -9, id="must-be-killed"),
    ],
)
def test_time_limit(script: str, code: int) -> None:
    heard = run(script, seconds=0.2)
    assert heard.ended is not None and (heard.ended.code, heard.ended.stopped) == (code, "timeout")


def test_cancel_reaches_a_running_child() -> None:
    stop = Stop()
    threading.Timer(0.2, stop.cancel).start()
    started = time.monotonic()
    heard = run("sleep 30", stop)
    assert heard.ended is not None and heard.ended.stopped == "cancelled"
    assert time.monotonic() - started < 10


def test_deadline_of_the_job() -> None:
    stop = Stop()
    stop.end_after(0.1)
    heard = run("sleep 30", stop)
    assert heard.ended is not None and heard.ended.stopped == "deadline"


def test_a_listener_that_fails_leaves_no_child_behind() -> None:
    def fail(_: str) -> None:
        raise RuntimeError("listener")

    with pytest.raises(RuntimeError, match="listener"):
        Runner(Stop()).run(Call(("sh", "-c", "echo x; sleep 30"), PATH, b""), fail, fail)
