"""`python -m demo`: the sandbox is started and the story told on it; `python -m demo forget` removes what it left.

Called by the Makefile.
"""

from __future__ import annotations

import os
import sys

from demo.narrator import StoryBroken
from demo.story import Story
from realparts.ground import state_directory
from realparts.sandbox import Sandbox
from realparts.steps import StepFailed, say


def main(words: list[str]) -> int:
    """Tell the story, or forget it. Return 1 when a part does not hold."""
    sandbox = Sandbox(state_directory())
    try:
        if words == ["forget"]:
            Story(sandbox).forget()
        else:
            sandbox.up()
            Story(sandbox).tell()
            path = os.path.relpath(sandbox.environment_file)
            say(f"look around with `. {path}`; end it with `make sandbox-down`")
    except (StepFailed, StoryBroken) as failure:
        say(f"the demo ends here: {failure}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
