"""A figure of the bench: some work, measured beside its floor in the same run, and its aim.

Promises: a ratio is of two measurements made in turn by one process; medians are of all rounds.
Leaves out: how anything is measured, which each module of a figure knows, and how rows are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Literal

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Run:
    """One round: what the work took and what its floor took, in the unit of the figure."""

    value: float
    floor: float


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a figure is measured.

    top: a new directory, in memory or on a disk; lab: the directory of a lab that runs, for a
    figure that asks one; scale: how much of the full work is done, above 0 and at most 1.
    """

    top: Path
    lab: Path | None = None
    scale: float = 1.0

    def size(self, whole: int) -> int:
        """Return how many of a whole number are done at this scale, at least one."""
        return max(1, round(whole * self.scale))


@dataclass(frozen=True, slots=True)
class Aim:
    """What a figure should come to.

    of: what the bound is for: the value itself, its ratio to the floor, or that ratio as so many
    times the last release's; bound: above 0; most: the bound is the largest that is good, not the
    smallest; where: how the place begins that it is for, as in `memory`; anywhere if empty.
    """

    of: Literal["value", "ratio", "gain"]
    bound: float
    most: bool
    where: str = ""

    def reached(self, row: Row, last: float | None) -> bool | None:
        """Return True if a row reaches the aim; None without what it is compared with.

        last: the ratio of the last release.
        """
        if self.of == "gain" and last is None:
            return None
        value = {"value": row.value, "ratio": row.ratio, "gain": row.ratio / (last or 1)}[self.of]
        return value <= self.bound if self.most else value >= self.bound


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of a figure at one place.

    value, floor: medians, in the figure's unit; ratio: the median of the rounds' ratios; low,
    high: the smallest and the largest of these; scale: of the setting; versions: of the programs;
    load: processes that waited for the cores or had them, in the last minute.
    """

    figure: str
    place: str
    value: float
    floor: float
    ratio: float
    low: float
    high: float
    rounds: int
    scale: float
    versions: Mapping[str, str] = field(default_factory=dict)
    load: float = 0.0


@dataclass(frozen=True, slots=True)
class Figure:
    """Something that is measured.

    name: a word, for --only; work, floor: what is done, and what it is beside; unit: of both;
    runs: yields rounds without end, after what they need is there; aims: the first that is for a
    place counts; needs: what it runs with; rounds: how many; named: measured only if it is named.
    """

    name: str
    work: str
    floor: str
    unit: str
    runs: Callable[[Setting], Iterator[Run]]
    aims: Sequence[Aim] = ()
    needs: Literal["", "root", "coldfront", "lab"] = ""
    rounds: int = ROUNDS
    named: bool = False

    def aim(self, place: str) -> Aim | None:
        """Return the aim at a place, or None."""
        return next((aim for aim in self.aims if place.startswith(aim.where)), None)


def measure(figure: Figure, place: str, setting: Setting, rounds: int) -> Row:
    """Measure a figure. rounds: how many, above 0. Raises ValueError: there were fewer."""
    runs = list(islice(figure.runs(setting), rounds))
    if len(runs) < rounds:
        raise ValueError(f"{figure.name}: {len(runs)} rounds, expected {rounds}")
    return summed_up(figure.name, place, runs, setting.scale)


def summed_up(name: str, place: str, runs: Sequence[Run], scale: float = 1.0) -> Row:
    """Return the medians of rounds. runs: one or more, with floors above 0."""
    ratios = [run.value / run.floor for run in runs]
    value, floor = median(run.value for run in runs), median(run.floor for run in runs)
    spread = min(ratios), max(ratios)
    return Row(name, place, value, floor, median(ratios), *spread, len(runs), scale)
