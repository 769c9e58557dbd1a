"""`provisioner health` on a sandbox, as Nagios runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli_site import Desk, storage, user


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "box")


def test_a_served_site_is_well(desk: Desk) -> None:
    with desk.service():
        done = desk("health")
    assert done.out.startswith("PROVISIONER OK - 0 open, 0 need a person | open=0;;;0 failed=0;")
    assert done.out.count("\n") == 1


def test_a_site_that_nobody_serves_is_critical(desk: Desk) -> None:
    assert desk("health", code=2).out.startswith("PROVISIONER CRITICAL - no service serves")
    assert desk("health", "--json", code=2).json["status"] == "critical"


def test_failures_are_counted_and_those_that_were_fixed_are_not(desk: Desk) -> None:
    wrong = storage().replace("hpc-storage", "hpc-storge")
    desk.serve(wrong, user("jdoe"))
    assert "failed=1;1;5;0" in desk("health", "--failed", "1:5", code=2).out
    desk.serve(storage())
    assert "failed=0;1;5;0" in desk("health", "--failed", "1:5", code=2).out


def test_a_failure_counts_once_however_often_it_was_tried_again(desk: Desk) -> None:
    desk.serve(storage().replace("hpc-storage", "hpc-storge"))
    for _ in range(2):
        [request] = desk("failed", "--ids").out.split()
        desk("retry", request)
        desk.drain()
    assert len(desk("failed", "--ids").out.split()) == 1
    assert "failed=1;1;5;0" in desk("health", "--failed", "1:5", code=2).out


def test_a_site_that_cannot_be_read_is_unknown(desk: Desk) -> None:
    desk.break_off("journal")
    assert desk("health", code=3).out.startswith("PROVISIONER UNKNOWN - the journal ")
    desk.config.write_text("service: [\n")
    assert desk("health", code=3).out.startswith("PROVISIONER UNKNOWN - ")


@pytest.mark.parametrize("limits", ["9", "9:", "a:b", "9:8"])
def test_limits_are_two_numbers_in_order(desk: Desk, limits: str) -> None:
    assert "--age" in desk("health", "--age", limits, code=2).err


def test_what_hangs_is_unknown_after_the_time_limit() -> None:
    program = (
        "import time; from provisioner.cli import health\n"
        "health._report = lambda *_: time.sleep(60)\n"
        "from provisioner.cli.main import main; main(['health', '--timeout', '1'])"
    )
    argv = [sys.executable, "-c", program]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "PROVISIONER UNKNOWN - not done after 1 s\n")
