"""What engines, ssh and sockets say, and what we make of it. Run by pytest."""

from __future__ import annotations

import pytest

from compose_backup.api import reasons
from compose_backup.errors import ComposeBackupError, Stalled, Unreachable
from compose_backup.gateways import engine_errors

NFS = "error while mounting volume '/data': failed to mount local volume: mount :/export: connection timed out"
CHANGED = "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!\r\nHost key verification failed.\r\n"
UNKNOWN = (
    "No ED25519 host key is known for [h]:22 and you have requested strict checking.\r\nHost key verification failed."
)


def judged(error: ComposeBackupError) -> tuple[type[ComposeBackupError], str]:
    """Return kind and reason; the host must be named in every message."""
    assert "srv1" in error.message
    return type(error), error.reason


@pytest.mark.parametrize(
    ("status", "said", "kind", "reason"),
    [
        (403, "Forbidden", Stalled, reasons.ENGINE_ERROR),
        (401, "authorization denied", Stalled, reasons.AUTHENTICATION_FAILED),
        (503, "Service Unavailable", Unreachable, reasons.UNREACHABLE),
        (500, NFS, Stalled, reasons.VOLUME_MOUNT_FAILED),
        (400, "bind source path does not exist: /srv", Stalled, reasons.VOLUME_MOUNT_FAILED),
        (404, "No such image: agent:1", Stalled, reasons.IMAGE_UNAVAILABLE),
        (500, "OCI runtime create failed", Stalled, reasons.ENGINE_ERROR),
    ],
)
def test_answers(status: int, said: str, kind: type[ComposeBackupError], reason: str) -> None:
    error = engine_errors.of_answer("srv1", "POST /v1.41/containers/create", status, said)
    assert judged(error) == (kind, reason)


def test_forbidden_request_is_named() -> None:
    error = engine_errors.of_answer("srv1", "POST /v1.41/volumes/create", 403, "<html>Forbidden</html>")
    assert "POST /v1.41/volumes/create" in error.message


@pytest.mark.parametrize(
    ("log", "kind", "reason", "word"),
    [
        (CHANGED, Stalled, reasons.HOST_KEY_UNKNOWN, "another host key"),
        (UNKNOWN, Stalled, reasons.HOST_KEY_UNKNOWN, "ssh-keyscan"),
        ("u@h: Permission denied (publickey).\r\n", Stalled, reasons.AUTHENTICATION_FAILED, "authorized_keys"),
        ('Load key "k": error in libcrypto\r\nu@h: Permission denied', Stalled, reasons.AUTHENTICATION_FAILED, "read"),
        ("ssh: connect to host h port 22: Connection refused\r\n", Unreachable, reasons.UNREACHABLE, "refused"),
        ("ssh: Could not resolve hostname h: Name or service not known", Unreachable, reasons.UNREACHABLE, "resolved"),
        ("ssh: connect to host h port 22: No route to host", Unreachable, reasons.UNREACHABLE, "no route"),
        ("Connection to 10.0.0.1 port 22 timed out\r\n", Unreachable, reasons.UNREACHABLE, "in time"),
        ("kex_exchange_identification: read: Connection reset by peer", Unreachable, reasons.UNREACHABLE, "kex_"),
        ("", Unreachable, reasons.UNREACHABLE, "without a word"),
    ],
)
def test_ssh(log: str, kind: type[ComposeBackupError], reason: str, word: str) -> None:
    error = engine_errors.of_ssh("srv1", "ssh://u@h", log)
    assert judged(error) == (kind, reason)
    assert word in error.message


def test_forwarding_that_sshd_forbids_is_told_from_a_missing_socket() -> None:
    forbidden = "channel 2: open failed: administratively prohibited: open failed"
    error = engine_errors.of_forward("srv1", "ssh://u@h", forbidden)
    assert error and judged(error) == (Stalled, reasons.AUTHENTICATION_FAILED)
    missing = engine_errors.of_forward("srv1", "ssh://u@h", "channel 2: open failed: connect failed: open failed")
    assert missing and judged(missing) == (Unreachable, reasons.UNREACHABLE)
    assert engine_errors.of_forward("srv1", "ssh://u@h", "") is None


def test_socket_that_may_not_be_used_needs_a_person() -> None:
    error = engine_errors.of_connection("srv1", "unix:///run/docker.sock", "[Errno 13] Permission denied")
    assert judged(error) == (Stalled, reasons.AUTHENTICATION_FAILED)


def test_messages_stay_short_enough_for_a_condition() -> None:
    assert len(engine_errors.of_answer("srv1", "GET /info", 500, "x\n" * 5000).message) < 1024
