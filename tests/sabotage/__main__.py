"""Breaks each guarded rule in a scratch copy and sees its test turn red: `python -m sabotage [name …]`.

A patch of this folder begins with `# test: <what pytest shall run>` and `# breaks: <the rule, in a sentence>`.
Called by `make sabotage`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from realparts.engine import main_daemon
from realparts.ground import REPOSITORY

PATCHES = Path(__file__).parent
GREEN, RED = 0, 1  # pytest's exit codes; 2 and more mean that no test said anything


@dataclass(frozen=True)
class Sabotage:
    """One rule broken on purpose."""

    patch: Path
    test: str
    breaks: str

    @classmethod
    def read(cls, patch: Path) -> Sabotage:
        """Read the head of a patch. Raises ValueError when it lacks something."""
        lines = (line.removeprefix("# ").partition(": ") for line in patch.read_text().splitlines() if line[:2] == "# ")
        head = {key: value.strip() for key, _, value in lines}
        if not {"test", "breaks"} <= head.keys():
            raise ValueError(f"{patch.name} must begin with `# test: …` and `# breaks: …`")
        return cls(patch, head["test"], head["breaks"])


@dataclass(frozen=True)
class Scratch:
    """A copy of the checkout in which anything may be broken."""

    place: Path

    def tree(self) -> Path:
        """Make the copy anew: what git knows or would take in, as it stands now."""
        tree = self.place / "tree"
        shutil.rmtree(tree, ignore_errors=True)
        listing = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        for name in filter(None, subprocess.check_output(listing, cwd=REPOSITORY, text=True).split("\0")):
            if (REPOSITORY / name).exists():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(REPOSITORY / name, tree / name)
        return tree

    def run(self, tree: Path, tests: list[str]) -> subprocess.CompletedProcess[str]:
        """Run tests of the copy with the packages of the checkout, on an engine of the scratch directory's own."""
        paths = f"{tree / 'operator'}:{tree / 'tests'}"
        environment = os.environ | {"PYTHONPATH": paths, "SANDBOX": str(self.place / "ground")}
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
        return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


def main(names: list[str]) -> int:
    """Try all sabotages, or those named; return 1 unless each turned its test red, and only it did."""
    patches = [patch for patch in sorted(PATCHES.glob("*.patch")) if not names or patch.stem in names]
    sabotages = [Sabotage.read(patch) for patch in patches]
    if not sabotages:
        print("there is no such sabotage")
        return 1
    with _scratch() as scratch:
        untouched = scratch.run(scratch.tree(), sorted({sabotage.test for sabotage in sabotages}))
        if untouched.returncode != GREEN:
            print(f"the tests must be green before anything is broken:\n{_tail(untouched)}")
            return 1
        complaints = [_try(sabotage, scratch) for sabotage in sabotages]
    return 1 if any(complaints) else 0


def _try(sabotage: Sabotage, scratch: Scratch) -> str | None:
    """Break one rule; return what is wrong, None when its test turned red."""
    complaint = _complaint(sabotage, scratch)
    print(f"{'NOT SEEN' if complaint else 'red     '}  {sabotage.patch.stem}: {sabotage.breaks}", flush=True)
    print(f"          {complaint or sabotage.test}", flush=True)
    return complaint


def _complaint(sabotage: Sabotage, scratch: Scratch) -> str | None:
    tree = scratch.tree()
    command = ("git", "apply", sabotage.patch)
    applied = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    if applied.returncode:
        return f"the patch does not apply any more: {_tail(applied)}"
    tried = scratch.run(tree, [sabotage.test])
    if tried.returncode == RED:
        return None
    return f"{sabotage.test} ended with {tried.returncode} instead of {RED}:\n{_tail(tried)}"


def _tail(done: subprocess.CompletedProcess[str]) -> str:
    return "\n".join((done.stdout + done.stderr).splitlines()[-20:])


@contextmanager
def _scratch() -> Iterator[Scratch]:
    place = Path(tempfile.mkdtemp(prefix="compose-backup-sabotage-"))
    try:
        yield Scratch(place)
    finally:
        main_daemon(place / "ground" / "engine").remove()
        shutil.rmtree(place)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
