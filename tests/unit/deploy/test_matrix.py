"""The table of `make matrix`, and what it counts."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from deploy.lab.matrix import HEAD, Row, counted, noted, own_suite, shown

REPORT = """<testsuites><testsuite>
<testcase name="a"/>
<testcase name="b"><failure message="no"/></testcase>
<testcase name="c"><error message="no"/></testcase>
<testcase name="d"><skipped message="no lab"/></testcase>
<testcase name="e"><system-out>printed</system-out></testcase>
</testsuite></testsuites>"""


def test_a_test_that_did_not_run_has_not_passed(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    assert counted(report) == (2, 3)


def test_where_no_test_was_run_nothing_passed(tmp_path: Path) -> None:
    assert counted(tmp_path / "report.xml") == (0, 1)


def test_a_row_has_a_cell_for_each_heading() -> None:
    told = {"slurm": "24.11.5", "mariadb": "11.8.9", "samba": "4.22.11", "slapd": "2.6.10"}
    rates = {"list": 345.6, "single": 4.5, "load": 290.0}
    row = shown(Row("trixie", told, 231, 0, 754.0, "2026-11-28", rates))
    python = platform.python_version()
    programs = f"24.11.5 | 11.8.9 | 4.22.11 | 2.6.10 | {python}"
    assert row == f"| trixie | {programs} | 231 | 0 | 13 | 346 | 4.5 | 290 | 2026-11-28 |"
    assert row.count("|") == HEAD.partition("\n")[0].count("|")


def test_a_figure_that_could_not_be_measured_is_told_as_failed() -> None:
    assert shown(Row("trixie", {}, 231, 0, 754.0, "2026-11-28", {})).count("| failed ") == 3


def test_what_tests_recorded_is_told_below_the_table(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    recorded = '<properties><property name="beside" value="2 lost"/></properties>'
    report.write_text(REPORT.replace('<testcase name="a"/>', f"<testcase>{recorded}</testcase>"))
    assert noted(report) == ["beside: 2 lost"]


@pytest.mark.parametrize(
    ("text", "suite"),
    [
        ('NAME="Debian GNU/Linux"\nVERSION_CODENAME=trixie\n', "trixie"),
        ('VERSION_CODENAME="bookworm"\n', "bookworm"),
        ("NAME=Other\n", ""),
    ],
)
def test_the_machines_own_suite_is_read(tmp_path: Path, text: str, suite: str) -> None:
    release = tmp_path / "os-release"
    release.write_text(text)
    assert own_suite(release) == suite
