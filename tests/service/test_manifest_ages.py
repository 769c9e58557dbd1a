"""Of two manifests of one writer the one that was read last counts, whatever comes between them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support import portals
from tests.support.engine_site import Site, control
from tests.support.manifest_site import ask, entry, members, newest, put, reconcile
from tests.support.portals import A, B, is_open, left_out, person
from tests.support.portions_site import finish, line_by_line, restart, send, steps

MANY = (entry(1, "ann", "eve"), entry(2, "bob", "eve"))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return line_by_line(tmp_path, monkeypatch)


@pytest.fixture
def shared(tmp_path: Path) -> Site:
    """Give a site with several portals."""
    return Site(tmp_path, portals.POLICY)


# Two wait, and the service starts again.


@pytest.mark.parametrize("portions", [3, 4, 6, 8])
def test_who_is_out_of_the_newer_one_is_out_wherever_the_service_started_again(
    site: Site, portions: int
) -> None:
    reconcile(site, entry(1, "ann"), entry(2, "bob"))
    send(site, *MANY)
    steps(site, 1)
    send(site, entry(1, "ann"), entry(2, "bob"))
    steps(site, portions)
    restart(site)
    assert finish(site).state == "done"
    assert members(site) == {"cf1/ann", "cf2/bob"}


@pytest.mark.parametrize("portions", [3, 5, 9])
def test_what_was_closed_stays_closed_wherever_the_service_started_again(
    site: Site, portions: int
) -> None:
    reconcile(site, entry(1, "ann"), entry(2, "bob"))
    reconcile(site, entry(1, "ann"))
    send(site, entry(1, "ann"), entry(2, "bob"))
    steps(site, 1)
    send(site, entry(1, "ann"))
    steps(site, portions)
    restart(site)
    finish(site)
    assert members(site) == {"cf1/ann"}


# The second arrives when the first one is over.


READ = {
    "while the first was followed": (timedelta(minutes=-2), timedelta(minutes=-1), set()),
    "before the first": (timedelta(minutes=-1), timedelta(minutes=-2), {"cf2/bob"}),
    "in the same moment": (timedelta(minutes=-1), timedelta(minutes=-1), set()),
}


@pytest.mark.parametrize("when", READ)
def test_a_manifest_that_was_read_before_what_the_one_before_asked_for_counts_by_its_reading(
    site: Site, when: str
) -> None:
    first, second, more = READ[when]
    now = datetime.now(UTC)
    reconcile(site, entry(1, "ann"), entry(2, "bob"), as_of=now + first)
    reconcile(site, entry(1, "ann"), as_of=now + second)
    assert members(site) == {"cf1/ann", *more}


def test_a_clock_that_was_set_back_makes_no_manifest_older_whose_writer_knew_more(
    site: Site,
) -> None:
    now = datetime.now(UTC)
    reconcile(site, entry(1, "ann"), entry(2, "bob"), as_of=now, since=7)
    reconcile(site, entry(1, "ann"), as_of=now - timedelta(hours=1), since=8)
    assert members(site) == {"cf1/ann"}


# A person of two writers.


def test_who_is_out_of_the_newer_one_and_then_of_the_other_portal_s_is_closed(
    shared: Site,
) -> None:
    for portal in (B, A):
        ask(shared, person(), portal)
    send(shared, person(uid=1002), uid=A)
    steps(shared, 1)
    send(shared, person("bob"), uid=A)
    finish(shared)
    assert is_open(shared)
    left_out(shared, B)
    assert not is_open(shared)


def test_an_older_one_that_somebody_held_says_nothing_of_whom_the_newer_one_left_out(
    shared: Site,
) -> None:
    ask(shared, person(), B)
    ask(shared, person(), A)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared.service.house.portions, "step", lambda: False)
        send(shared, person(), uid=A)
        shared.service.take()
    older = newest(shared, "reconcile.json")
    put(shared, "hold.yaml", control("request.hold", older.id).encode(), A)
    shared.take()
    left_out(shared, A)
    put(shared, "release.yaml", control("request.release", older.id).encode(), A)
    assert finish(shared).state == "done"
    left_out(shared, B)
    assert not is_open(shared)
