"""The command line of the real parts: `PYTHONPATH=tests python3 -m realparts <command>`.

Called by the Makefile.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from realparts import environment, ground
from realparts.sandbox import Sandbox
from realparts.steps import StepFailed, say


def main(words: list[str]) -> int:
    """Do what the command says; return 1 and say why when a step fails."""
    state = ground.state_directory()
    commands: dict[str, tuple[str, Callable[[], object]]] = {
        "environment": ("make .venv", lambda: environment.make(ground.REPOSITORY)),
        "prepare": ("have ready what tests need: programs, engine, images", lambda: ground.prepare(state)),
        "up": ("start the sandbox", lambda: _up(Sandbox(state))),
        "down": ("take the sandbox down", lambda: Sandbox(state).down()),
    }
    parser = argparse.ArgumentParser(
        prog="python3 -m realparts",
        description="Real parts for tests, the demo and the sandbox. SANDBOX names the state directory (.sandbox).",
    )
    parsers = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, (summary, _) in commands.items():
        parsers.add_parser(name, help=summary)
    try:
        commands[parser.parse_args(words).command][1]()
    except StepFailed as failure:
        say(str(failure))
        return 1
    return 0


def _up(sandbox: Sandbox) -> None:
    sandbox.up()
    say(f"the sandbox is up. Use it with:  . {os.path.relpath(sandbox.environment_file)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
