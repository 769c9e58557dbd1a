"""Whose a number is: objects of one lane share their numbers, and none is forgotten."""

from __future__ import annotations

from provisioner.journal.journal import Journal
from provisioner.journal.records import keepsakes, object_rows
from tests.unit.journal.conftest import Places

MINE, BESIDE, ELSEWHERE = "ad/account/ann", "guests/account/bob", "other/account/cem"


def book(place: Places) -> Journal:
    """Give a journal with three objects in two lanes, each with a number."""
    made = Journal.open(place("journal"))
    with made.transaction() as conn:
        lanes = {
            MINE: ("ad", "a", "ann"),
            BESIDE: ("guests", "a", "ann"),
            ELSEWHERE: ("other", "b", "ann"),
        }
        object_rows.add(conn, lanes, None)
        for number, key in enumerate(lanes, 20_000):
            keepsakes.save_numbers(conn, {key: {"uid": number}})
    return made


def test_instances_of_one_lane_know_each_others_numbers_and_other_lanes_do_not(
    place: Places,
) -> None:
    with book(place).reading() as conn:
        known = keepsakes.bearers(conn, "a", "uid", 1, 60_000)
        assert known == {20_000: [MINE], 20_001: [BESIDE]}
        assert keepsakes.bearers(conn, "b", "uid", 1, 60_000) == {20_002: [ELSEWHERE]}
        assert keepsakes.bearers(conn, "a", "gid", 1, 60_000) == {}
        assert keepsakes.bearers(conn, "a", "uid", 20_001, 20_001) == {20_001: [BESIDE]}


def test_a_number_that_two_had_after_each_other_is_both_s(place: Places) -> None:
    made = book(place)
    with made.transaction() as conn:
        keepsakes.save_numbers(conn, {MINE: {"uid": 20_001}})
        keepsakes.save_numbers(conn, {MINE: {"uid": 20_001}})
    with made.reading() as conn:
        assert keepsakes.bearers(conn, "a", "uid", 20_001, 20_001) == {20_001: [MINE, BESIDE]}
