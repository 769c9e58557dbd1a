"""The tests that ask a lab over several Debians, and how fast users come into each Slurm: a table.

Promises: a lab of its own for each suite, taken down and removed afterwards; every suite is tried,
also after one that failed. Tests run side by side, as most of them wait for a slurmdbd. The speed
is measured when they are over, one suite after the other. Leaves out: anything that needs no lab,
which `make test` runs.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from deploy.lab import inside
from deploy.lab.bringup import down, up
from deploy.lab.place import LabError, known
from deploy.lab.versions import versions

SUITES = ("bookworm", "trixie", "forky")

TESTS = ("tests/contract", "tests/service/test_acceptance.py", "tests/service/test_backends_die.py")
"""What is run of each: the tests that ask a lab for a handler, and for the whole service."""

WAYS = ("list", "single", "load")
"""How users come into Slurm: by our list calls, by one call each, by `sacctmgr load`."""

REPORT = "report.xml"
"""Beside a lab: what became of its tests, as JUnit writes it."""

HEAD = (
    "| Debian | Slurm | MariaDB | Samba | slapd | Python | Passed | Failed | Minutes | List calls "
    "| One call each | `sacctmgr load` | Date |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Row:
    """What became of one suite.

    passed, failed: tests; seconds: from the first of these to the last; rates: users a second into
    one Slurm account, by each of WAYS, empty if they could not be measured; notes: what tests
    recorded.
    """

    suite: str
    versions: Mapping[str, str]
    passed: int
    failed: int
    seconds: float
    day: str
    rates: Mapping[str, float]
    notes: Sequence[str] = ()


def shown(row: Row) -> str:
    """Write a row of the table, as docs/versions.md has it."""
    programs = [row.versions.get(name, "") for name in ("slurm", "mariadb", "samba", "slapd")]
    counted = [str(row.passed), str(row.failed), f"{row.seconds / 60:.0f}"]
    rates = [f"{row.rates[way]:.3g}" if way in row.rates else "failed" for way in WAYS]
    cells = [row.suite, *programs, platform.python_version(), *counted, *rates, row.day]
    return f"| {' | '.join(cells)} |"


def noted(report: Path) -> list[str]:
    """Return what the tests of a JUnit report recorded: how the backends behaved meanwhile."""
    if not report.exists():
        return []
    told = ElementTree.parse(report).iter("property")
    return [f"{each.get('name')}: {each.get('value')}" for each in told]


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


@contextmanager
def lab_on(suite: str, place: Path = Path("/var/tmp")) -> Iterator[Path]:
    """Bring a lab of a suite up, and take it down again. Raises LabError: it does not come up.

    place: below which its data are: no private directory, as the users of its jobs must get
    through.
    """
    top = Path(tempfile.mkdtemp(prefix="provisioner-lab.", dir=place))
    top.chmod(0o755)
    lab = top / "lab"
    try:
        up(lab, None if suite == own_suite() else suite)
        yield lab
    finally:
        if inside.holder(lab) is not None:
            down(lab)
        shutil.rmtree(top)


def tested(lab: Path, words: Sequence[str]) -> float:
    """Run the tests over a lab; return how many seconds they took. words: for pytest."""
    began = time.monotonic()
    report = f"--junit-xml={lab.with_name(REPORT)}"
    # A burst beside others may take longer than any test of `make test`.
    patient = ["-o", "faulthandler_timeout=5400"]
    pytest = [sys.executable, "-m", "pytest", "-m", "lab", report, *patient, *words, *TESTS]
    environment = {**os.environ, "PROVISIONER_LAB": str(lab), "PROVISIONER_WHOLE": "1"}
    subprocess.run(pytest, env=environment, check=False)
    return time.monotonic() - began


def row(suite: str, lab: Path, seconds: float) -> Row:
    """Return what became of a suite, whose tests are over."""
    report, day = lab.with_name(REPORT), time.strftime("%Y-%m-%d")
    told = versions(known(lab)), *counted(report), seconds, day, rates(lab), noted(report)
    return Row(suite, *told)


def rates(lab: Path) -> Mapping[str, float]:
    """Measure how fast users come into a lab's Slurm, whose tests are over: the users stay."""
    command = [sys.executable, "-m", "tests.bench.into_slurm", str(lab)]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    told: Mapping[str, float] = json.loads(done.stdout) if done.returncode == 0 else {}
    return told


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
    os.environ.setdefault("PROVISIONER_SLURM_TRANSPORTS", "sacctmgr,rest")
    cut = words.index("--") if "--" in words else len(words)
    labs: dict[str, Path] = {}
    failed = False
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        for suite in words[:cut] or SUITES:
            try:
                labs[suite] = stack.enter_context(lab_on(suite))
            except (LabError, subprocess.CalledProcessError) as error:
                failed = True
                print(f"matrix: {suite}: {error}", file=sys.stderr)
        seconds = list(pool.map(lambda lab: tested(lab, words[cut + 1 :]), labs.values()))
        rows = [row(*each) for each in zip(labs, labs.values(), seconds, strict=True)]
    print("\n".join([HEAD, *map(shown, rows)]))
    print(*(f"{one.suite}: {note}" for one in rows for note in one.notes), sep="\n")
    sys.exit(failed or any(one.failed or not one.rates for one in rows))
