"""Clocks that jump: waits go by the time that went by, whatever the time of day was set to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from provisioner.journal import audit
from provisioner.journal.records import object_rows, request_rows
from provisioner.journal.schema import events, objects
from provisioner.recovery.clock import EVENT, last_jump
from provisioner.system import ulid
from tests.support.clocks import Clocks
from tests.support.engine_site import Site, allocation, user

HOUR, DAY = 3600.0, 86400.0


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


@pytest.fixture
def site(tmp_path: Path, clocks: Clocks, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    # Ids that other tests see are not of a time to come.
    monkeypatch.setattr(ulid, "_sequence", ulid._Sequence())
    yield Site(tmp_path)


def restart(site: Site, monkeypatch: pytest.MonkeyPatch | None = None) -> None:
    site.spool.close()
    site.system.journal.close()
    if monkeypatch is not None:
        monkeypatch.setattr(ulid, "_sequence", ulid._Sequence())
    site.start()


def stay(site: Site) -> None:
    """Go on without a restart."""


def waits(site: Site) -> None:
    """Ask for somebody who is not there yet."""
    site.first.missing.add("ann")
    site.request(allocation(1, "ann"))
    assert site.states() == {"done": [], "failed": []}


def is_done(site: Site) -> bool:
    """Let who was missing come, and say whether the request is soon done."""
    site.first.missing.clear()
    site.drain()
    return site.states() == {"done": ["r.yaml"], "failed": []}


def latest(site: Site) -> float:
    """Say how far from now anything is put off."""
    with site.system.journal.reading() as conn:
        dues = list(conn.scalars(select(objects.c.due).where(objects.c.due.is_not(None))))
        lanes = object_rows.lane_rows(conn).values()
    ends = [*dues, *(row["breaker_until"] or 0.0 for row in lanes)]
    return float(max(ends)) - time.time()


@pytest.mark.parametrize("meanwhile", [stay, restart])
@pytest.mark.parametrize("by", [10 * DAY, 3650 * DAY, -10 * DAY, HOUR, -HOUR])
def test_a_jump_and_its_mending_use_up_no_patience_and_put_nothing_off(
    site: Site, clocks: Clocks, by: float, meanwhile: object
) -> None:
    waits(site)
    restart(site)
    for seconds in (by, -by):
        clocks.jump(seconds)
        if meanwhile is restart:
            restart(site)
        site.drain()
        assert site.states() == {"done": [], "failed": []}
        assert latest(site) <= 0.024
    assert is_done(site)


def test_time_that_really_went_by_uses_up_patience(site: Site, clocks: Clocks) -> None:
    waits(site)
    clocks.jump(10 * DAY)
    site.drain()
    clocks.go(8 * DAY)
    site.drain()
    assert site.states()["failed"] == ["r.yaml"]


def test_what_came_while_the_clock_was_wrong_is_done_when_it_is_right(
    site: Site, clocks: Clocks
) -> None:
    clocks.jump(10 * DAY)
    site.drop(allocation(1, "ann"))
    clocks.jump(-10 * DAY)
    assert is_done(site)


@pytest.mark.parametrize("by", [10 * DAY, -10 * DAY])
def test_a_backend_that_is_back_is_asked_whatever_the_clock_was(
    site: Site, clocks: Clocks, by: float
) -> None:
    site.first.away = True
    clocks.jump(by)
    site.request(allocation(1, "ann"))
    clocks.jump(-by)
    site.first.away = False
    for _ in range(100):
        site.drain()
        if not site.service.lanes["first"].away:
            break
        time.sleep(0.01)
    assert latest(site) <= 0.024
    assert is_done(site)


def test_dues_of_a_time_to_come_are_found_at_a_start_of_another_boot(
    site: Site, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks.jump(10 * DAY)
    waits(site)
    clocks.jump(-10 * DAY)
    monkeypatch.setattr("provisioner.recovery.clock._boot_id", ["another-boot"])
    restart(site)
    assert latest(site) <= 0.024
    assert is_done(site)


def test_what_is_scheduled_follows_the_time_of_day(site: Site, clocks: Clocks) -> None:
    soon = datetime.fromtimestamp(time.time() + HOUR, UTC).isoformat()
    site.request(f"not_before: {soon}\n" + user("jdoe"))
    assert site.service.house.intake.due_later() == []
    clocks.jump(2 * HOUR)
    assert len(site.service.house.intake.due_later()) == 1


def test_ids_grow_over_a_restart_with_the_clock_set_back(
    site: Site, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.request(user("first"), "1.yaml")
    clocks.jump(-10 * DAY)
    restart(site, monkeypatch)
    site.request(user("second"), "2.yaml")
    with site.system.journal.reading() as conn:
        found = request_rows.in_states(conn, ["done"])
    assert [record.name for record in found] == ["1.yaml", "2.yaml"]


def test_a_jump_is_told_and_the_chain_of_events_fits(site: Site, clocks: Clocks) -> None:
    with site.system.journal.reading() as conn:
        assert last_jump(conn) is None
    clocks.jump(10 * DAY)
    site.drain()
    with site.system.journal.reading() as conn:
        told = list(conn.scalars(select(events.c.text).where(events.c.kind == EVENT)))
        assert told == [str(last_jump(conn))] == ["the clock jumped forward by 10 days"]
        assert audit.verify(conn).problem == ""


def test_nothing_is_removed_for_a_day_after_the_clock_jumped_forward(
    site: Site, clocks: Clocks
) -> None:
    site.request(user("jdoe"))
    clocks.jump(500 * DAY)
    for start in (stay, restart):
        start(site)
        site.service.keeper.prune()
        assert site.states()["done"] == ["r.yaml"]
    clocks.go(1.1 * DAY)
    site.service.keeper.prune()
    assert site.states()["done"] == []
