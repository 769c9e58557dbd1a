"""How full something is, whether that is news, and when it will be full."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from provisioner.config.quota import QuotaConfig
from provisioner.contract import Meter
from provisioner.quotas.levels import FULL, GRACE, days_left, level, percent

THRESHOLDS = (80.0, 90.0, 95.0, 100.0)
DAY = 86400.0


def meter(used: int, soft: int = 100, hard: int = 200, grace: str = "") -> Meter:
    return Meter("space", used, soft, hard, grace)


LEVELS = {
    "much room": (meter(79), 0.0),
    "at a threshold": (meter(80), 80.0),
    "between two": (meter(94), 90.0),
    "at the soft limit": (meter(100), 100.0),
    "in grace": (meter(120, grace="6 days"), GRACE),
    "a grace that files caused": (meter(50, grace="6 days"), 0.0),
    "grace is over": (meter(120, grace="expired"), FULL),
    "at the hard limit": (meter(200, grace="6 days"), FULL),
    "soft and hard are one": (meter(100, hard=100), FULL),
    "only a hard limit": (meter(85, soft=0, hard=100), 80.0),
    "no limit": (meter(10**15, soft=0, hard=0), 0.0),
    "counted below 0": (meter(-5), 0.0),
}


@pytest.mark.parametrize("name", LEVELS)
def test_the_level_of_use(name: str) -> None:
    one, expected = LEVELS[name]
    assert level(one, THRESHOLDS, 0.0, 5.0) == expected


HOVERING = {
    "it hovers": ((90, 89, 91, 86, 90), (90.0, 90.0, 90.0, 90.0, 90.0)),
    "it falls below the margin, and comes again": ((90, 84, 90), (90.0, 80.0, 90.0)),
    "it falls to nothing": ((96, 10), (95.0, 0.0)),
    "it rises": ((80, 90, 95, 100), (80.0, 90.0, 95.0, 100.0)),
    "it is full, and one file is removed": ((200, 199, 200, 194), (FULL, FULL, FULL, GRACE)),
}


@pytest.mark.parametrize("name", HOVERING)
def test_a_level_falls_only_when_use_is_clearly_below_it(name: str) -> None:
    used, expected = HOVERING[name]
    seen, before = [], 0.0
    for number in used:
        before = level(meter(number), THRESHOLDS, before, 5.0)
        seen.append(before)
    assert tuple(seen) == expected


ENDS = {
    "soft and hard are one": ([meter(n, hard=100) for n in (100, 99, 100)], [FULL, FULL, FULL]),
    "and much is removed": ([meter(n, hard=100) for n in (100, 89)], [FULL, 90.0]),
    "a grace begins, ends and begins": (
        [meter(101, grace="7 days"), meter(99), meter(101, grace="7 days"), meter(89)],
        [GRACE, GRACE, GRACE, 90.0],
    ),
    "a grace is over, and use is just below the limit": (
        [meter(101, grace="expired"), meter(99)],
        [FULL, GRACE],
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_what_hovers_at_the_end_of_a_limit_keeps_its_level(name: str) -> None:
    meters, expected = ENDS[name]
    seen, before = [], 0.0
    for one in meters:
        before = level(one, THRESHOLDS, before, 5.0)
        seen.append(before)
    assert seen == expected


def test_percents_are_of_the_soft_limit() -> None:
    assert percent(meter(50)) == 50.0


def points(*used: int) -> list[tuple[float, int]]:
    return [(number * DAY, one) for number, one in enumerate(used)]


def test_steady_growth_fills_the_limit_on_a_day() -> None:
    assert days_left(meter(40), points(10, 20, 30, 40)) == pytest.approx(6.0)


@pytest.mark.parametrize(
    "used",
    [(), (40,), (30, 40), (40, 40, 40), (40, 30, 20), (40, 40, 41, 40, 40)],
    ids=["nothing", "one day", "two days", "no growth", "it shrinks", "hardly any growth"],
)
def test_without_growth_there_is_no_day(used: tuple[int, ...]) -> None:
    assert days_left(meter(used[-1] if used else 0, soft=10**6), points(*used)) is None


def test_thresholds_out_of_order_are_refused() -> None:
    with pytest.raises(ValidationError, match="ascending order: 80 is after 90"):
        QuotaConfig.model_validate({"thresholds": [90, 80]})
