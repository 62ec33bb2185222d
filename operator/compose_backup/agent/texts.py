"""Texts that people read, kept within the bounds of the API. Called by all modules of this folder."""

from __future__ import annotations

from collections.abc import Iterable

WARNING_LIMIT = 1024
MESSAGE_LIMIT = 4096
REDACTED = "***"


def shorten(text: str, limit: int = WARNING_LIMIT) -> str:
    """Return the text in at most `limit` characters, its middle left out: cause and next step stand at the ends."""
    if len(text) <= limit:
        return text
    half = (limit - 3) // 2
    return f"{text[:half]} … {text[-half:]}"


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return the text without the secrets."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, REDACTED)
    return text
