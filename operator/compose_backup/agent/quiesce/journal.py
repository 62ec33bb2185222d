"""The journal on the host: what is to be undone (plan.json) and how far it has come (progress.jsonl), synced to disk.

It survives the agent, the engine and the host. Written by window.py and its neighbours before each act, read by
recovery.py.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from compose_backup.agent.events import now
from compose_backup.api import reasons
from compose_backup.api.journal import PLAN_FILE, PROGRESS_FILE, JournalEntry, JournalPlan, Step
from compose_backup.errors import AgentFailed


class Journal:
    """One journal directory. Safe to write from several threads."""

    def __init__(self, root: str, say: Callable[[str], None]) -> None:
        self._root = Path(root)
        self._say = say
        self._lock = threading.Lock()

    @property
    def plan(self) -> JournalPlan | None:
        """The plan that was written here, None before one was."""
        try:
            return JournalPlan.model_validate_json(self._plan_file.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            self._say(f"the plan in the journal cannot be understood: {error}")
            return None

    @property
    def entries(self) -> tuple[JournalEntry, ...]:
        """Everything that was written, but for lines that a crash has cut off."""
        try:
            lines = self._progress_file.read_bytes().splitlines()
        except FileNotFoundError:
            return ()
        found = (_entry(line) for line in lines)
        return tuple(entry for entry in found if entry is not None)

    @property
    def is_open(self) -> bool:
        """Whether somebody has begun here and not come to the end."""
        return self.plan is not None and not any(entry.step == "closed" for entry in self.entries)

    def open(self, plan: JournalPlan) -> None:
        """Write the plan. Raise AgentFailed when it is not on the disk: then nothing may be stopped."""
        with _failing():
            draft = self._plan_file.with_suffix(".draft")
            with draft.open("wb") as file:
                file.write(plan.model_dump_json(by_alias=True, exclude_defaults=True).encode())
                _sync(file)
            draft.rename(self._plan_file)
            self._sync_directory()
        self.write("opened")

    def write(self, step: Step, *, container: str | None = None, index: int | None = None) -> None:
        """Write what is about to be done. Raise AgentFailed when it is not on the disk: then it must not be done."""
        with _failing():
            self._append(JournalEntry(step=step, time=now(), container=container, index=index))

    def note(self, step: Step, *, container: str | None = None, index: int | None = None) -> None:
        """Write what is done in any case, as every act that brings services back."""
        try:
            self.write(step, container=container, index=index)
        except AgentFailed as error:
            self._say(error.message)

    def _append(self, entry: JournalEntry) -> None:
        # Begun on a line of its own, whatever a crash has left of the last one.
        line = b"\n" + entry.model_dump_json(by_alias=True, exclude_none=True).encode()
        with self._lock:
            is_new = not self._progress_file.exists()
            with self._progress_file.open("ab") as file:
                file.write(line)
                _sync(file)
            if is_new:
                self._sync_directory()

    def _sync_directory(self) -> None:
        """A new file is there after a crash only when its directory was synced as well (fsync(2))."""
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @property
    def _plan_file(self) -> Path:
        return self._root / PLAN_FILE

    @property
    def _progress_file(self) -> Path:
        return self._root / PROGRESS_FILE


def _entry(line: bytes) -> JournalEntry | None:
    try:
        return JournalEntry.model_validate_json(line)
    except ValueError:
        return None


@contextmanager
def _failing() -> Iterator[None]:
    """Turn an error of the disk into one of the job."""
    try:
        yield
    except OSError as error:
        message = f"the journal of the services could not be written: {error}; look at the disk of Docker's volumes"
        raise AgentFailed(reasons.ENGINE_ERROR, message, retryable=True) from error


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
