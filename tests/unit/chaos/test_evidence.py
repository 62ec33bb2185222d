"""What the witness says: a gap, a doubled number and half a record are seen, in both ways of writing.

Run by pytest.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos import evidence
from chaos.evidence import Gap
from chaos.writer import appending, mapping


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A volume in which both kinds of writers have written."""
    for last, store in (appending(tmp_path / "counter-one"), mapping(tmp_path / evidence.PAGES)):
        for number in range(last + 1, last + 3001):
            store(number)
    return tmp_path


def test_whole_counters_say_where_they_are(volume: Path) -> None:
    assert evidence.numbers(volume) == {"counter-one": 3000, "pages": 3000}
    assert appending(volume / "counter-one")[0] == mapping(volume / evidence.PAGES)[0] == 3000


@pytest.mark.parametrize(
    ("begin", "end", "content"),
    [
        pytest.param(100, 110, b"", id="a number is missing"),
        pytest.param(100, 100, b"000000010\n", id="a number is doubled"),
        pytest.param(29995, 30000, b"", id="the last record is cut"),
        pytest.param(100, 110, b"\0" * 10, id="a hole"),
    ],
)
def test_a_gap_in_lines_is_seen(volume: Path, begin: int, end: int, content: bytes) -> None:
    file = volume / "counter-one"
    whole = file.read_bytes()
    file.write_bytes(whole[:begin] + content + whole[end:])
    with pytest.raises(Gap):
        evidence.numbers(volume)


@pytest.mark.parametrize("back", [1, 500, 1000])
def test_a_page_of_another_moment_is_seen(volume: Path, back: int) -> None:
    file = volume / evidence.PAGES
    content = bytearray(file.read_bytes())
    evidence.NUMBER.pack_into(content, evidence.SLOTS_AT + (3000 - back) % evidence.SLOTS * 8, 17)
    file.write_bytes(content)
    with pytest.raises(Gap):
        evidence.numbers(volume)


def test_a_head_that_is_ahead_of_its_slots_is_seen(volume: Path) -> None:
    file = volume / evidence.PAGES
    content = bytearray(file.read_bytes())
    evidence.NUMBER.pack_into(content, 0, 3005)
    file.write_bytes(content)
    with pytest.raises(Gap):
        evidence.numbers(volume)


def test_the_way_of_a_start_is_kept(tmp_path: Path) -> None:
    (tmp_path / "one.starts").write_text("5000000000 12 0 0 4000000000\n9000000000 40 7500000000 40 8500000000\n")
    first, second = evidence.starts(tmp_path, "one")
    assert (first.number, first.down_seconds) == (12, 0.0)
    assert (second.before_number, second.down_seconds, second.gone_seconds) == (40, 1.5, 1.0)
