"""Doubts of jumps forward, in any order: never ahead of the time that passed, and none for ever."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.recovery import doubts
from provisioner.recovery.doubts import HELD, Doubt, Doubts

DAY = HELD
JUMPS = st.lists(
    st.tuples(st.floats(60, 500 * DAY), st.booleans(), st.floats(0, 3600)), min_size=1, max_size=12
)
"""Seconds, whether forward, and seconds that pass afterwards. All pass in less than a day."""


@given(jumps=JUMPS)
def test_jumps_within_a_day_never_bring_a_date_forward(
    jumps: list[tuple[float, bool, float]],
) -> None:
    steady = wall = 1000.0
    doubted: Doubts = ()
    believed = [wall]
    for size, forward, passes in jumps:
        by = size if forward else -size
        doubted = doubts.after(doubted, by, steady)
        wall += by
        for seconds in (0.0, passes):
            steady, wall = steady + seconds, wall + seconds
            believed.append(wall - doubts.ahead(doubted, steady))
            assert believed[-1] <= steady + 1
    assert all(later - earlier <= 3601 for earlier, later in pairwise(believed))
    assert doubts.ahead(doubted, steady + DAY + 3600) == 0


@given(jumps=JUMPS)
def test_what_was_doubted_is_read_as_it_was_written(
    jumps: list[tuple[float, bool, float]],
) -> None:
    doubted: Doubts = ()
    for size, forward, _ in jumps:
        doubted = doubts.after(doubted, size if forward else -size, 1000.0)
    assert doubts.read(doubts.written(doubted)) == doubted


@pytest.mark.parametrize("text", ["1.0", "a b", "1.0 2.0 3.0"])
def test_text_that_is_no_doubt_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        doubts.read(text)


def test_a_jump_back_takes_first_from_what_would_be_believed_first() -> None:
    early, late = Doubt(40.0, 100.0), Doubt(10.0, 200.0)
    assert doubts.after((early, late), -45.0, 50.0) == (Doubt(5.0, 200.0),)
    assert doubts.after((early, late), -60.0, 50.0) == ()


def test_a_clock_that_jumps_every_minute_is_doubted_in_few_parts() -> None:
    doubted: Doubts = ()
    for minute in range(2 * 1440):
        doubted = doubts.after(doubted, 90.0, minute * 60.0)
    assert len(doubted) <= 26
    doubted_minutes = doubts.ahead(doubted, 2 * DAY - 60) / 90
    assert 1440 <= doubted_minutes <= 1500


def test_another_boot_leaves_a_doubt_as_long_as_it_was() -> None:
    [doubt] = doubts.moved(doubts.after((), 90.0, 5 * DAY), 100.0 - 5 * DAY)
    assert DAY <= doubt.until - 100.0 <= DAY + 3600
