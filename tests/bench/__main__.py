"""The bench: measure figures in memory, on a disk and in labs, and print them beside their aims.

Run: python -m tests.bench [--only NAME]... [--on PLACE]... [--suite DEBIAN]... [--quick]. Promises:
each figure has a process of its own; what could not be measured is named, and ends the run with 1.
Figures of labs and of hosts need root; those of labs install what a lab needs, and those of
ColdFront make .venv-coldfront.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path

from deploy.lab.matrix import SUITES, lab_on
from deploy.lab.place import LabError
from tests.bench import programs, table, waldur
from tests.bench.catalogue import FIGURES
from tests.bench.figure import Figure, Row
from tests.bench.place import PLACES, fresh

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/bench.md"
OWN = Path(sys.executable)
PYTHONS = {"": OWN, "root": OWN, "coldfront": ROOT / ".venv-coldfront/bin/python"}
ROOTS = ("root", "lab")
"""What needs root."""
QUICK = 0.05
"""The share of the work that --quick does, in one round."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is measured, and where.

    rounds: 0 for each figure's own number; scale: how much of the full work; keep: a file of rows,
    or None: those that it has are printed, too.
    """

    figures: Sequence[Figure]
    places: Sequence[str]
    suites: Sequence[str]
    rounds: int
    scale: float
    keep: Path | None


def asked(words: Sequence[str] | None = None) -> Work:
    """Read the command line. words: of this process, if None."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--only", choices=FIGURES, action="append", help="a figure")
    parser.add_argument("--on", choices=PLACES, action="append", help="a place")
    parser.add_argument("--suite", choices=SUITES, action="append", help="a Debian, for labs")
    parser.add_argument("--rounds", type=int, default=0, help="how many; the figure's own if 0")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the work, once")
    parser.add_argument("--keep", type=Path, help="add rows to this file, and print all of it")
    given = parser.parse_args(words)
    figures = [each for each in FIGURES.values() if _wanted(each, given.only)]
    rounds, scale = (1, QUICK) if given.quick else (given.rounds, 1.0)
    places, suites = given.on or [*PLACES], given.suite or [*SUITES]
    return Work(figures, places, suites, rounds, scale, given.keep)


def _wanted(figure: Figure, only: Sequence[str] | None) -> bool:
    return figure.name in only if only else not figure.named


def measured(figure: Figure, place: str, begin: Sequence[object], work: Work) -> Row | None:
    """Measure a figure in a process of its own; None if that failed.

    place: what the row says of it; begin: what the process begins with, down to its place.
    """
    print(f"{time.strftime('%H:%M')}  {figure.name}, {place} ...", file=sys.stderr, flush=True)
    with fresh(PLACES["disk"]) as top:
        out = top / "row.json"
        rounds = ["--rounds", work.rounds or figure.rounds, "--scale", work.scale]
        words = [*begin, "--place", place, *rounds, "--out", out, figure.name]
        done = subprocess.run([*map(str, words)], cwd=ROOT, check=False, stdout=sys.stderr)
        return Row(**json.loads(out.read_text())) if done.returncode == 0 else None


def prepare(needs: Collection[str]) -> None:
    """Make what figures need and may not have yet. needs: as of `Figure`."""
    if "coldfront" in needs:
        venv = [str(ROOT / "deploy/venv"), ".venv-coldfront", sys.executable, ".[test,coldfront]"]
        subprocess.run(venv, check=True, stdout=sys.stderr)
    if "lab" in needs:
        subprocess.run([str(ROOT / "deploy/lab/install"), "debootstrap"], check=True)
        waldur.environment()


def here(work: Work) -> Iterator[tuple[str, Row | None]]:
    """Yield the rows of figures that need no lab, each with its name."""
    for figure in work.figures:
        for place in work.places if figure.needs in PYTHONS else ():
            begin = [PYTHONS[figure.needs], "-m", "tests.bench.one", "--top", PLACES[place]]
            yield f"{figure.name}, {place}", measured(figure, place, begin, work)


def in_labs(work: Work) -> Iterator[tuple[str, Row | None]]:
    """Yield the rows of figures that ask a lab, one lab after the other, each with its name."""
    figures = [figure for figure in work.figures if figure.needs == "lab"]
    for suite in work.suites if figures else ():
        for place in work.places:
            try:
                with lab_on(suite, PLACES[place]) as lab:
                    yield from in_lab(lab, place, figures, work)
            except (LabError, subprocess.CalledProcessError) as error:
                print(f"{suite}: {error}", file=sys.stderr)
                yield f"the lab of {suite}, {place}", None


def in_lab(
    lab: Path, place: str, figures: Sequence[Figure], work: Work
) -> Iterator[tuple[str, Row | None]]:
    """Yield the rows of figures that ask one lab, each with its name."""
    slurm = json.loads((lab / "lab.json").read_text())["versions"]["slurm"]
    enter = [ROOT / "deploy/lab/enter", lab, sys.executable, "-m", "tests.bench.one"]
    for figure in figures:
        begin = [*enter, "--top", PLACES[place], "--lab", lab]
        name = f"Slurm {slurm}, {place}"
        yield f"{figure.name}, {name}", measured(figure, name, begin, work)


def earlier(keep: Path | None) -> dict[tuple[str, str], Row]:
    """Read the rows of a file, by figure and place; none if there is no file."""
    if keep is None or not keep.exists():
        return {}
    rows = [Row(**json.loads(line)) for line in keep.read_text().splitlines()]
    return {(row.figure, row.place): row for row in rows}


def report(rows: Sequence[Row]) -> str:
    """Write the table, what its figures are, and the versions."""
    last = table.kept(PAGE.read_text(encoding="utf-8"))
    versions = programs.told(row.versions for row in rows)
    return "\n".join(
        [*table.lines(rows, FIGURES, last), "", f"{versions}; {os.cpu_count()} cores."]
    )


def main() -> None:
    """Measure what is asked, and print it; ends with 1 where something could not be measured."""
    work = asked()
    if os.geteuid() != 0 and any(figure.needs in ROOTS for figure in work.figures):
        print("the figures of labs and of hosts need root: they are left out", file=sys.stderr)
        without = [figure for figure in work.figures if figure.needs not in ROOTS]
        work = replace(work, figures=without)
    prepare({figure.needs for figure in work.figures})
    rows, missing = earlier(work.keep), []
    for name, row in chain(here(work), in_labs(work)):
        if row is None:
            missing.append(name)
            continue
        rows[row.figure, row.place] = row
        if work.keep is not None:
            with work.keep.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(row)) + "\n")
    order = [*FIGURES]
    print(report(sorted(rows.values(), key=lambda row: order.index(row.figure))))
    sys.exit(f"not measured: {'; '.join(missing)}" if missing else 0)


if __name__ == "__main__":
    main()
