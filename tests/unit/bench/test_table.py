"""The bench's table: rows beside the last release's, as docs/bench.md keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import table
from tests.bench.catalogue import FIGURES
from tests.bench.figure import Aim, Figure, Row, Run, Setting, summed_up
from tests.bench.programs import told as versions_told

ROOT = Path(__file__).parents[3]
LAST = table.Kept("1.0", {("walk", "memory"): 0.25})
ROW = replace(summed_up("walk", "memory", [Run(1234, 2468)] * 5), load=1.6)
PAGE = """\
# Speed

## Last release: 1.0

| Figure | On | Today | Floor | Ratio | Aim |
|---|---|---|---|---|---|
| `walk` | memory | 1,234 steps | 4,936 steps | 0.25 (0.20 to 0.30) | |
| `walk` | Slurm 22.05.8, disk | 2 steps | 1 steps | 2 | |

## After it

| Figure | On | Ratio |
|---|---|---|
| `walk` | disk | 9 |
"""


def runs(_: Setting) -> Iterator[Run]:
    yield Run(1, 1)


def figures(*aims: Aim) -> dict[str, Figure]:
    return {"walk": Figure("walk", "walking", "standing", "steps", runs, aims)}


def cells(*aims: Aim, row: Row = ROW) -> list[str]:
    """Return the cells of the table's one row."""
    shown = [*table.lines([row], figures(*aims), LAST)][2]
    return [cell.strip() for cell in shown.strip("|").split("|")]


def test_a_row_has_its_figures_and_the_last_release_s_ratio() -> None:
    measured = ["2", "1,234 steps", "2,468 steps", "0.50 (0.50 to 0.50)"]
    assert cells() == ["`walk`", "memory", *measured, "0.25", "", ""]


@pytest.mark.parametrize(
    ("aim", "told", "verdict"),
    [
        (Aim("ratio", 0.6, most=True), "a ratio of at most 0.6", "reached"),
        (Aim("ratio", 0.4, most=True), "a ratio of at most 0.4", "not reached"),
        (Aim("value", 2000, most=False), "at least 2,000 steps", "not reached"),
        (Aim("gain", 2, most=False), "at least 2 times 1.0", "reached"),
        (Aim("gain", 3, most=False), "at least 3 times 1.0", "not reached"),
    ],
)
def test_an_aim_that_is_not_reached_is_said(aim: Aim, told: str, verdict: str) -> None:
    assert cells(aim)[-2:] == [told, verdict]


@pytest.mark.parametrize(
    ("row", "verdict"),
    [(replace(ROW, scale=0.05), "not the full work"), (replace(ROW, rounds=4), "not all rounds")],
)
def test_part_of_the_work_reaches_no_aim(row: Row, verdict: str) -> None:
    assert cells(Aim("ratio", 0.6, most=True), row=row)[-1] == verdict


def test_what_a_figure_is_stands_below_the_table_once() -> None:
    lines = [*table.lines([ROW, replace(ROW, place="disk")], figures(), LAST)]
    assert lines[4:] == ["", "- `walk`: walking, beside standing."]


def test_the_table_of_the_last_release_is_read_to_its_end() -> None:
    assert table.kept(PAGE) == table.Kept(
        "1.0", {("walk", "memory"): 0.25, ("walk", "Slurm 22.05.8, disk"): 2.0}
    )


def test_a_printed_table_is_read_as_the_last_release_s() -> None:
    printed = "\n".join(table.lines([ROW], figures(Aim("gain", 3, most=False)), LAST))
    assert table.kept(f"## Last release: 1.1\n\n{printed}\n") == table.Kept(
        "1.1", {("walk", "memory"): 0.5}
    )


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        (PAGE.replace("Last release", "First release"), "has no heading"),
        (PAGE.replace("|", "!"), "is no table"),
        (PAGE.replace("| Ratio |", "| Quotient |"), "no column Ratio"),
        (PAGE.replace("0.25 (", "little ("), "little"),
    ],
)
def test_a_page_without_the_last_release_is_refused(page: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        table.kept(page)


def test_the_documented_release_is_of_figures_that_are_measured() -> None:
    last = table.kept((ROOT / "docs/bench.md").read_text())
    assert {figure for figure, _ in last.ratios} <= FIGURES.keys()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.06941, "0.0694"), (0.5, "0.5"), (12.345, "12.3"), (123.4, "123"), (1846.2, "1,846")],
)
def test_a_number_has_three_digits_that_count(value: float, text: str) -> None:
    assert table.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.58, "0.58"), (0.0441, "0.044"), (1.0, "1.00"), (2637.9, "2,637.90")]
)
def test_a_ratio_has_two_digits_and_is_read_again(value: float, text: str) -> None:
    page = f"## Last release: 1\n\n| Figure | On | Ratio |\n|---|---|---|\n| `a` | b | {text} |\n"
    assert table.ratio(value) == text
    assert table.kept(page).ratios["a", "b"] == pytest.approx(value, rel=0.01)


def test_a_program_is_named_once_with_all_its_versions() -> None:
    several = [{"Python": "3.11.7", "Slurm": "22.05.8"}, {"Python": "3.11.7", "Slurm": "24.11.5"}]
    assert versions_told(several) == "Python 3.11.7; Slurm 22.05.8, 24.11.5"
