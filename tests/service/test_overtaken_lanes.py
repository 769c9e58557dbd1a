"""A lane that another host has taken up writes nothing more to its backend, and records nothing."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from provisioner.contract import Change
from provisioner.journal.hosts import holds
from provisioner.journal.hosts.holds import Overtaken
from provisioner.journal.journal import Connection
from provisioner.journal.records import object_rows
from provisioner.system.ulid import RequestId
from tests.support.engine_site import Accounts, Site, allocation
from tests.support.waiting import until

LANE = "first"


@dataclass
class Fenced:
    """The hold of a lane that was taken up by this site, and that another one can take up."""

    site: Site
    unsure: bool = False

    def __post_init__(self) -> None:
        self.told: list[RequestId] = []
        self.epoch = self.take_up("here")
        self.site.service.lanes[LANE].hold = self

    def take_up(self, host: str) -> int:
        with self.site.system.journal.transaction() as conn:
            return holds.take_up(conn, LANE, host, 1.0).epoch

    def sure(self) -> None:
        if self.unsure:
            raise Overtaken(LANE)

    def check(self, conn: Connection) -> None:
        holds.check(conn, LANE, self.epoch)

    def tell(self, conn: Connection, ids: Collection[RequestId]) -> None:
        self.told += ids


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def drained(site: Site) -> bool:
    """Drain the lane as its thread does. Return False if it was overtaken."""
    try:
        site.service.lanes[LANE].drain()
    except Overtaken:
        return False
    return True


def test_who_has_the_lane_writes_and_tells_what_has_ended(site: Site) -> None:
    hold = Fenced(site)
    site.drop(allocation(1))
    ids = [record.id for record in site.open()]
    assert drained(site)
    assert hold.told == ids
    assert len(site.first.rows) == 1


def test_who_is_not_sure_does_not_call_the_backend(site: Site) -> None:
    hold = Fenced(site, unsure=True)
    site.drop(allocation(1))
    assert not drained(site)
    assert site.first.calls == []
    hold.unsure = False
    assert drained(site)
    assert len(site.first.calls) == 1


def test_a_slow_ones_record_is_refused_and_who_has_the_lane_finds_what_it_wrote(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = Fenced(site)
    site.drop(allocation(1))
    apply = Accounts.apply

    def overtaken(handler: Accounts, changes: Sequence[Change]) -> None:
        apply(handler, changes)
        hold.take_up("there")

    with monkeypatch.context() as patch:
        patch.setattr(Accounts, "apply", overtaken)
        assert not drained(site)
    assert (len(site.first.calls), len(site.open()), hold.told) == (1, 1, [])
    hold.epoch = hold.take_up("here again")
    assert drained(site)
    assert (len(site.first.calls), len(site.open())) == (1, 0)


def test_a_slow_one_saves_nothing_of_what_it_was_about_to_close(site: Site) -> None:
    hold = Fenced(site)
    site.request(allocation(1))
    site.drop(allocation(1, verb="suspend"))
    hold.take_up("there")
    assert not drained(site)
    assert len(site.first.calls) == 1


def test_a_slow_one_opens_no_breaker(site: Site) -> None:
    hold = Fenced(site)
    site.drop(allocation(1))
    site.first.away = True
    hold.take_up("there")
    assert not drained(site)
    with site.system.journal.reading() as conn:
        assert LANE not in object_rows.lane_rows(conn)


def test_a_thread_whose_lane_was_taken_up_ends(site: Site) -> None:
    hold = Fenced(site)
    site.drop(allocation(1))
    hold.take_up("there")
    lane = site.service.lanes[LANE]
    thread = threading.Thread(target=lane.run)
    thread.start()
    try:
        until(lambda: not thread.is_alive(), "the thread to end")
    finally:
        lane.stop()
        thread.join()
    assert len(site.open()) == 1
