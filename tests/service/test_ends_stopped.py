"""A request that is cancelled or held in the middle moves no date, whatever it had made."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.journal.queries import dates
from tests.support.clocks import Clocks
from tests.support.ends_site import ending, look
from tests.support.engine_site import Site, allocation, control, membership, user
from tests.support.policy_site import OPERATOR, PORTAL, SECOND, send

DAY = 86400.0

POLICY = """\
policy:
  mass: {share: 100}
  rules:
  - {who: [uid-4711], actions: ["allocation.*", "user.*", request.cancel], numbers: true}
  - {who: [uid-4712], actions: ["*"], others: true}
  - {who: [uid-4713], actions: [user.resume]}
"""


@pytest.fixture
def site(tmp_path: Path, clocks: Clocks) -> Site:
    return Site(tmp_path)


def in_part(site: Site, text: str, name: str = "later.yaml") -> str:
    """Have a request made in the first backend only; return its id."""
    site.second.unread = {"ann"}
    site.request(text, name)
    [request] = [record.id for record in site.open() if record.name == name]
    return request


def stop(site: Site, verb: str, request: str) -> None:
    site.request(control(f"request.{verb}", request), f"{verb}-{request}.yaml")
    site.second.unread = set()
    site.drain()


def in_force(site: Site) -> dict[str, int]:
    """Return in how many days access ends, by subject."""
    with site.system.journal.reading() as conn:
        ends = dates.ends_until(conn, time.time() + 999 * DAY)
    return {end.subject: round((end.at - time.time()) / DAY) for end in ends}


@pytest.mark.parametrize("verb", ["cancel", "hold"])
@pytest.mark.parametrize(
    "later", [lambda text: text, lambda text: ending(text, 60)], ids=["for good", "later"]
)
def test_a_newer_request_that_is_stopped_in_the_middle_leaves_the_date_in_force(
    site: Site, clocks: Clocks, verb: str, later: Callable[[str], str]
) -> None:
    site.request(ending(user("ann", uid=7), 20))
    stop(site, verb, in_part(site, later(user("ann", uid=8))))
    assert site.limit("first/account/ann") == "8"
    assert in_force(site) == {"user:ann": 20}
    clocks.go(21 * DAY)
    look(site)
    assert site.limit("first/account/ann") == "0"


def test_one_that_is_released_after_all_moves_the_date(site: Site) -> None:
    site.request(ending(user("ann", uid=7), 20))
    request = in_part(site, user("ann", uid=8))
    stop(site, "hold", request)
    stop(site, "release", request)
    assert in_force(site) == {}


def test_several_that_are_stopped_in_the_middle_leave_the_date_in_force(site: Site) -> None:
    site.request(ending(user("ann", uid=7), 20))
    for uid, verb in ((8, "cancel"), (9, "hold"), (10, "cancel")):
        stop(site, verb, in_part(site, ending(user("ann", uid=uid), 60), f"{uid}.yaml"))
    assert in_force(site) == {"user:ann": 20}


def test_what_one_that_was_cancelled_gave_to_somebody_new_ends_at_its_own_date(site: Site) -> None:
    stop(site, "cancel", in_part(site, ending(user("ann", uid=8), 30)))
    assert in_force(site) == {"user:ann": 30}


def test_what_was_for_good_before_one_that_was_cancelled_has_no_date(site: Site) -> None:
    site.request(user("ann", uid=7))
    stop(site, "cancel", in_part(site, ending(user("ann", uid=8), 30)))
    assert in_force(site) == {}


@pytest.mark.parametrize("verb", ["cancel", "hold"])
def test_all_that_somebody_had_may_have_been_made_before_it_is_stopped(
    site: Site, verb: str
) -> None:
    site.request(ending(allocation(1, "ann"), 20))
    site.first.unread = {"bob"}
    site.request(allocation(1, "ann, bob", files=9), "later.yaml")
    [later] = [record.id for record in site.open()]
    site.request(control(f"request.{verb}", later), "stop.yaml")
    assert (site.limit("first/account/cf"), in_force(site)) == ("9", {"allocation:1": 20})


def test_who_left_in_between_has_not_the_date_from_before(site: Site) -> None:
    site.request(allocation(1, "ann"))
    site.request(ending(membership(1, "bob", "add"), 20), "in.yaml")
    site.request(membership(1, "bob", "remove"), "out.yaml")
    site.first.unread = {"cem"}
    site.request(allocation(1, "ann, bob, cem"), "later.yaml")
    [later] = [record.id for record in site.open()]
    site.request(control("request.cancel", later), "stop.yaml")
    assert "first/member/cf/bob" in site.first.rows
    assert in_force(site) == {}


def test_what_was_held_long_before_keeps_no_date_from_coming(
    tmp_path: Path, clocks: Clocks
) -> None:
    site = Site(tmp_path, POLICY)
    send(site, PORTAL, allocation(1, "ann"))
    far = "not_before: 2126-01-01T00:00:00Z\n"
    suspension = send(site, PORTAL, allocation(1, verb="suspend", head=far), "s.yaml")
    send(site, OPERATOR, control("request.hold", suspension.id), "hold.yaml")
    send(site, PORTAL, control("request.cancel", suspension.id), "cancel.yaml")
    send(site, PORTAL, ending(allocation(1, "ann"), 2), "again.yaml")
    clocks.go(3 * DAY)
    look(site)
    assert site.limit("first/account/cf") == "0"


@pytest.mark.parametrize(("who", "limit"), [(OPERATOR, "7"), (SECOND, "0")], ids=["may", "may not"])
def test_what_a_date_closed_opens_for_whoever_may_steer_others(
    tmp_path: Path, clocks: Clocks, who: int, limit: str
) -> None:
    site = Site(tmp_path, POLICY)
    send(site, PORTAL, ending(user("ann", uid=7), 2))
    clocks.go(3 * DAY)
    look(site)
    send(site, who, user("ann", "resume", cause="ended"), "resume.yaml")
    assert site.limit("first/account/ann") == limit
