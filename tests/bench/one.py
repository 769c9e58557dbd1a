"""Measure one figure at one place, and write its row as a line of JSON.

Run by `tests.bench`, in the environment that the figure needs, so that each has a process of its
own: what one leaves in memory is not counted for another.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict, replace
from pathlib import Path

from tests.bench import programs
from tests.bench.catalogue import FIGURES
from tests.bench.figure import Setting, measure
from tests.bench.place import fresh


def main() -> None:
    """Measure what is asked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("figure", choices=FIGURES)
    parser.add_argument("--place", default="here", help="what the row says of it")
    parser.add_argument("--top", type=Path, default="/var/tmp", help="a directory there")
    parser.add_argument("--lab", type=Path, help="a lab that this runs in")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="of the full work")
    parser.add_argument("--out", type=Path, help="the file of the row; printed without")
    given = parser.parse_args()
    with fresh(given.top) as top:
        setting = Setting(top, given.lab, given.scale)
        measured = measure(FIGURES[given.figure], given.place, setting, given.rounds)
    row = replace(measured, versions=programs.versions(given.lab), load=os.getloadavg()[0])
    line = json.dumps(asdict(row))
    if given.out is None:
        print(line)
    else:
        given.out.write_text(line, encoding="utf-8")


if __name__ == "__main__":
    main()
