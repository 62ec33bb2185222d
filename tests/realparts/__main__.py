"""The command line of the real parts: `PYTHONPATH=tests python3 -m realparts <command>`.

Called by the Makefile.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable

from realparts import environment, ground
from realparts.sandbox import Sandbox
from realparts.steps import StepFailed, say


def main(words: list[str]) -> int:
    """Do what the command says, and return its exit code; say why when a step fails."""
    commands: dict[str, tuple[str, Callable[[list[str]], int]]] = {
        "environment": ("make .venv", _environment),
        "on-ground": ("run the command that follows with all that tests need: programs, engine, images", _on_ground),
        "up": ("start the sandbox", _up),
        "down": ("take the sandbox down", _down),
    }
    parser = argparse.ArgumentParser(
        prog="python3 -m realparts",
        description="Real parts for tests, the demo and the sandbox. SANDBOX names the state directory (.sandbox).",
    )
    parsers = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, (summary, _) in commands.items():
        parsers.add_parser(name, help=summary).add_argument("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    chosen = parser.parse_args(words)
    try:
        return commands[chosen.command][1](chosen.words)
    except StepFailed as failure:
        say(str(failure))
        return 1


def _environment(_: list[str]) -> int:
    environment.make(ground.REPOSITORY)
    return 0


def _on_ground(command: list[str]) -> int:
    with ground.prepared(ground.state_directory()):
        return subprocess.run(command, check=False).returncode


def _up(_: list[str]) -> int:
    sandbox = Sandbox(ground.state_directory())
    sandbox.up()
    say(f"the sandbox is up. Use it with:  . {os.path.relpath(sandbox.environment_file)}")
    return 0


def _down(_: list[str]) -> int:
    Sandbox(ground.state_directory()).down()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
