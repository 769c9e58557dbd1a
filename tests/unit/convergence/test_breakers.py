"""Breakers: a handler whose backend is away is not asked for a while, and no other one waits."""

from __future__ import annotations

import pytest

from provisioner.convergence.breakers import Breakers
from provisioner.convergence.next_try import SPREAD, Patience

PATIENCE = Patience(first=2.0, most=900.0)


@pytest.mark.parametrize(("opening", "delay"), [(1, 2), (2, 4), (9, 512), (10, 900), (2000, 900)])
def test_delays_double_to_the_most_and_stay_there(opening: int, delay: float) -> None:
    breakers = Breakers(PATIENCE)
    waits = [breakers.open("fs1", "no answer", 0.0) for _ in range(opening)]
    assert waits[-1] == pytest.approx(delay, rel=SPREAD)


def test_one_that_is_away_shuts_nobody_else_out_until_its_time() -> None:
    breakers = Breakers(PATIENCE)
    until = 100.0 + breakers.open("fs2", "not mounted", 100.0)
    assert breakers.shut(100.0) == {"fs2": until}
    assert (breakers.shut(until), breakers.away) == ({}, True)
    assert breakers.first() == ("fs2", until, "not mounted")


def test_one_answer_ends_the_delays() -> None:
    breakers = Breakers(PATIENCE)
    for _ in range(8):
        breakers.open("fs2", "not mounted", 0.0)
    assert [breakers.close("fs2"), breakers.close("fs2")] == [True, False]
    assert (breakers.away, breakers.shut(0.0), breakers.first()) == (False, {}, None)
    assert breakers.open("fs2", "not mounted", 0.0) == pytest.approx(2, rel=SPREAD)
