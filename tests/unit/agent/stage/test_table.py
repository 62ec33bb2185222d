"""What the next night learns from the table of the last: which files restic would take for the old ones.

Run by pytest.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from compose_backup.agent.stage import table
from compose_backup.agent.stage.looks import DirectoryLooks, packed
from unit.agent.stage.test_looks import AT_REST, NOW, found

FILE = {"st_mode": 0o100644, "st_size": 10, "st_ino": 7}
NAMES = ("plain", "with space", "new\nline", "per%cent", os.fsdecode(b"\xff not UTF-8"), "ü", "end 1 x")


def looks(**files: dict[str, int]) -> DirectoryLooks:
    """Return a directory `d` with files."""
    entries = {name: packed(found(**FILE | changes), NOW) for name, changes in files.items()}
    return DirectoryLooks(directories={"d": DirectoryLooks(entries=entries)})


def distrusted(before: DirectoryLooks, now: DirectoryLooks) -> tuple[bytes, ...] | None:
    return table.distrusted(list(table.lines(before)), now)


def test_an_unchanged_file_is_trusted() -> None:
    assert distrusted(looks(file={}), looks(file={})) == ()


@pytest.mark.parametrize("changes", [{"st_ctime_ns": AT_REST + 1}, {"st_ino": 8}], ids=["changed", "another file"])
def test_a_change_that_keeps_size_and_time_is_found(changes: dict[str, int]) -> None:
    assert distrusted(looks(file={}, other={}), looks(file=changes, other={})) == (b"d/file",)


@pytest.mark.parametrize("changes", [{"st_size": 11}, {"st_mtime_ns": 1}, {"st_mode": 0o10644}], ids=str)
def test_what_restic_sees_by_itself_is_not_named(changes: dict[str, int]) -> None:
    assert distrusted(looks(file={}), looks(file={"st_ctime_ns": AT_REST + 1} | changes)) == ()


def test_new_and_deleted_files_are_not_named() -> None:
    assert distrusted(looks(old={}), looks(new={})) == ()


def test_a_file_that_was_young_is_named() -> None:
    """It may have been changed once more in the same tick, after it was staged."""
    young = {"st_ctime_ns": NOW}
    assert distrusted(looks(file=young), looks(file=young)) == (b"d/file",)


def test_any_name_can_be_named() -> None:
    before = looks(**{name: {} for name in NAMES})
    now = looks(**{name: {"st_ctime_ns": 1} for name in NAMES})
    assert set(distrusted(before, now) or ()) == {b"d/" + os.fsencode(name) for name in NAMES}
    assert all(line.isascii() and line.count(" ") in (1, 2, 4) for line in table.lines(before))


def test_the_text_is_the_same_every_night() -> None:
    before, now = looks(a={}, b={}), looks(b={}, a={})
    assert list(table.lines(before)) == list(table.lines(now))


def test_without_a_table_nothing_is_known() -> None:
    assert table.distrusted(None, looks(file={})) is None


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda lines: lines[:0], id="empty"),
        pytest.param(lambda lines: lines[:-1], id="cut off"),
        pytest.param(lambda lines: lines[:1] + lines[2:], id="a line is missing"),
        pytest.param(lambda lines: [*lines[:1], lines[1].replace(" 10 ", " 11 "), *lines[2:]], id="a number"),
        pytest.param(lambda lines: [*lines[:1], "7 x y z d/a", *lines[2:]], id="no number"),
        pytest.param(lambda lines: [*lines[:1], "text", *lines[2:]], id="no row"),
        pytest.param(lambda lines: [*lines, lines[1]], id="more behind the end"),
        pytest.param(lambda lines: [lines[0].replace("1", "2"), *lines[1:]], id="another version"),
        pytest.param(lambda lines: [lines[0], lines[2], lines[1], lines[3]], id="another order"),
        pytest.param(lambda lines: [*lines[:-1], "end"], id="no sum"),
    ],
)
def test_a_damaged_table_is_none(damage: Callable[[list[str]], list[str]]) -> None:
    before = looks(a={}, b={"st_ino": 8})
    lines = list(table.lines(before))
    assert table.distrusted(lines, before) == ()
    assert table.distrusted(damage(lines), before) is None


def test_a_text_that_cannot_be_read_is_none() -> None:
    lines = (line.decode() for line in (b"compose-backup looks 1", b"\xff"))
    assert table.distrusted(lines, looks()) is None
