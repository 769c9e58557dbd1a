"""A request that waits for more than a day is told in the log, once a day."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest

from provisioner.cli import board
from provisioner.inspection import daily_report, worklist
from provisioner.objects.states import RequestState
from tests.support.engine_site import Site, allocation
from tests.support.records import a_request

DAY = 86400.0


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a site whose first backend is away, with a request that waits for it."""
    site = Site(tmp_path)
    site.first.away = True
    site.request(allocation(1, "ann"))
    return site


def told(site: Site, caplog: pytest.LogCaptureFixture, days: float) -> list[str]:
    """Return what is logged when so many days have passed."""
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        site.service.house.reporter.waits(time.time() + days * DAY)
    return caplog.messages


def test_a_request_that_waits_for_more_than_a_day_is_logged_with_what_it_waits_for(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    assert told(site, caplog, 0.9) == []
    [line] = told(site, caplog, 1.1)
    assert "allocation.provision allocation:1 of root has waited for 26 h for first/" in line
    assert ": provisioner show " in line


def test_it_is_logged_once_a_day(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    assert [len(told(site, caplog, days)) for days in (1.1, 1.2, 2.0, 2.2, 3.3)] == [1, 0, 0, 1, 1]


def test_of_very_many_some_are_logged_at_each_look(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daily_report, "MOST", 2)
    for number in range(2, 6):
        site.request(allocation(number, "ann", code=f"c{number}"))
    assert [len(told(site, caplog, 1.1)) for _ in range(4)] == [2, 2, 1, 0]


def test_what_is_done_is_not_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.back(site.first)
    assert told(site, caplog, 5) == []


def test_the_queue_counts_those_that_have_waited_for_more_than_a_day() -> None:
    records = [
        a_request(id=f"i{age}", state=RequestState.DEFERRED, accepted=-age * DAY)
        for age in (0.5, 1.5, 3)
    ]
    items = [worklist.Item(record, (), "no uid", "", "c") for record in records]
    lines = board.rows(items, {record.id: record.id for record in records}, {}, 5, 0.0)
    heads = ["".join(text for text, _ in line) for line in lines]
    assert "3 deferred, the oldest 3 d old; 2 for more than a day" in heads
