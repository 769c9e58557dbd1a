"""Counts the tests of several runs. usage: python -m deploy.tally [--whole] REPORT.xml...

Prints how many passed and how long they took. With --whole it fails if a test was skipped, or if
the tests that need the lab were not among them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from xml.etree import ElementTree

NEEDED = ("test_acceptance", "test_browser", "test_at_the_same_time")
"""Modules of which a whole run has tests."""


def tally(reports: Sequence[ElementTree.Element], *, whole: bool) -> str:
    """Return a line that counts all tests. Raises SystemExit if a whole run was not whole."""
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
    return f"{passed:,} tests passed{more}, in {round(seconds / 60)} min ({len(reports)} runs)"


if __name__ == "__main__":
    words = sys.argv[1:]
    files = [word for word in words if word != "--whole"]
    parsed = [ElementTree.parse(file).getroot() for file in files]
    print(f"\n== {tally(parsed, whole='--whole' in words)}")
