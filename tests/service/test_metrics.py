"""Metrics, as Prometheus reads them: by HTTP on loopback, or from a file."""

from __future__ import annotations

import threading
import time
import urllib.request
from functools import partial
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from provisioner.cli import sharing
from provisioner.hosts import jobs
from provisioner.journal.figures import idle
from tests.support import databases
from tests.support.cli_site import Desk, storage, user
from tests.support.engine_site import CONFIG, Site, allocation
from tests.support.engine_site import user as person
from tests.support.smtp_server import free_port
from tests.support.waiting import until

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(text: str) -> Samples:
    """Read metrics with Prometheus' own parser."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((f"provisioner_{name}", frozenset(labels.items())))


def scrape(port: int) -> Samples:
    """Scrape as Prometheus does."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        return parsed(answer.read().decode())


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def site(tmp_path: Path, port: int) -> Site:
    site = Site(tmp_path, f"metrics: {{listen: '127.0.0.1:{port}'}}\n")
    site.service.metrics.start()
    return site


def now(site: Site, port: int) -> Samples:
    """Scrape figures that are not of a few seconds ago."""
    exporter = site.service.metrics.exporter
    assert exporter is not None
    exporter._read_at = -1e9
    return scrape(port)


def test_outcomes_steps_and_calls_are_counted_since_the_start(site: Site, port: int) -> None:
    site.request(allocation(1, "ann, bob"))
    site.first.poison = {"mallory"}
    site.request(person("mallory", uid=2000), "wrong.yaml")
    read = now(site, port)
    site.service.metrics.stop()
    done = {"action": "allocation.provision", "outcome": "done"}
    assert value(read, "requests_ended_total", **done) == 1
    failed = {"action": "user.provision", "outcome": "failed"}
    assert value(read, "requests_ended_total", **failed) == 1
    assert value(read, "requests_need_person") == 1
    assert value(read, "request_seconds_count", action="allocation.provision") == 1
    assert value(read, "step_seconds_count", step="members", handler="first") == 1
    calls = value(read, "backend_call_seconds_count", handler="first", call="observe")
    assert calls is not None and calls >= 2
    assert (value(read, "backend_call_errors_total", handler="first", call="apply") or 0) >= 1


def test_what_waits_is_counted_with_its_age_and_its_lane(site: Site, port: int) -> None:
    site.first.missing = {"late"}
    site.request(allocation(4, "late"))
    with site.system.journal.transaction() as conn:
        conn.exec_driver_sql("UPDATE requests SET accepted = accepted - 7200")
        conn.exec_driver_sql("UPDATE objects SET due = due + 60")  # not over before it is counted
    read = now(site, port)
    site.service.metrics.stop()
    waits = {"state": "deferred", "action": "allocation.provision"}
    assert value(read, "requests", **waits) == 1
    assert 7199 < (value(read, "requests_oldest_seconds", state="deferred") or 0) < 7300
    assert value(read, "lane_due", lane="first", when="later") == 1
    assert value(read, "objects_differing", handler="first") == 1
    assert value(read, "objects_failing", handler="first") == 1


def test_a_paused_lane_and_a_backend_that_is_away_are_shown(site: Site, port: int) -> None:
    site.first.away = True
    site.request(allocation(1, "ann"))
    read = now(site, port)
    site.service.metrics.stop()
    assert value(read, "lane_away", lane="first") == 1
    assert value(read, "lane_paused", lane="first") == 0


def test_drift_is_shown_for_each_handler(site: Site, port: int) -> None:
    site.request(allocation(1, "ann"))
    site.first.rows["first/account/cf"]["limit"] = "9"
    at = time.time()
    site.service.house.reporter.rounds.walk(at)
    site.first.rows["first/account/cf"]["limit"] = "5"
    del site.first.rows["first/member/cf/ann"]
    site.service.house.reporter.rounds.walk(at + 86400)
    read = now(site, port)
    site.service.metrics.stop()
    assert value(read, "drift_differing", handler="first") == 1
    assert value(read, "drift_found_total", handler="first") == 2
    assert value(read, "drift_repaired_total", handler="first") == 1
    assert value(read, "drift_look_timestamp_seconds", handler="first") == at + 86400
    assert value(read, "drift_look_failed", handler="first") == 0
    assert value(read, "drift_differing", handler="second") == 0


IDLE = "idle: {after: 180, sources: {homes: {program: [/bin/false]}}}\n"
NOTIFY = "notify: {mail: {directory: mail, sender: hpc@campus.test}}\n"


