"""The contract tests over labs of several Debians, one after the other, as a table.

Promises: a lab of its own for each suite, taken down and removed afterwards; every suite is tried,
also after one that failed. Leaves out: anything that needs no lab, which `make test` runs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from deploy.lab import inside
from deploy.lab.bringup import down, up
from deploy.lab.place import LabError, known
from deploy.lab.versions import versions

SUITES = ("bookworm", "trixie", "forky")

TESTS = ("tests/contract", "tests/service/test_acceptance.py")
"""What is run of each: every test that asks a lab."""

HEAD = (
    "| Debian | Slurm | MariaDB | Samba | slapd | Passed | Failed | Minutes | Date |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Row:
    """What became of one suite. passed, failed: tests; seconds: from `up` to the last test."""

    suite: str
    versions: Mapping[str, str]
    passed: int
    failed: int
    seconds: float
    day: str


def shown(row: Row) -> str:
    """Write a row of the table, as docs/versions.md has it."""
    programs = [row.versions.get(name, "") for name in ("slurm", "mariadb", "samba", "slapd")]
    counted = [str(row.passed), str(row.failed), f"{row.seconds / 60:.0f}", row.day]
    return f"| {' | '.join([row.suite, *programs, *counted])} |"


def counted(report: Path) -> tuple[int, int]:
    """Count the passed and the failed tests of a JUnit report; a skipped one has failed, too.

    Without a report there is one that failed.
    """
    if not report.exists():
        return 0, 1
    cases = list(ElementTree.parse(report).iter("testcase"))
    bad = sum(
        any(case.find(w) is not None for w in ("failure", "error", "skipped")) for case in cases
    )
    return len(cases) - bad, bad


def tried(suite: str, words: Sequence[str]) -> Row:
    """Bring a lab of a suite up, run the tests over it, and take it down.

    words: for pytest, beside the tests. Raises LabError: it does not come up.
    """
    # Not below a private directory: the users of the lab's jobs must get through.
    top = Path(tempfile.mkdtemp(prefix="provisioner-matrix.", dir="/var/tmp"))
    top.chmod(0o755)
    lab, report, began = top / "lab", top / "report.xml", time.monotonic()
    try:
        up(lab, None if suite == own_suite() else suite)
        pytest = [sys.executable, "-m", "pytest", "-m", "lab", f"--junit-xml={report}"]
        environment = {**os.environ, "PROVISIONER_LAB": str(lab)}
        subprocess.run([*pytest, *words, *TESTS], env=environment, check=False)
        seconds, day = time.monotonic() - began, time.strftime("%Y-%m-%d")
        return Row(suite, versions(known(lab)), *counted(report), seconds, day)
    finally:
        if inside.holder(lab) is not None:
            down(lab)
        shutil.rmtree(top)


def own_suite(release: Path = Path("/etc/os-release")) -> str:
    """Name the Debian of this machine; '' where it is none. Source: os-release(5)."""
    for line in release.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition("=")
        if key == "VERSION_CODENAME":
            return value.strip('"')
    return ""


def main() -> None:
    """Run `matrix [SUITE...] [-- WORD...]`; ends with 1 where a test failed."""
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    rows, failed = [], False
    for suite in words[:cut] or SUITES:
        try:
            rows.append(tried(suite, words[cut + 1 :]))
        except (LabError, subprocess.CalledProcessError) as error:
            failed = True
            print(f"matrix: {suite}: {error}", file=sys.stderr)
    print("\n".join([HEAD, *map(shown, rows)]))
    sys.exit(failed or any(row.failed for row in rows))
