"""The exception tree. What is not in it is a bug and surfaces as one.

ComposeBackupError
├── Stalled         a person must act: wrong key, missing Secret, bad specification; not retried until something changes
├── Unreachable     a host, engine or API server did not answer in time; retried with back-off
└── AgentFailed     the agent ended without doing its job; its attempt is over

Every message names the object, the cause and the next step. Raised by gateways and agent, caught once in
reconcile/worker.py and agent/__main__.py.
"""

from __future__ import annotations


class ComposeBackupError(Exception):
    """Base of all errors that are part of normal operation. `reason` is a constant of api/reasons.py."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Stalled(ComposeBackupError):
    """A person must act; trying again changes nothing."""


class Unreachable(ComposeBackupError):
    """The other side did not answer, or not in time; trying again later may help."""


class AgentFailed(ComposeBackupError):
    """The agent could not do its job. `retryable` tells whether another attempt may succeed."""

    def __init__(self, reason: str, message: str, *, retryable: bool) -> None:
        super().__init__(reason, message)
        self.retryable = retryable
