"""What a failed restic means: exit code and error output → reason, and whether another attempt may help.

Exit codes after restic's documentation (075_scripting.rst): 1 fatal, 3 a source file could not be read, 10 repository
absent, 11 locked, 12 wrong password, 130 interrupted. The texts were seen with 0.18.0 and 0.19.1. What is in no row is
a failure all the same. Called by agent/engines/restic.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from compose_backup.api import reasons


@dataclass(frozen=True)
class Cause:
    """What a failure means, and what a person does about it."""

    reason: str
    retryable: bool
    next_step: str


@dataclass(frozen=True)
class Row:
    """One line of the table: it fits when the code and a text both fit; None fits everything."""

    cause: Cause
    code: int | None = None
    text: re.Pattern[str] | None = None

    def fits(self, code: int, output: str) -> bool:
        """Say whether a failure belongs to this row."""
        return (self.code is None or self.code == code) and (self.text is None or bool(self.text.search(output)))


def _text(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.MULTILINE)


DISK_FULL: Final = Cause(reasons.DISK_FULL, False, "free space on the disk that is full, or enlarge it")
ABSENT: Final = Cause(
    reasons.REPOSITORY_ABSENT, False, "check the path and whether the disk is mounted; spec.create allows to create it"
)
LOCKED: Final = Cause(
    reasons.REPOSITORY_LOCKED, True, "wait for the other restic, or run `restic unlock` if none is at work"
)
WRONG_PASSWORD: Final = Cause(reasons.WRONG_PASSWORD, False, "correct the password in the Secret of the repository")
DAMAGED: Final = Cause(
    reasons.REPOSITORY_DAMAGED, False, "run `restic check` on the repository and repair it before anything else"
)
NOT_READY: Final = Cause(
    reasons.REPOSITORY_NOT_READY, True, "check that the disk of the repository is mounted and answers"
)
NOT_WRITABLE: Final = Cause(
    reasons.REPOSITORY_NOT_READY,
    False,
    "let root of the host write there: mount it writable and give the directory to root",
)
BAD_PATTERN: Final = Cause(reasons.INVALID_SPEC, False, "correct the pattern in spec.excludeFiles")
NO_SNAPSHOT: Final = Cause(reasons.SNAPSHOT_NOT_FOUND, False, "list what is there with `restic snapshots`")
KILLED: Final = Cause(
    reasons.OUT_OF_MEMORY, True, "restic was killed, most likely for memory: raise spec.agent.memory of the ComposeHost"
)
UNKNOWN: Final = Cause(reasons.ARCHIVE_FAILED, True, "read the agent's log in status.logTail")

# The first row that fits wins. Causes that name themselves come before plain exit codes, since a full disk or a broken
# file shows up behind several codes.
TABLE: Final[tuple[Row, ...]] = (
    Row(DISK_FULL, text=_text(r"no space left on device|disk quota exceeded")),
    Row(WRONG_PASSWORD, code=12),
    Row(LOCKED, code=11),
    Row(ABSENT, code=10),
    Row(WRONG_PASSWORD, text=_text(r"wrong password|empty password is not allowed|resolving password failed")),
    Row(BAD_PATTERN, text=_text(r"invalid pattern\(s\)")),
    Row(NO_SNAPSHOT, text=_text(r"no matching id found|no snapshot found|path [^\n]*: not found")),
    Row(
        DAMAGED,
        text=_text(
            r"ciphertext (verification failed|too short)|is damaged|invalid data returned|"
            r"zero size, invalid repository|config cannot be loaded|repository contains errors|"
            r"does not match id|hash mismatch|^panic: |unsupported repository version|"
            r"load\(<(index|snapshot|data|key|config)/|"
            r"blob [^\n]* not found|unable to load (index|tree)|not found in repository|unexpected end of json"
        ),
    ),
    Row(NOT_READY, text=_text(r"stale (nfs )?file handle|input/output error|connection timed out|transport endpoint")),
    Row(NOT_WRITABLE, text=_text(r"read-only file system")),
    Row(
        NOT_WRITABLE,
        text=_text(
            r"(unable to (create lock|open config)|failed to (save|create)|mkdir|openfile)[^\n]*permission denied"
        ),
    ),
    Row(KILLED, code=-9),
    Row(KILLED, text=_text(r"out of memory|cannot allocate memory")),
)


def cause_of(code: int, lines: Sequence[str]) -> Cause:
    """Return what a failed call means. Raise ValueError for a call that did not fail."""
    if code == 0:
        raise ValueError("exit code 0 is no failure")
    output = "\n".join(lines)
    return next((row.cause for row in TABLE if row.fits(code, output)), UNKNOWN)


# After one of these every further volume would end the same way.
ENDS_THE_ATTEMPT: Final = frozenset(
    {
        reasons.DISK_FULL,
        reasons.REPOSITORY_ABSENT,
        reasons.REPOSITORY_VANISHED,
        reasons.REPOSITORY_REPLACED,
        reasons.REPOSITORY_LOCKED,
        reasons.REPOSITORY_DAMAGED,
        reasons.REPOSITORY_NOT_READY,
        reasons.WRONG_PASSWORD,
        reasons.CANCELLED,
        reasons.DEADLINE_EXCEEDED,
    }
)
