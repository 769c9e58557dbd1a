"""Counts the tests of several runs.

usage: python -m deploy.tally [--whole] [--without WHAT] REPORT.xml...

Prints how many passed and how long they took, and what was not tried. With --whole it fails if a
test was skipped, or if the tests that need the lab were not among them.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from xml.etree import ElementTree

NEEDED = ("test_acceptance", "test_browser", "test_at_the_same_time")
"""Modules of which a whole run has tests."""


def tally(reports: Sequence[ElementTree.Element], *, whole: bool, without: str = "") -> str:
    """Return a line that counts all tests. Raises SystemExit if a whole run was not whole.

    without: what there was no place for, such as a pre-release that no package index has.
    """
    cases = [case for report in reports for case in report.iter("testcase")]
    seconds = sum(float(suite.get("time", "0")) for r in reports for suite in r.iter("testsuite"))
    skipped = [
        f"{case.get('classname')}::{case.get('name')}: {part.get('message')}"
        for case in cases
        for part in case.findall("skipped")
    ]
    if whole and skipped:
        raise SystemExit("tests were skipped, though the lab is up:\n" + "\n".join(skipped))
    for needed in NEEDED if whole else ():
        if not any(needed in case.get("classname", "") for case in cases):
            raise SystemExit(f"{needed} was not among the tests")
    passed = len(cases) - len(skipped)
    more = f", {len(skipped)} skipped" if skipped else ""
    left = f"; NOT TRIED: {without}" if without else ""
    time = f"in {round(seconds / 60)} min ({len(reports)} runs)"
    return f"{passed:,} tests passed{more}, {time}{left}"


if __name__ == "__main__":
    parser = ArgumentParser()
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--without", default="")
    parser.add_argument("reports", nargs="+", type=ElementTree.parse)
    words = parser.parse_args()
    roots = [report.getroot() for report in words.reports]
    print(f"\n== {tally(roots, whole=words.whole, without=words.without)}")
