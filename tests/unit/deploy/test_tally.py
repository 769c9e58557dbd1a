"""The line at the end of `make test`: how many tests passed, and whether the run was whole."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from deploy.tally import NEEDED, tally


def report(*names: str, skipped: str = "", seconds: float = 90) -> ElementTree.Element:
    """Return a report with a test of each module, of which one was skipped."""
    cases = "".join(
        f'<testcase classname="tests.{name}" name="a">'
        + ('<skipped message="no lab"/>' if name == skipped else "")
        + "</testcase>"
        for name in names
    )
    return ElementTree.fromstring(
        f'<testsuites><testsuite time="{seconds}">{cases}</testsuite></testsuites>'
    )


def test_the_tests_of_all_runs_are_counted_with_their_time() -> None:
    reports = [report("a", "b"), report("c", seconds=210)]
    assert tally(reports, whole=False) == "3 tests passed, in 5 min (2 runs)"


def test_what_was_skipped_has_not_passed() -> None:
    line = tally([report("a", "b", skipped="b")], whole=False)
    assert line == "1 tests passed, 1 skipped, in 2 min (1 runs)"


def test_a_whole_run_skips_nothing() -> None:
    with pytest.raises(SystemExit, match="a: no lab"):
        tally([report("a", *NEEDED, skipped="a")], whole=True)


@pytest.mark.parametrize("left_out", NEEDED)
def test_a_whole_run_has_the_tests_of_the_lab(left_out: str) -> None:
    some = [name for name in NEEDED if name != left_out]
    with pytest.raises(SystemExit, match=f"{left_out} was not among"):
        tally([report("a", *some)], whole=True)
    assert tally([report("a", *NEEDED)], whole=True).startswith("4 tests passed")


def test_what_there_was_no_place_for_is_said_beside_the_count() -> None:
    line = tally([report("a", "b")], whole=False, without="the app for ColdFront 2")
    assert line.endswith("; NOT TRIED: the app for ColdFront 2")
