"""Which quotas shut people out, by table."""

from __future__ import annotations

import pytest

from handlers.gpfs.state import Wanted, shuts


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({"quota": 10_000_000}, {"quota": 5_000_000}, False),
        ({"quota": 10_000_000}, {"quota": 1_000_000}, False),
        ({"quota": 10_000_000}, {"quota": 10_000}, True),
        ({"quota": 10_000_000}, {"quota": None}, False),
        ({"quota": 10_000_000}, {"quota": 0}, False),
        ({"quota": None}, {"quota": 10_000_000}, False),
        ({"quota": None}, {"quota": 1}, True),
        ({"quota": 1}, {"quota": 1}, False),
        ({"files": 1_000_000}, {"files": 1}, True),
        ({}, {"files": 1}, True),
    ],
)
def test_a_quota_of_less_than_a_tenth_of_the_former_one_shuts_people_out(
    before: dict[str, int | None], after: dict[str, int | None], found: bool
) -> None:
    assert shuts(Wanted("cf", **before), Wanted("cf", **after)) is found  # type: ignore[arg-type]
