"""The alerts, the dashboard and the page know the metrics that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.config.schema import load
from provisioner.convergence.calls import timings
from provisioner.journal.journal import Journal
from provisioner.monitoring.exporter import Exporter
from provisioner.monitoring.looks import Looks

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "deploy/monitoring"
NAME = r"provisioner_\w+"
LATE = {"provisioner_backup_age_seconds"}
"""Metrics that a new site has not yet."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return the names of all metrics, with the endings that histograms and counters have."""
    root = tmp_path_factory.mktemp("site")
    (root / "p.yaml").write_text("service: x\nspool: s\njournal: j.db\n")
    Journal.open(root / "j.db").close()
    exporter = Exporter(load(root / "p.yaml"), ["slurm"], Looks())
    with timings.of("a"), timings.timed("observe"):
        pass
    names: set[str] = set(LATE)
    for metric in exporter.registry.collect():
        names |= {metric.name, *(sample.name for sample in metric.samples)}
        names |= {f"{metric.name}{end}" for end in _ENDINGS[metric.type]}
    return names


_ENDINGS = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("_total",), "gauge": ()}


def expressions() -> Iterator[str]:
    """Yield what the alerts and the dashboard ask Prometheus."""
    for group in alerts()["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    for panel in json.loads((MONITORING / "dashboard.json").read_text())["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def alerts() -> Any:
    return yaml.safe_load((MONITORING / "alerts.yaml").read_text())


@pytest.mark.parametrize("expression", list(expressions()))
def test_an_expression_asks_for_metrics_that_there_are(served: set[str], expression: str) -> None:
    named = set(re.findall(NAME, expression))
    assert named
    assert named <= served


def test_each_alert_says_what_it_is_and_what_to_do() -> None:
    for group in alerts()["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in {"warning", "critical"}
            assert set(rule["annotations"]) == {"summary", "description"}


def test_the_page_names_every_metric_and_no_other(served: set[str]) -> None:
    page = (ROOT / "docs/monitoring.md").read_text()
    told = set(re.findall(rf"^\| `({NAME})`", page, re.MULTILINE))
    assert told <= served
    whole = {name.removesuffix("_total") for name in told}
    for name in served:
        base = re.sub(r"_(bucket|count|sum|total|created)$", "", name)
        assert base in whole or base.startswith("provisioner_process_"), name


def test_panels_do_not_lie_on_each_other() -> None:
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in panels}) == len(panels)
