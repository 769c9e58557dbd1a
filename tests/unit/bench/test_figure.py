"""A figure: medians of its rounds beside their floors, and whether its aim is reached."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.__main__ import asked
from tests.bench.catalogue import FIGURES, MODULES
from tests.bench.figure import Aim, Figure, Row, Run, Setting, measure, summed_up

RATIO = Aim("ratio", 0.8, most=True)
EARLY = Aim("ratio", 0.6, most=True, where="Slurm 22.05")


def figure(*runs: Run) -> Figure:
    """Return a figure that has been measured."""

    def measured(_: Setting) -> Iterator[Run]:
        yield from runs

    return Figure("walk", "walking", "standing", "s", measured, (EARLY, RATIO))


def a_row(value: float, floor: float) -> Row:
    return summed_up("walk", "memory", [Run(value, floor)])


def test_value_floor_and_ratio_are_medians_of_their_own() -> None:
    row = summed_up("walk", "disk", [Run(1, 1), Run(9, 3), Run(4, 4)])
    assert (row.value, row.floor, row.ratio, row.low, row.high, row.rounds) == (4, 3, 1, 1, 3, 3)


def test_no_more_rounds_are_measured_than_asked() -> None:
    row = measure(figure(Run(1, 1), Run(1, 1), Run(99, 1)), "memory", Setting(Path()), 2)
    assert (row.rounds, row.high) == (2, 1)


def test_too_few_rounds_are_no_row() -> None:
    with pytest.raises(ValueError, match="walk: 1 rounds, expected 2"):
        measure(figure(Run(1, 1)), "memory", Setting(Path()), 2)


@pytest.mark.parametrize(
    ("place", "aim"),
    [("Slurm 22.05.8, memory", EARLY), ("Slurm 24.11.5, memory", RATIO), ("disk", RATIO)],
)
def test_the_first_aim_for_a_place_counts(place: str, aim: Aim) -> None:
    assert figure().aim(place) == aim


def test_a_place_may_be_without_aim() -> None:
    assert FIGURES["engine"].aim("disk") is None


@pytest.mark.parametrize(
    ("aim", "value", "floor", "reached"),
    [
        (Aim("value", 10, most=True), 10, 1, True),
        (Aim("value", 10, most=True), 10.1, 100, False),
        (Aim("value", 10, most=False), 9.9, 1, False),
        (Aim("ratio", 0.9, most=False), 9, 10, True),
        (Aim("ratio", 0.9, most=False), 8, 10, False),
        (Aim("ratio", 1.8, most=True), 2, 1, False),
        (Aim("gain", 3, most=False), 7, 10, True),
        (Aim("gain", 3, most=False), 5, 10, False),
    ],
)
def test_an_aim_bounds_the_value_the_ratio_or_what_it_is_of_the_last_release(
    aim: Aim, value: float, floor: float, reached: bool
) -> None:
    assert aim.reached(a_row(value, floor), last=0.2) is reached


def test_a_gain_over_nothing_is_unknown() -> None:
    assert Aim("gain", 3, most=False).reached(a_row(6, 10), last=None) is None


def test_each_figure_has_a_name_of_its_own() -> None:
    assert len(FIGURES) == sum(len(module.FIGURES) for module in MODULES)


def test_figures_run_where_they_are_asked_for_and_all_but_the_named_without() -> None:
    work = asked(["--only", "tests", "--on", "memory", "--suite", "trixie", "--quick"])
    assert ([one.name for one in work.figures], work.places, work.suites, work.rounds) == (
        ["tests"], ["memory"], ["trixie"], 1,
    )  # fmt: skip
    assert {one.name for one in asked([]).figures} == FIGURES.keys() - {"tests"}