@pytest.mark.parametrize(("more", "doubts"), [(NOTIFY + IDLE, 1), ("", None)], ids=["on", "off"])
def test_a_look_for_idle_people_is_shown_with_how_much_was_in_doubt(
    tmp_path: Path, port: int, more: str, doubts: float | None
) -> None:
    site = Site(tmp_path, f"metrics: {{listen: '127.0.0.1:{port}'}}\n{more}")
    site.service.metrics.start()
    at = time.time()
    with site.system.journal.transaction() as conn:
        idle.note(conn, idle.Last(at, ("homes: it printed nothing",)))
    read = now(site, port)
    site.service.metrics.stop()
    assert value(read, "idle_doubts") == doubts
    assert value(read, "idle_round_timestamp_seconds") == (at if doubts else None)


def test_an_action_that_there_is_not_makes_no_metric_of_its_own(site: Site, port: int) -> None:
    for number in range(3):
        site.request(f"provisioner: 1\naction: x.{number}\n", f"{number}.yaml")
    read = now(site, port)
    site.service.metrics.stop()
    assert value(read, "requests_ended_total", action="other", outcome="refused") == 3
    assert not [labels for _, labels in read if ("action", "x.1") in labels]


def test_a_reader_of_metrics_does_not_wait_for_a_writer(site: Site, port: int) -> None:
    began = time.monotonic()
    with site.system.journal.transaction() as conn:
        conn.exec_driver_sql("UPDATE lanes SET paused_by = paused_by")
        assert value(now(site, port), "journal_readable") == 1
    site.service.metrics.stop()
    assert time.monotonic() - began < 25  # a writer that blocks is waited for 30 s


def test_a_port_that_is_taken_ends_nothing(site: Site, port: int, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    second = Site(other, f"metrics: {{listen: '127.0.0.1:{port}'}}\n")
    second.service.metrics.start()
    second.request(allocation(1, "ann"))
    assert second.states()["done"] == ["r.yaml"]
    second.service.metrics.stop()
    site.service.metrics.stop()


def test_the_real_service_writes_the_file_of_node_exporter(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    port = free_port()
    desk.set("notify:\n", f"metrics: {{textfile: p.prom, listen: '127.0.0.1:{port}'}}\nnotify:\n")
    path = desk.root / "p.prom"
    with desk.service():
        desk("submit", "-", "--wait", stdin=user("jdoe").encode())
        desk("submit", "-", "--wait", stdin=storage().encode())
        # Figures are kept for a while.
        known = partial(value, name="objects_known", handler="fs1")
        until(lambda: known(scrape(port)) is not None, "the object is counted")
        read = scrape(port)
    assert path.stat().st_mode & 0o777 == 0o644
    assert value(parsed(path.read_text()), "journal_readable") == 1
    assert value(read, "objects_known", handler="fs1") == 1
    assert (value(read, "sweep_timestamp_seconds") or 0) > time.time() - 60


@pytest.mark.parametrize("listen", ["0.0.0.0:9811", "192.0.2.1:9811", "9811", "127.0.0.1", "h:1"])
def test_metrics_are_for_this_host_alone(tmp_path: Path, listen: str) -> None:
    desk = Desk(tmp_path / "box")
    desk.set("notify:\n", f"metrics: {{listen: '{listen}'}}\nnotify:\n")
    assert "this host alone" in desk("config", "check", code=4).err


def answers(port: int) -> bool:
    try:
        return bool(scrape(port))
    except OSError:
        return False


@pytest.mark.lab
def test_lanes_on_another_host_serve_what_the_journal_knows_and_nothing_of_staging(
    tmp_path: Path, port: int
) -> None:
    text = CONFIG.replace("journal: journal.db", f"journal: {databases.cluster().make()}")
    site = Site(tmp_path, f"metrics: {{listen: '127.0.0.1:{port}'}}\n", text)
    site.die()
    drainer = sharing.near(site.built(), ["first"], jobs)
    running = threading.Thread(target=drainer.run)
    running.start()
    try:
        until(lambda: answers(port), "the port to answer")
        read = scrape(port)
    finally:
        drainer.stop()
        running.join()
    assert value(read, "journal_readable") == 1
    assert value(read, "lane_served", lane="second") == 0
    assert value(read, "sweep_timestamp_seconds") is None
    assert not answers(port)
