"""Whatever undoes a request leaves what was adopted as it was found, and what was ours is ours."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest

from provisioner.inspection import drift
from provisioner.objects.states import Adoption, RequestState
from tests.support.adopting import adopt, child, found, observing, portals, release, thing
from tests.support.engine_site import Site, allocation, membership
from tests.support.manifest_site import entry, newest, reconcile

CF1 = "first/account/cf1"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return observing(tmp_path)


def steer(site: Site, verb: str, request: str) -> None:
    site.request(f"provisioner: 1\naction: request.{verb}\nrequest: {request}\n", f"{verb}.yaml")


def adopts(site: Site, users: str = "ann, bob") -> str:
    """Ask for another limit with `adopt: true`; return the request's id."""
    site.request(f"adopt: true\n{allocation(1, users, files=7, code='cf1')}", "adopts.yaml")
    return newest(site, "adopts.yaml").id


@pytest.mark.parametrize("verb", ["cancel", "hold"])
def test_the_leave_to_change_what_differs_goes_with_the_request_that_gave_it(
    site: Site, verb: str
) -> None:
    line = entry(1, "ann", "bob", files=9)
    adopt(site, line)
    steer(site, verb, adopts(site))
    release(site)
    site.request("provisioner: 1\naction: reconcile\n", "plain.yaml")
    assert site.limit(CF1) == "5"
    assert site.first.calls == []
    assert found(site, CF1) == Adoption.DIFFERS


def test_a_held_request_that_adopts_changes_what_differs_once_it_is_released(site: Site) -> None:
    adopt(site, entry(1, "ann", "bob", files=9))
    ulid = adopts(site)
    steer(site, "hold", ulid)
    release(site)
    steer(site, "release", ulid)
    assert site.limit(CF1) == "7"
    assert newest(site, "adopts.yaml").state == RequestState.DONE


def test_an_adopting_request_that_waits_changes_what_differs_at_the_release(site: Site) -> None:
    adopt(site, entry(1, "ann", "bob", files=9))
    adopts(site)
    assert site.first.calls == []
    release(site)
    assert site.limit(CF1) == "7"
    assert found(site, CF1) != Adoption.DIFFERS


@pytest.mark.parametrize("adopted_first", [True, False])
@pytest.mark.parametrize("verb", ["cancel", "hold"])
def test_what_follows_from_differing_may_be_stopped_and_changes_nothing_then(
    site: Site, verb: str, adopted_first: bool
) -> None:
    line = entry(1, "ann", "bob", files=9)
    if adopted_first:
        portals(site, line)
    portals(site, line, differing=True)
    steer(site, verb, child(site).id)
    before = deepcopy(site.first.rows)
    release(site)
    site.request("provisioner: 1\naction: reconcile\n", "plain.yaml")
    assert site.first.rows == before
    assert site.first.calls == []
    if not adopted_first:
        assert CF1 not in {one.key for one in drift.whole(site.system).unexplained}


def test_a_held_request_of_differing_changes_what_it_lists_once_it_is_released(site: Site) -> None:
    adopt(site, entry(1, "ann", "bob", files=9), differing=True)
    ulid = child(site).id
    steer(site, "hold", ulid)
    release(site)
    steer(site, "release", ulid)
    assert site.limit(CF1) == "9"


@pytest.mark.parametrize("verb", ["cancel", "hold"])
def test_what_a_cancelled_request_left_out_is_as_it_was_found(site: Site, verb: str) -> None:
    site.first.rows["first/member/cf1/bob"]["limit"] = "3"
    adopt(site, entry(1, "ann", "bob", files=9))
    site.request(allocation(2, "ann", files=9, code="cf2"), "other.yaml")
    site.request(allocation(1, "ann", files=9, code="cf1"), "without.yaml")
    steer(site, verb, newest(site, "without.yaml").id)
    before = deepcopy({k: v for k, v in site.first.rows.items() if "/cf1" in k})
    release(site)
    assert {k: v for k, v in site.first.rows.items() if "/cf1" in k} == before


def test_what_nobody_claimed_stays_known_when_who_takes_it_over_is_cancelled(site: Site) -> None:
    adopt(site, *(thing(key) for key in site.first.rows))
    steer(site, "cancel", adopts(site))
    before = deepcopy(site.first.rows)
    release(site)
    site.request("provisioner: 1\naction: reconcile\n", "plain.yaml")
    assert site.first.rows == before
    assert drift.whole(site.system).unexplained == ()


def test_what_two_share_and_differs_stays_as_it_is_when_one_of_them_leaves(site: Site) -> None:
    one, two = entry(1, "ann", files=9), entry(1, "bob", files=9)
    two["allocation"] |= {"id": 2}
    portals(site, one, two)
    release(site)
    two["allocation"] |= {"project": {"code": "cf2"}}
    reconcile(site, one, two)
    assert site.limit(CF1) == "5"
    assert "first/member/cf1/bob" not in site.first.rows
    assert found(site, CF1) == Adoption.DIFFERS


def test_what_two_share_and_differs_stays_as_it_is_when_one_of_them_is_suspended(
    site: Site,
) -> None:
    one, two = entry(1, "ann", files=9), entry(1, "bob", files=9)
    two["allocation"] |= {"id": 2}
    portals(site, one, two)
    release(site)
    site.request(allocation(2, verb="suspend", code="cf1"), "away.yaml")
    assert newest(site, "away.yaml").state == RequestState.DONE
    assert site.limit(CF1) == "5"
    site.request(allocation(2, verb="resume", code="cf1"), "back.yaml")
    assert newest(site, "back.yaml").state == RequestState.DONE
    assert site.limit(CF1) == "5"


def test_who_is_taken_out_before_anybody_compared_them_is_taken_out(site: Site) -> None:
    adopt(site, entry(1, "ann", "bob"))
    site.request(membership(1, "bob", "remove"), "out.yaml")
    release(site)
    assert "first/member/cf1/bob" not in site.first.rows
