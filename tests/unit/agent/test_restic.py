"""restic's arguments and what its failures mean, without running it."""

from __future__ import annotations

import datetime as dt

import pytest

from compose_backup.agent.engines import restic, restic_errors
from compose_backup.agent.engines.restic_output import ErrorOutput, without_trace
from compose_backup.api import reasons

IDENTITY = ("--host=h", "--time=2026-11-24 02:00:00", "--tag=kind=run")


def test_identity_is_in_utc() -> None:
    slot = dt.datetime(2026, 11, 24, 3, tzinfo=dt.timezone(dt.timedelta(hours=1)))
    assert restic.identity_arguments("h", slot, {"kind": "run"}) == IDENTITY


@pytest.mark.parametrize(
    ("parent", "compared"),
    [pytest.param("abc", "--parent=abc", id="with-parent"), pytest.param(None, "--force", id="first")],
)
def test_backup(parent: str | None, compared: str) -> None:
    arguments = restic.backup_arguments(IDENTITY, ("--retry-lock=10m",), parent, (), ("/volumes/v", "/manifest/v.json"))
    reading = ("--one-file-system", "--read-concurrency=4")
    expected = ("backup", "--retry-lock=10m", *IDENTITY, compared, *reading, "--", "/volumes/v")
    assert arguments == (*expected, "/manifest/v.json")


@pytest.mark.parametrize("counts", [True, False])
def test_a_size_that_is_known_is_not_counted(counts: bool) -> None:
    assert ("--no-scan" in restic.backup_arguments(IDENTITY, (), "abc", (), ("/volumes/v",), counts=counts)) != counts


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        pytest.param("*.log", "/volumes/v/**/*.log", id="name"),
        pytest.param("/cache", "/volumes/v/cache", id="anchored"),
        pytest.param("!keep.log", "!/volumes/v/**/keep.log", id="negated"),
        pytest.param("!/keep.log", "!/volumes/v/keep.log", id="negated-anchored"),
        pytest.param("-x", "/volumes/v/**/-x", id="dash"),
    ],
)
def test_excludes_stay_in_the_volume(pattern: str, expected: str) -> None:
    assert restic.excludes((pattern,), "/volumes/v") == (f"--exclude={expected}",)


@pytest.mark.parametrize("delete", [True, False])
def test_restore(delete: bool) -> None:
    arguments = restic.restore_arguments("abc", "/volumes", "/live/volumes", ["/v"], delete=delete)
    assert arguments[:4] == ("restore", "abc:/volumes", "--target=/live/volumes", "--include=/v")
    assert ("--delete" in arguments) == delete
    assert {"--sparse", "--exclude-xattr=trusted.*", "--retry-lock=10m"} <= set(arguments)


def test_restore_without_include_is_refused() -> None:
    with pytest.raises(ValueError):
        restic.restore_arguments("abc", "/volumes", "/live/volumes", [], delete=True)


def test_escaped() -> None:
    assert restic.escaped("/v/a[1]*?\\") == "/v/a\\[1]\\*\\?\\\\"


@pytest.mark.parametrize(
    ("code", "text", "reason", "retryable"),
    [
        pytest.param(10, "repository does not exist", reasons.REPOSITORY_ABSENT, False, id="10"),
        pytest.param(11, "unable to create lock", reasons.REPOSITORY_LOCKED, True, id="11"),
        pytest.param(12, "Fatal: wrong password or no key found", reasons.WRONG_PASSWORD, False, id="12"),
        pytest.param(1, "Fatal: an empty password is not allowed", reasons.WRONG_PASSWORD, False, id="empty-password"),
        pytest.param(1, "write /r/data/x: no space left on device", reasons.DISK_FULL, False, id="full"),
        pytest.param(11, "lock: no space left on device", reasons.DISK_FULL, False, id="full-hides-behind-11"),
        pytest.param(3, "disk quota exceeded", reasons.DISK_FULL, False, id="quota"),
        pytest.param(1, "LoadRaw(<key/9b>): invalid data returned", reasons.REPOSITORY_DAMAGED, False, id="bad-key"),
        pytest.param(1, "zero size, invalid repository?", reasons.REPOSITORY_DAMAGED, False, id="empty"),
        pytest.param(1, "config cannot be loaded: ciphertext too short", reasons.REPOSITORY_DAMAGED, False, id="short"),
        pytest.param(1, "ciphertext verification failed", reasons.REPOSITORY_DAMAGED, False, id="two-inits"),
        pytest.param(2, "panic: runtime error", reasons.REPOSITORY_DAMAGED, False, id="panic"),
        pytest.param(1, "open /r: stale NFS file handle", reasons.REPOSITORY_NOT_READY, True, id="stale"),
        pytest.param(1, "unable to open config: permission denied", reasons.REPOSITORY_NOT_READY, False, id="rights"),
        pytest.param(1, "Fatal: --exclude: invalid pattern(s) provided:", reasons.INVALID_SPEC, False, id="pattern"),
        pytest.param(-9, "", reasons.OUT_OF_MEMORY, True, id="killed"),
        pytest.param(1, "something new", reasons.ARCHIVE_FAILED, True, id="unknown-text"),
        pytest.param(99, "", reasons.ARCHIVE_FAILED, True, id="unknown-code"),
        pytest.param(3, "", reasons.ARCHIVE_FAILED, True, id="3-where-it-is-not-allowed"),
    ],
)  # fmt: skip
def test_causes(code: int, text: str, reason: str, retryable: bool) -> None:
    cause = restic_errors.cause_of(code, ["something before", text])
    assert (cause.reason, cause.retryable) == (reason, retryable)


def test_success_has_no_cause() -> None:
    with pytest.raises(ValueError):
        restic_errors.cause_of(0, [])


def test_error_output() -> None:
    errors = ErrorOutput()
    for line in (
        '{"message_type":"error","error":{"message":"denied"},"during":"scan","item":"/volumes/v/a"}',
        '{"message_type":"error","error":{"message":"denied"},"during":"archival","item":"/volumes/v/a"}',
        "/volumes/v does not exist, skipping",
        "{not json",
        '{"message_type":"exit_error","code":1,"message":"Fatal: two\\nlines"}',
    ):
        errors.take(line)
    assert errors.file_errors == ["/volumes/v/a: denied"] and errors.file_error_count == 1
    assert errors.sources_left_out
    assert errors.words == "Fatal: two lines; /volumes/v/a: denied"


def test_file_errors_are_bounded() -> None:
    errors = ErrorOutput()
    for number in range(1000):
        errors.take(f'{{"message_type":"error","error":{{"message":"x"}},"during":"archival","item":"{number}"}}')
    assert (len(errors.file_errors), errors.file_error_count) == (10, 1000)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one\nmain.open\n\tgithub.com/x.go:1\nmain.run\n\tx.go:2", "one"),
        ("one\ntwo\n/three", "one\ntwo\n/three"),
        ("", ""),
    ],
    ids=["trace", "plain", "empty"],
)
def test_without_trace(text: str, expected: str) -> None:
    assert without_trace(text) == expected
