"""The table of the bench: rows beside what they were at the last release, and their aims.

The last release's rows are the same table, as it is kept in docs/bench.md under a heading that
begins with LAST. Leaves out: the spread of the last release's rounds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.bench.figure import Aim, Figure, Row

LAST = "Last release: "
"""How the heading of the kept table begins; what follows names the release."""
COLUMNS = ("Figure", "On", "Load", "Today", "Floor", "Ratio")


@dataclass(frozen=True, slots=True)
class Kept:
    """What a release was measured at. ratios: by figure and place; name: of the release."""

    name: str
    ratios: Mapping[tuple[str, str], float]


def kept(page: str) -> Kept:
    """Read the last release's table out of a page.

    Raises ValueError: there is none, or it lacks a column, or a ratio is not a number.
    """
    found = re.search(rf"^#+ {LAST}(.+)\n((?:(?!#).*\n?)*)", page, re.MULTILINE)
    if found is None:
        raise ValueError(f"the page has no heading '{LAST}NAME'")
    table = [_cells(line) for line in found[2].splitlines() if line.startswith("|")]
    if not table:
        raise ValueError(f"below '{LAST}{found[1]}' is no table")
    head, rows = table[0], table[2:]
    if missing := {"Figure", "On", "Ratio"} - set(head):
        raise ValueError(f"the table has no column {', '.join(sorted(missing))}")
    named = [dict(zip(head, row, strict=True)) for row in rows]
    ratios = {(row["Figure"].strip("`"), row["On"]): _ratio(row["Ratio"]) for row in named}
    return Kept(found[1].strip(), ratios)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _ratio(cell: str) -> float:
    """Read '0.58 (0.55 to 0.63)', or the first part of it."""
    return float(cell.partition(" ")[0].replace(",", ""))


def lines(rows: Sequence[Row], figures: Mapping[str, Figure], last: Kept) -> Iterator[str]:
    """Yield the table, and after it what each figure is, as Markdown."""
    head = (*COLUMNS, last.name, "Aim", "")
    yield _line(head)
    yield _line(["---"] * len(head))
    for row in rows:
        yield _line(_shown(row, figures[row.figure], last))
    yield ""
    for name in dict.fromkeys(row.figure for row in rows):
        yield f"- `{name}`: {figures[name].work}, beside {figures[name].floor}."


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _shown(row: Row, figure: Figure, last: Kept) -> list[str]:
    before = last.ratios.get((row.figure, row.place))
    aim = figure.aim(row.place)
    return [
        f"`{row.figure}`",
        row.place,
        f"{row.load:.0f}",
        f"{number(row.value)} {figure.unit}",
        f"{number(row.floor)} {figure.unit}",
        f"{ratio(row.ratio)} ({ratio(row.low)} to {ratio(row.high)})",
        "" if before is None else ratio(before),
        "" if aim is None else told(aim, figure.unit, last.name),
        "" if aim is None else verdict(row, figure.rounds, aim, before),
    ]


def number(value: float) -> str:
    """Write a number with three digits that count, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def ratio(value: float) -> str:
    """Write a ratio with two digits after the point, or with two that count if it is small."""
    return f"{value:,.2f}" if value >= 0.1 else f"{value:.2g}"


def told(aim: Aim, unit: str, release: str) -> str:
    """Write an aim. unit: of the figure; release: the name of the last one."""
    bound = f"{'at most' if aim.most else 'at least'} {number(aim.bound)}"
    return {
        "value": f"{bound} {unit}",
        "ratio": f"a ratio of {bound}",
        "gain": f"{bound} times {release}",
    }[aim.of]


def verdict(row: Row, rounds: int, aim: Aim, last: float | None) -> str:
    """Say whether a row reaches its aim. Only the full work in all its rounds can.

    rounds: of the figure; last: the last release's ratio.
    """
    if row.scale < 1:
        return "not the full work"
    if row.rounds < rounds:
        return "not all rounds"
    return {True: "reached", False: "not reached", None: "unknown"}[aim.reached(row, last)]
