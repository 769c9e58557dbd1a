"""With which status a process of several ends, and that the shipped units act on it as docs say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from procrastinate import exceptions

from provisioner.cli.exits import Exit
from provisioner.contract import ConfigError
from provisioner.hosts.jobs import passing, queue

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]
AGAIN, STAYS = int(Exit.FAILED), int(Exit.CONFIG)


def test_an_error_of_a_connection_for_jobs_passes() -> None:
    error = exceptions.ConnectorException()
    error.__cause__ = OSError("the server closed the connection")
    told = passing(error)
    assert isinstance(told, ConfigError) and told.passing
    assert "server was lost: the server closed the connection" in told.message


def test_another_error_is_itself() -> None:
    error = ValueError("a mistake of this program")
    assert passing(error) is error


@pytest.mark.parametrize("unit", ["provisioner.service", "provisioner-lanes@.service"])
def test_units_restart_on_the_statuses_that_the_page_says(unit: str) -> None:
    text = (ROOT / "deploy/systemd" / unit).read_text()
    page = (ROOT / "docs/scale-out.md").read_text()
    rows = re.findall(r"^\| (\d+) \| .* \| (leaves it|starts it)[^|]* \|$", page, re.M)
    stays = [code for code, what in rows if what == "leaves it" and code != "0"]
    again = [code for code, what in rows if what == "starts it"]
    assert (stays, again) == ([str(STAYS)], [str(AGAIN)])
    assert re.findall(r"^RestartPreventExitStatus=(.*)$", text, re.M) == stays
    assert re.findall(r"^Restart=(.*)$", text, re.M) == ["on-failure"]
    assert int(re.findall(r"^WatchdogSec=(\d+)$", text, re.M)[0]) >= 60
    assert re.findall(r"^Type=(.*)$", text, re.M) == ["notify"]


@pytest.mark.parametrize(
    "lane", ["slurm", "homes:/home", "x" * 40, "é" * 21, "homes:/" + "x" * 200]
)
def test_a_queue_has_a_name_that_the_server_takes(lane: str) -> None:
    assert len(f"procrastinate_queue_v1#{queue(lane)}".encode()) <= 63
    assert queue(lane) != queue(f"{lane}x")
