"""A bench with a shop of three services, and restic with somebody in between.

Used by the tests of this folder about services that go down while restic works.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from compose_backup.planning.facts import Volume
from contracts.restic_bench import Bench
from fakes.agent_engine import FakeAgentEngine
from unit.agent.quiesce_scene import SERVICES, container, planned

Act = Callable[[], object]
ALL_UP = dict.fromkeys(("shop-web-1", "shop-app-1", "shop-db-1"), "running")
ALL_DOWN = dict.fromkeys(ALL_UP, "exited")
SHOP = tuple(planned(name) for name in SERVICES)


def shop_engine() -> FakeAgentEngine:
    """Return an engine on which the shop runs as it did when its plan was made."""
    running = {f"id-{name}": container(name) for name in SERVICES}
    return FakeAgentEngine(volumes=(Volume("data"), Volume("more")), containers=running)


def open_shop(bench: Bench) -> Bench:
    """Let a shop write to the volume `data` of a bench, and return the bench."""
    bench.engine = shop_engine()
    for name in ("data", "more"):
        (bench.volume(name) / "file").write_text(name)
    return bench


@contextmanager
def slow_restic(bench: Bench, argument: str) -> Iterator[Path]:
    """Let restic wait half a minute when it gets this argument, or until it is told to end; give what then is there."""
    original, begun = bench.program, bench.root / "begun"
    script = bench.root / "slow-restic"
    script.write_text(
        f'#!/bin/sh\ncase " $* " in *" {argument}"*) touch {begun}; trap "exit 130" TERM; '
        f'for _ in $(seq 600); do sleep 0.05; done;; esac\nexec "{original}" "$@"\n'
    )
    script.chmod(0o755)
    bench.program = str(script)
    yield begun
    bench.program = original


@contextmanager
def observed_restic(bench: Bench) -> Iterator[Callable[[], list[str]]]:
    """Give what restic was called for, each with the last step that the journal held at that moment."""
    original, seen = bench.program, bench.root / "seen"
    script = bench.root / "observed-restic"
    script.write_text(
        f'#!/bin/sh\ncase " $* " in *" --stdin "*) act=record;; *) act=$1;; esac\n'
        f'step=$(tail -n 1 "{bench.root}/journal/progress.jsonl" | sed \'s/.*"step":"\\([a-z-]*\\)".*/\\1/\')\n'
        f'echo "$act: $step" >>"{seen}"\nexec "{original}" "$@"\n'
    )
    script.chmod(0o755)
    bench.program = str(script)
    yield lambda: [line for line in seen.read_text().splitlines() if not line.endswith(": ")]
    bench.program = original


@contextmanager
def failing_restic(bench: Bench, argument: str) -> Iterator[None]:
    """Let restic fail when it gets this argument."""
    original = bench.program
    bench.program = _script(bench, f'case " $* " in *" {argument}"*) exit 1;; esac\nexec "{original}" "$@"')
    yield
    bench.program = original


@contextmanager
def surrounded_restic(bench: Bench, argument: str, before: Act, after: Act) -> Iterator[None]:
    """Do something before and after restic, whenever it gets this argument."""
    original, asks, answers = bench.program, bench.root / "asks", bench.root / "answers"
    for pipe in (asks, answers):
        os.mkfifo(pipe)
    bench.program = _script(
        bench,
        f'case " $* " in *" {argument}"*) ;; *) exec "{original}" "$@";; esac\n'
        f'echo before >"{asks}"; read -r _ <"{answers}"\n"{original}" "$@"; code=$?\n'
        f'echo after >"{asks}"; read -r _ <"{answers}"\nexit $code',
    )
    thread = threading.Thread(target=_answer, args=(asks, answers, {"before": before, "after": after}))
    thread.start()
    try:
        yield
    finally:
        bench.program = original
        asks.write_text("end")
        thread.join()


def _answer(asks: Path, answers: Path, acts: dict[str, Act]) -> None:
    while (asked := asks.read_text().strip()) != "end":
        acts[asked]()
        answers.write_text("done\n")


def _script(bench: Bench, text: str) -> str:
    script = bench.root / "our-restic"
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    return str(script)
