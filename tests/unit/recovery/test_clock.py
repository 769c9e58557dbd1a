"""Jumps of the time of day, as two looks at both clocks show them."""

from __future__ import annotations

import pytest

from provisioner.recovery.clock import Jump, Sight, jumped

BEFORE = Sight("boot", 1000.0, 5e8)


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (Sight("boot", 1000.0, 5e8), None),
        (Sight("boot", 90_000.0, 5e8 + 89_000), None),
        (Sight("boot", 1000.0, 5e8 + 59), None),
        (Sight("boot", 1000.0, 5e8 - 59), None),
        (Sight("boot", 1010.0, 5e8 + 70), "the clock jumped forward by 60 seconds"),
        (Sight("boot", 1010.0, 5e8 - 7190), "the clock jumped back by 2 hours"),
        (Sight("boot", 1000.0, 5e8 + 864_000), "the clock jumped forward by 10 days"),
        (Sight("boot", 605_800.0, 5e8), "the clock jumped back by 7 days"),
        # Of another boot nothing is known but what each clock says by itself.
        (Sight("other", 10.0, 5e8 + 864_000), None),
    ],
)
def test_a_jump_is_what_one_clock_did_and_the_other_did_not(seen: Sight, said: str | None) -> None:
    jump = jumped(BEFORE, seen)
    assert (None if jump is None else str(jump)) == said


def test_a_sight_is_read_as_it_was_written() -> None:
    assert Sight.parse(str(BEFORE)) == BEFORE


def test_a_jump_is_at_the_time_after_it() -> None:
    assert jumped(BEFORE, Sight("boot", 1000.0, 6e8)) == Jump(6e8, 1e8)
