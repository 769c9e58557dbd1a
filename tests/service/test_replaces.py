"""A request that says which failed one it replaces puts that right when it is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.journal.records.request_rows import Record
from tests.support.engine_site import Site, allocation, control, release
from tests.support.policy_site import OPERATOR, POLICY, PORTAL, SECOND, STRANGER, now, send, why

OTHERS = """\
  - {who: [uid-4714], actions: [allocation.*, request.retry]}
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a site with a portal, operators, and a user who steers only their own requests."""
    return Site(tmp_path, POLICY + OTHERS)


def failed(site: Site, uid: int, number: int = 1, head: str = "") -> Record:
    """Have a request fail in a backend."""
    site.first.poison.add(f"cf{number}")
    record = send(site, uid, allocation(number, code=f"cf{number}", head=head))
    site.first.poison.clear()
    assert record.state == "failed"
    return record


def instead(site: Site, uid: int, name: str, number: int = 2) -> Record:
    """Send a request that replaces another one, and is about something else."""
    return send(site, uid, allocation(number, code=f"cf{number}", head=f"replaces: {name}\n"))


def test_it_puts_right_what_it_names_though_it_asks_for_something_else(site: Site) -> None:
    before = failed(site, PORTAL)
    by = instead(site, PORTAL, before.id)
    assert (by.state, by.replaces, now(site, before).fixed_by) == ("done", before.id, by.id)
    assert site.states()["failed"] == []


def test_one_that_fails_puts_nothing_right(site: Site) -> None:
    before = failed(site, PORTAL)
    failed(site, PORTAL, 2, f"replaces: {before.id}\n")
    assert now(site, before).fixed_by is None


def test_it_also_puts_right_what_the_named_one_should_have_replaced(site: Site) -> None:
    first = failed(site, PORTAL)
    second = failed(site, PORTAL, 2, f"replaces: {first.id}\n")
    by = instead(site, PORTAL, second.id, 3)
    assert [now(site, each).fixed_by for each in (first, second)] == [by.id, by.id]


def test_the_named_one_may_be_named_by_its_own_id(site: Site) -> None:
    before = failed(site, PORTAL, head="id: portal-1\n")
    assert instead(site, PORTAL, "portal-1").replaces == before.id


def test_who_may_steer_others_requests_replaces_them(site: Site) -> None:
    before = failed(site, PORTAL)
    by = instead(site, OPERATOR, before.id)
    assert now(site, before).fixed_by == by.id


def test_anyone_else_is_told_no_more_than_that_they_have_no_such_request(site: Site) -> None:
    before = failed(site, PORTAL)
    answers = {why(instead(site, STRANGER, name)) for name in (before.id, before.id[:-1] + "-")}
    assert {answer.partition("there is")[0] for answer in answers} == {"replaces: "}
    assert now(site, before).fixed_by is None


def test_only_what_failed_or_was_refused_is_replaced(site: Site) -> None:
    done = send(site, PORTAL, allocation(1, code="cf1"))
    refused = instead(site, PORTAL, done.id)
    assert refused.state == "refused"
    assert f"{done.id} is done" in why(refused)


def test_one_that_was_held_still_puts_right_what_it_names(site: Site) -> None:
    before = failed(site, PORTAL)
    large = allocation(2, code="cf2", files=50, head=f"replaces: {before.id}\n")
    by = send(site, PORTAL, large)
    assert by.state == "held"
    send(site, SECOND, release(by))
    assert (now(site, by).state, now(site, before).fixed_by) == ("done", by.id)


def test_what_it_named_may_be_done_by_a_retry_before_it_is_released(site: Site) -> None:
    before = failed(site, PORTAL)
    large = allocation(2, code="cf2", files=50, head=f"replaces: {before.id}\n")
    by = send(site, PORTAL, large)
    send(site, OPERATOR, control("request.retry", before.id), "retry.yaml")
    send(site, SECOND, release(by))
    assert [now(site, each).state for each in (before, by)] == ["done", "done"]
