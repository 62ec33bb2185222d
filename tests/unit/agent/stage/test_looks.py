"""When what was staged is still true: every field of a look counts, and youth is never trusted. Run by pytest."""

from __future__ import annotations

import os
import sys

import pytest

from compose_backup.agent.stage.looks import GRANULARITY_NS, DirectoryLooks, is_true, packed, unpacked

NOW = 1_800_000_000_000_000_000
AT_REST = NOW - 10 * GRANULARITY_NS
FIELDS = {
    "st_mode": 0o100640,
    "st_ino": 1 << 63,
    "st_uid": 1000,
    "st_gid": (1 << 32) - 2,
    "st_size": 1 << 50,
    "st_rdev": 5,
    "st_mtime_ns": AT_REST,
    "st_ctime_ns": AT_REST,
}


class Found:
    """What stat(2) told."""

    def __init__(self, **changes: int) -> None:
        self.__dict__.update(FIELDS | changes)


def found(**changes: int) -> os.stat_result:
    return Found(**changes)  # type: ignore[return-value]


def test_what_has_not_changed_is_true() -> None:
    assert is_true(packed(found(), NOW), found())


@pytest.mark.parametrize("field", FIELDS)
def test_each_field_counts(field: str) -> None:
    """A change of one of them alone: another file under the name has all but its number."""
    assert not is_true(packed(found(), NOW), found(**{field: FIELDS[field] + 1}))


@pytest.mark.parametrize("nanoseconds", [1_000_000_000, 999_999_999, 1])
def test_times_count_to_the_nanosecond(nanoseconds: int) -> None:
    assert not is_true(packed(found(), NOW), found(st_mtime_ns=AT_REST + nanoseconds))


@pytest.mark.parametrize(
    ("age", "expected"),
    [(GRANULARITY_NS + 1, True), (GRANULARITY_NS, False), (0, False), (-GRANULARITY_NS, False)],
)
def test_what_changed_shortly_before_the_look_is_never_true(age: int, expected: bool) -> None:
    young = found(st_ctime_ns=NOW - age)
    assert is_true(packed(young, NOW), young) is expected


@pytest.mark.parametrize("modified", [-(1 << 62), -1, 0, 1 << 62, 15_000_000_000 * 10**9], ids=str)
def test_any_date_can_be_held(modified: int) -> None:
    """The last one is in the year 2445, beyond what 64 bits of nanoseconds hold."""
    look = packed(found(st_mtime_ns=modified), NOW)
    assert is_true(look, found(st_mtime_ns=modified)) and not is_true(look, found(st_mtime_ns=modified + 1))
    assert unpacked(look).modified in (modified, modified - (1 << 64))


def test_a_million_looks_fit() -> None:
    """About 220 bytes each, so that the agent's container can hold what the limit allows."""
    looks = DirectoryLooks()
    look = bytes(packed(found(), NOW))
    for number in range(10_000):
        looks.entries[f"file-{number:08}.dat"] = look[:-1] + bytes([number % 2])
    names = sum(sys.getsizeof(name) for name in looks.entries)
    held = sys.getsizeof(looks.entries) + names + 10_000 * sys.getsizeof(look)
    assert held / 10_000 < 220


def test_files_are_found_by_path_and_listed_in_order() -> None:
    file, pipe = packed(found(), NOW), packed(found(st_mode=0o10600), NOW)
    inner = DirectoryLooks(entries={"b": file, "a": file, "pipe": pipe})
    looks = DirectoryLooks(entries={"z": file, "c": file}, directories={"d": inner})
    assert [path for path, _ in looks.regular_files()] == ["c", "z", "d/a", "d/b"]
    assert looks.find("d/a") == file and looks.find("d/pipe") == pipe
    assert looks.find("d") is looks.find("d/c") is looks.find("e/a") is None
