"""restic's JSON lines, read one at a time; nothing is run here.

Messages after restic's documentation (075_scripting.rst): `status` and `summary` on stdout, `error` and `exit_error`
on stderr; fields whose value is zero are absent. Called by agent/engines/restic.py and by the jobs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Message = Mapping[str, Any]

LEFT_OUT = "does not exist, skipping"
"""restic 0.18 prints this as plain text and exits 0 when one of two source paths is missing."""
MAX_FILE_ERRORS = 10


def message(line: str) -> Message | None:
    """Return the JSON object of a line, or None when the line is something else."""
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def without_trace(text: str) -> str:
    """Return an error without the Go stack trace that follows some of them: a function, then a file after a tab."""
    lines = text.strip().splitlines()
    following = [*lines[1:], ""]
    end = next((at for at, line in enumerate(following) if line.startswith("\t")), len(lines))
    return "\n".join(lines[:end])


class ErrorOutput:
    """What restic said on stderr: per file, at the end, and in plain words; bounded, whatever the number of lines."""

    def __init__(self) -> None:
        self.file_errors: list[str] = []
        self.file_error_count = 0
        self.fatal: str | None = None
        self.last_words = ""
        self.sources_left_out = False

    def take(self, line: str) -> None:
        """Take one line."""
        found = message(line)
        if found is None:
            self._take_text(line)
        elif found.get("message_type") == "exit_error":
            self.fatal = without_trace(str(found.get("message", "")))
        elif found.get("message_type") == "error" and found.get("during") != "scan":
            self._take_file_error(found)  # the scan only repeats what the archiver says

    def _take_text(self, line: str) -> None:
        if line.strip():
            self.last_words = line.strip()
        self.sources_left_out = self.sources_left_out or LEFT_OUT in line

    def _take_file_error(self, found: Message) -> None:
        self.file_error_count += 1
        if len(self.file_errors) < MAX_FILE_ERRORS:
            error = found.get("error") or {}
            self.file_errors.append(f"{found.get('item', '')}: {error.get('message', 'unknown error')}".strip(": "))

    @property
    def words(self) -> str:
        """What went wrong, in restic's own words."""
        parts = [self.fatal or self.last_words, *self.file_errors[:3]]
        return " ".join("; ".join(part for part in parts if part).split()) or "it said nothing"
