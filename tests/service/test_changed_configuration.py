"""What waits when the service starts with another configuration than it was accepted under."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.inspection import drift, planning
from provisioner.journal.records import request_rows
from provisioner.request.request import parse_request
from provisioner.routing.router import Router
from provisioner.service import Service
from provisioner.spool.spool import Spool
from provisioner.wiring import System
from tests.support.engine_site import CONFIG, Accounts, Site, allocation, control, user

NONE_FIRST = (
    CONFIG.replace("first: {use: accounts}, ", "")
    .replace("[first]", "[second]")
    .replace("handler: first", "handler: second")
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a running site with two empty backends."""
    return Site(tmp_path)


def start(site: Site, text: str, *handlers: Accounts) -> None:
    """Start the service anew with another configuration and other handlers."""
    site.configure(text)
    named = {handler._instance: handler for handler in handlers}
    kinds = dict.fromkeys(named, "accounts")
    site.system = System(site.config, named, kinds, Router(site.config, named, kinds))
    site.spool = Spool.open(site.config.spool)
    site.service = Service(site.system, site.spool)
    site.service.recover()
    site.service.clerk.catch_up()


def accounts(site: Site, instance: str, lane: str) -> Accounts:
    """Make a handler that writes in a lane."""
    handler = Accounts(instance, site.first if instance == "first" else site.second)
    handler.lane = lane
    return handler


def waits(site: Site, text: str) -> None:
    """Have a request wait for the first backend, which then answers again."""
    site.first.away = True
    site.drop(text)
    site.service.lanes["first"].drain()
    site.first.away = False


def test_what_is_due_follows_its_handler_into_another_lane(site: Site) -> None:
    waits(site, allocation(1, "ann"))
    start(site, CONFIG, accounts(site, "first", "moved"), accounts(site, "second", "second"))
    site.drain()
    assert site.open() == []
    assert sorted(site.first.rows) == ["first/account/cf", "first/member/cf/ann"]


@pytest.mark.parametrize("lane", ["first", "second"])
def test_what_no_handler_serves_any_more_fails_and_says_so(site: Site, lane: str) -> None:
    waits(site, user("ann", uid=5))
    start(site, NONE_FIRST, accounts(site, "second", lane))
    site.drain()
    assert site.open() == []
    (result,) = site.results("failed")
    (early, late) = result["steps"]
    assert "the handler 'first' is no longer configured" in early["error"]["message"]
    assert (early["state"], late["state"]) == ("failed", "skipped")
    assert {one.rest() for one in site.service.lanes.values()} == {None}


@pytest.mark.parametrize("lane", ["first", "second"])
@pytest.mark.parametrize("text", [user("ann", "suspend"), allocation(1)], ids=["close", "remove"])
def test_what_closes_or_removes_something_that_no_handler_serves_fails_and_says_so(
    site: Site, lane: str, text: str
) -> None:
    site.request(allocation(1, "ann"))
    site.request(user("ann", uid=5))
    start(site, NONE_FIRST, accounts(site, "second", lane))
    site.request(text, "later.yaml")
    assert site.open() == []
    (result,) = site.results("failed")
    said = [step["error"]["message"] for step in result["steps"] if "error" in step]
    assert said and all("the handler 'first' is no longer configured" in one for one in said)
    assert {one.rest() for one in site.service.lanes.values()} == {None}


def test_a_crowd_that_no_handler_serves_delays_nobody_else(site: Site) -> None:
    site.request(allocation(1, ", ".join(f"u{number}" for number in range(8))))
    handler = accounts(site, "second", "first")
    start(site, NONE_FIRST.replace("tries: 3}", "tries: 3, batch: 2}", 1), handler)
    site.drop(allocation(1, verb="suspend"), "crowd.yaml")
    site.drop(allocation(2, "bob"), "other.yaml")
    site.drain("first")
    assert "second/member/cf/bob" in site.second.rows


def test_what_failed_for_want_of_a_handler_is_done_when_it_is_back(site: Site) -> None:
    waits(site, user("ann", uid=5))
    start(site, NONE_FIRST, accounts(site, "second", "second"))
    site.drain()
    start(site, CONFIG, accounts(site, "first", "first"), accounts(site, "second", "second"))
    with site.system.journal.reading() as conn:
        (failed,) = request_rows.in_states(conn, ["failed"])
    site.request(control("request.retry", failed.id), "retry.yaml")
    assert site.limit("second/account/ann", "second") == "5"


def test_a_step_that_speaks_of_other_objects_than_were_accepted_fails(site: Site) -> None:
    waits(site, user("ann", uid=5))
    early, late = CONFIG.split("name: late")
    other = early + "name: late" + late.replace("{{ user.name }}", "x{{ user.name }}", 1)
    start(site, other, accounts(site, "first", "first"), accounts(site, "second", "second"))
    site.drain()
    (result,) = site.results("failed")
    error = result["steps"][1]["error"]
    assert "second/account/ann, second/account/xann" in error["message"]
    assert "send the request again" in error["advice"]
    assert site.second.rows == {}


def test_what_no_handler_serves_any_more_is_told_by_all_that_look(site: Site) -> None:
    site.request(user("ann", uid=5))
    start(site, NONE_FIRST, accounts(site, "second", "second"))
    key = "first/account/ann"
    suspension = parse_request(user("ann", "suspend").encode())
    planned = [o for step in planning.plan(site.system, suspension) for o in step.objects]
    standing = planning.standing(site.system, ["user:ann"])
    for errors in (
        {one.key: one.error for one in planned},
        {one.key: one.error for one in standing},
    ):
        error = errors.pop(key)
        assert error is not None and "the handler 'first' is no longer configured" in error.message
        assert set(errors.values()) == {None}
    found = drift.whole(site.system)
    assert list(found.unread or {}) == ["first"]
    assert "first could not be read: it is no longer configured" in "\n".join(drift.lines(found))
