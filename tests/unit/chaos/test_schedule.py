"""The schedule of a campaign: the same seed gives the same rounds, every fault has its turn where it can hit.

Run by pytest.
"""

from __future__ import annotations

import pytest

from chaos import faults, moments, schedule
from chaos.schedule import FAULTS, MOMENTS, SHORT, moments_of, round_of, rounds, short


def test_the_same_seed_gives_the_same_rounds() -> None:
    assert list(rounds(7, 50)) == list(rounds(7, 50))
    assert list(rounds(7, 50)) != list(rounds(8, 50))


def test_a_round_can_be_played_without_those_before_it() -> None:
    assert list(rounds(7, 5, start=20)) == [round_of(7, number) for number in range(20, 25)]


def test_every_fault_has_its_turn() -> None:
    for block in range(3):
        played = [one.fault for one in rounds(7, len(FAULTS), start=block * len(FAULTS))]
        assert sorted(played) == sorted(FAULTS)


def test_every_moment_and_both_works_come() -> None:
    played = list(rounds(7, 2000))
    assert {one.work for one in played} == set(MOMENTS)
    for work, names in MOMENTS.items():
        assert {one.moment for one in played if one.work == work} == set(names)


def test_no_fault_is_asked_for_where_it_cannot_hit() -> None:
    assert all(one.moment in moments_of(one.work, one.fault) for one in rounds(7, 500))
    assert all(moments_of(work, fault) for work in MOMENTS for fault in FAULTS)


def test_a_short_campaign_has_some_faults_once_and_both_works() -> None:
    planned = short(7)
    assert [one.fault for one in planned] == list(SHORT)
    assert set(SHORT) <= set(FAULTS)
    assert planned == short(7)
    assert {one.work for one in planned} == set(MOMENTS)
    assert all(one.moment in moments_of(one.work, one.fault) for one in planned)


@pytest.mark.parametrize("work", MOMENTS)
def test_every_name_is_known_to_those_who_act(work: schedule.Work) -> None:
    assert set(MOMENTS[work]) <= set(moments.MOMENTS)
    assert set(FAULTS) == set(faults.FAULTS)
