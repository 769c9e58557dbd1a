"""A request that waited for its time, or a release, counts from its acceptance, whatever its id."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provisioner.cards import objects
from provisioner.journal.queries import history, precedents
from provisioner.journal.records import request_rows
from provisioner.journal.records.request_rows import Record
from tests.fault.people import site as house
from tests.support.clocks import Clocks
from tests.support.ends_site import look
from tests.support.engine_site import Site, allocation, control, release, user
from tests.support.policy_site import POLICY, PORTAL, send

ACTION, SUBJECT = "allocation.provision", "allocation:1"


@pytest.fixture
def clocks() -> Iterator[Clocks]:
    """Give clocks, also to ids: they do not run ahead."""
    with house.ticking() as clocks:
        yield clocks


@pytest.fixture
def site(tmp_path: Path, clocks: Clocks) -> Site:
    """Give a running site with two empty backends, after the clocks."""
    return Site(tmp_path)


def load(site: Site, name: str) -> Record:
    with site.system.journal.reading() as conn:
        found = request_rows.newest(conn, name, "")
    assert found is not None
    return found


def reasons(site: Site) -> set[tuple[str, str]]:
    """Return who suspended ann, and for what cause."""
    told = objects.suspensions(site.system, "user:ann", ())
    return {(one.source, one.cause) for one in told}


def dated(text: str, seconds: float = 3600) -> str:
    """Let a request wait for some time."""
    moment = datetime.fromtimestamp(time.time() + seconds, UTC)
    return text.replace("action:", f"not_before: {moment:%Y-%m-%dT%H:%M:%SZ}\naction:", 1)


def let_go(site: Site) -> Record:
    """Have a request held for a review, and drop another one, then the release, for one commit."""
    site.request(allocation(1, "ann", files=3))
    held = send(site, PORTAL, allocation(1, "ann", files=50))
    assert held.state == "held"
    site.first.away = True
    for name, text in (("a.yaml", allocation(1, "ann, bob", files=4)), ("b.yaml", release(held))):
        (site.spool.staging / name).write_text(text)
    site.take()
    return held


def come(site: Site, clocks: Clocks, seconds: float = 3700) -> None:
    """Let the time of what waits come, and be judged."""
    clocks.go(seconds)
    look(site)


@pytest.fixture
def both(site: Site, clocks: Clocks) -> list[Record]:
    """Give two requests for one subject, of which the older one began last."""
    site.request(dated(allocation(1, "ann", files=3)), "older.yaml")
    site.request(allocation(1, "ann, bob", files=9), "newer.yaml")
    come(site, clocks)
    assert site.limit("first/account/cf") == "3"
    return [load(site, f"{name}.yaml") for name in ("older", "newer")]


def test_it_is_what_was_last_asked_for_of_its_subject(site: Site, both: list[Record]) -> None:
    older, newer = both
    with site.system.journal.reading() as conn:
        assert request_rows.newest_about(conn, SUBJECT, ACTION) == older
        assert request_rows.newest_of(conn, [ACTION]) == [older]
        assert history.newer(conn, newer, [ACTION]) == older.id
        assert history.newer(conn, older, [ACTION]) == ""
        bob = f"{SUBJECT}/user:bob"
        assert precedents.withdrawn_by(conn, newer.id, [bob]) == {bob: older.id}
        assert precedents.withdrawn_by(conn, older.id, [bob]) == {}


def test_what_it_overtook_is_superseded_and_names_it(site: Site, clocks: Clocks) -> None:
    site.request(dated(allocation(1, "ann", files=3)), "older.yaml")
    site.first.away = True
    site.drop(allocation(1, "ann, bob", files=9), "newer.yaml")
    come(site, clocks)
    site.back(site.first)
    newer = load(site, "newer.yaml")
    assert newer.state == "superseded"
    [problem] = newer.problems or []
    assert f"{load(site, 'older.yaml').id} has since asked for something else" in problem["message"]


def test_a_suspension_whose_time_has_come_stays_when_a_later_one_is_cancelled(
    site: Site, clocks: Clocks
) -> None:
    site.request(user("ann", uid=7))
    site.request(dated(user("ann", "suspend", cause="leave")), "older.yaml")
    site.request(user("ann", "resume", cause="leave"))
    site.first.away = True
    site.drop(user("ann", "suspend", cause="leave").replace("user:", "id: x\nuser:"), "newer.yaml")
    come(site, clocks)
    site.request(control("request.cancel", load(site, "newer.yaml").id))
    site.back(site.first)
    assert load(site, "older.yaml").state == "done"
    assert reasons(site) == {("root", "leave")}


def test_a_suspension_that_a_dated_resume_lifted_does_not_come_back_when_a_later_one_is_cancelled(
    site: Site, clocks: Clocks
) -> None:
    site.request(user("ann", uid=7))
    site.request(dated(user("ann", "resume", cause="leave")))
    site.request(user("ann", "suspend", cause="leave"))
    come(site, clocks)
    site.first.away = True
    site.drop(user("ann", "suspend", cause="leave").replace("user:", "id: x\nuser:"), "newer.yaml")
    site.request(control("request.cancel", load(site, "newer.yaml").id))
    site.back(site.first)
    assert reasons(site) == set()


def test_one_that_is_released_counts_after_what_was_accepted_with_its_release(
    tmp_path: Path, clocks: Clocks
) -> None:
    site = Site(tmp_path, POLICY)
    held = let_go(site)
    site.request(control("request.cancel", held.id), "cancel.yaml")
    site.back(site.first)
    assert site.limit("first/account/cf") == "4"
    assert "first/member/cf/bob" in site.first.rows


def test_what_came_due_while_the_service_was_down_begins_in_the_order_of_its_times(
    site: Site, clocks: Clocks
) -> None:
    site.request(user("ann", uid=7))
    site.request(dated(user("ann", "resume", cause="leave"), 7200))
    site.request(dated(user("ann", "suspend", cause="leave"), 3600))
    come(site, clocks, 7300)
    assert reasons(site) == set()


def test_what_came_due_while_the_service_was_down_begins_before_the_files_that_wait(
    tmp_path: Path, site: Site, clocks: Clocks
) -> None:
    site.request(user("ann", uid=7))
    site.request(dated(user("ann", "suspend", cause="leave")))
    site.die()
    clocks.go(3700)
    (site.spool.staging / "back.yaml").write_text(user("ann", "resume", cause="leave"))
    again = Site(tmp_path)
    again.take()
    assert reasons(again) == set()
    assert load(again, "back.yaml").outcome != "unmatched"
