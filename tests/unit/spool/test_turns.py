"""Turns between owners: nobody waits behind all that another has there."""

from __future__ import annotations

import pytest

from provisioner.spool.turns import Turns

A, B, C = 1, 2, 3


def turns(*found: tuple[int, str]) -> Turns:
    """Make turns of (owner, name), in the order in which they came."""
    made = Turns()
    made.add((owner, came, name) for came, (owner, name) in enumerate(found))
    return made


@pytest.mark.parametrize(
    ("found", "limit", "taken"),
    [
        ([], 2, []),
        ([(A, "a1"), (A, "a2"), (A, "a3")], 2, ["a1", "a2"]),
        ([(A, "a1"), (A, "a2"), (A, "a3"), (B, "b1")], 2, ["a1", "b1"]),
        ([(A, "a1"), (A, "a2"), (B, "b1"), (C, "c1")], 2, ["a1", "b1"]),
        ([(A, "a1"), (A, "a2"), (B, "b1"), (B, "b2"), (A, "a3")], 4, ["a1", "a2", "b1", "b2"]),
        # All that is taken together is in the order in which it came, whoever brought it.
        (
            [(A, "a1"), (B, "b1"), (A, "a2"), (B, "b2"), (A, "a3")],
            9,
            ["a1", "b1", "a2", "b2", "a3"],
        ),
    ],
)
def test_each_owner_has_a_turn(found: list[tuple[int, str]], limit: int, taken: list[str]) -> None:
    assert turns(*found).take(limit) == taken


def test_owners_beyond_a_portion_have_the_next_one() -> None:
    many = turns(*((owner, f"{owner}/{n}") for owner in range(6) for n in range(3)))
    first, second = many.take(4), many.take(4)
    assert {name.split("/")[0] for name in first} == {"0", "1", "2", "3"}
    assert {name.split("/")[0] for name in second} == {"4", "5", "0", "1"}


def test_who_comes_later_has_a_turn_in_the_round_that_is_under_way() -> None:
    waiting = turns((A, "a1"), (A, "a2"), (A, "a3"), (A, "a4"))
    assert waiting.take(2) == ["a1", "a2"]
    waiting.add([(B, 9, "b1")])
    assert waiting.take(2) == ["a3", "b1"]


def test_what_waits_is_known_until_it_is_taken() -> None:
    waiting = turns((A, "a1"), (A, "a2"))
    assert (len(waiting), "a1" in waiting) == (2, True)
    waiting.take(1)
    assert (len(waiting), "a1" in waiting) == (1, False)
    waiting.clear()
    assert (len(waiting), waiting.take(2)) == (0, [])
