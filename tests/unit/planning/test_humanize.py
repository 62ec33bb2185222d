"""Sizes, durations and lists as people read them."""

from __future__ import annotations

import datetime as dt

import pytest

from compose_backup.planning import humanize


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (13_314_398_618, "12.4 GiB"),
        (1024**4 - 1, "1.0 TiB"),
        (5 * 1024**5, "5120.0 TiB"),
    ],
)
def test_size(count: int, expected: str) -> None:
    assert humanize.size(count) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-5, "0s"), (48, "48s"), (59.6, "1m0s"), (250, "4m10s"), (11100, "3h5m"), (187_200, "2d4h")],
)
def test_duration(seconds: float, expected: str) -> None:
    assert humanize.duration(dt.timedelta(seconds=seconds)) == expected


def test_listed() -> None:
    assert humanize.listed(["a", "b"]) == "a, b"
    assert humanize.listed(list("abcdefg")) == "a, b, c, d, e and 2 more"
