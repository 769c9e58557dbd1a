"""Debian's own Prometheus scrapes a running service, and takes the rules that are shipped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_site import Desk, user
from tests.support.smtp_server import free_port

pytestmark = pytest.mark.lab

RULES = Path(__file__).parents[2] / "deploy/monitoring/alerts.yaml"
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/bin"])


def program(name: str) -> str:
    found = shutil.which(name, path=PATH)
    assert found is not None, f"{name} is missing: apt-get install prometheus"
    return found


@contextmanager
def prometheus(root: Path, port: int) -> Iterator[int]:
    """Run Prometheus, which scrapes a port and has the shipped rules; give its own port."""
    own = free_port()
    (root / "alerts.yaml").write_text(RULES.read_text())
    (root / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        "rule_files: [alerts.yaml]\n"
        "scrape_configs:\n"
        f"  - {{job_name: provisioner, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}\n"
    )
    argv = [
        program("prometheus"),
        f"--config.file={root}/prometheus.yml",
        f"--storage.tsdb.path={root}/data",
        f"--web.listen-address=127.0.0.1:{own}",
    ]
    with (root / "prometheus.log").open("w") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, cwd=root)
    try:
        yield own
    finally:
        process.terminate()
        process.wait(30)


def ask(port: int, path: str, **words: str) -> Any:
    address = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(words)}"
    with urllib.request.urlopen(address, timeout=10) as answer:
        return json.load(answer)["data"]


def value(port: int, query: str) -> float | None:
    """Return the value of a query; None while there is none."""
    try:
        result = ask(port, "query", query=query)["result"]
    except (urllib.error.URLError, ConnectionError):
        return None
    return float(result[0]["value"][1]) if result else None


def until(port: int, query: str, wanted: float) -> None:
    """Wait until a query has a value."""
    deadline = time.monotonic() + 60
    while (got := value(port, query)) != wanted:
        assert time.monotonic() < deadline, f"{query}: {got}"
        time.sleep(0.5)


def test_it_scrapes_the_service_and_evaluates_the_rules(tmp_path: Path) -> None:
    desk, port = Desk(tmp_path / "box"), free_port()
    desk.set("notify:\n", f"metrics: {{listen: '127.0.0.1:{port}'}}\nnotify:\n")
    with desk.service(), prometheus(tmp_path, port) as own:
        until(own, "up", 1)
        desk("submit", "-", "--wait", stdin=user("jdoe").encode())
        until(own, 'provisioner_requests_ended_total{outcome="done"}', 1)
        desk("pause", "slurm", "--wait")
        until(own, 'provisioner_lane_paused{lane="slurm"}', 1)
        rules = [r for group in ask(own, "rules")["groups"] for r in group["rules"]]
        assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
        assert {rule["state"] for rule in rules if rule["name"] == "ProvisionerDown"} == {
            "inactive"
        }


def test_its_tool_finds_nothing_wrong_with_the_rules() -> None:
    argv = [program("promtool"), "check", "rules", str(RULES)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
