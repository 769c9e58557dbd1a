"""`adopt` takes over what is there as it is: the ledger is written, and no backend."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest

from provisioner.inspection import drift
from provisioner.journal import audit
from provisioner.journal.records import object_rows
from provisioner.objects.states import Adoption
from tests.support.adopting import adopt, child, claims, found, observing, portals, release, thing
from tests.support.engine_site import Killed, Site, allocation, membership
from tests.support.manifest_site import Line, entry, newest, put, reconcile, told

PORTAL = 4711


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return observing(tmp_path)


def test_what_fits_becomes_the_subject_s_and_no_backend_is_written(site: Site) -> None:
    before = deepcopy(site.first.rows)
    assert portals(site, entry(1, "ann", "bob")).state == "done"
    assert child(site).state == "done"
    assert claims(site) == {
        ("first/account/cf1", "allocation:1", "uid-4711"),
        ("first/member/cf1/ann", "allocation:1/user:ann", "uid-4711"),
        ("first/member/cf1/bob", "allocation:1/user:bob", "uid-4711"),
    }
    assert site.first.rows == before
    assert site.first.calls == []


def test_a_reconcile_afterwards_finds_nothing_to_do(site: Site) -> None:
    portals(site, entry(1, "ann", "bob"))
    assert "0 requested, 0 suspended, 0 resumed, 1 as listed" in told(
        reconcile(site, entry(1, "ann", "bob"))
    )
    release(site)
    after = reconcile(site, entry(1, "ann", "bob"))
    assert after.state == "done"
    assert "1 as listed" in told(after)
    assert site.first.calls == []


def test_who_leaves_after_an_adoption_is_taken_out(site: Site) -> None:
    portals(site, entry(1, "ann", "bob"))
    release(site)
    reconcile(site, entry(1, "ann"))
    assert "first/member/cf1/bob" not in site.first.rows
    assert "first/member/cf1/ann" in site.first.rows


def test_what_differs_is_told_and_stays_as_it_is_through_release_and_reconcile(site: Site) -> None:
    line = entry(1, "ann", "bob", files=9)
    portals(site, line)
    one = child(site)
    assert one.state == "done"
    [left] = drift.whole(site.system).left
    assert left.error is not None and "limit 9" in left.error.message
    release(site)
    assert "1 object was adopted and kept, though different" in told(reconcile(site, line))
    assert site.limit("first/account/cf1") == "5"
    assert site.first.calls == []
    site.request("provisioner: 1\naction: reconcile\n", "plain.yaml")
    assert newest(site, "plain.yaml").state == "done"
    assert "1 object was adopted and kept, though different" in told(newest(site, "plain.yaml"))
    assert site.first.calls == []
    # What fits beside it is ours all the same.
    reconcile(site, entry(1, "ann", files=9))
    assert "first/member/cf1/bob" not in site.first.rows


def test_a_later_request_for_what_differs_is_a_conflict_unless_it_adopts(site: Site) -> None:
    portals(site, entry(1, "ann", "bob", files=9))
    release(site)
    wants = allocation(1, "ann, bob", files=7, code="cf1")
    site.request(wants, "plain.yaml")
    assert newest(site, "plain.yaml").state == "failed"
    assert site.limit("first/account/cf1") == "5"
    site.request(f"adopt: true\n{wants}", "adopts.yaml")
    assert newest(site, "adopts.yaml").state == "done"
    assert site.limit("first/account/cf1") == "7"


def test_what_differs_and_was_mended_by_hand_is_ours(site: Site) -> None:
    line = entry(1, "ann", "bob", files=9)
    portals(site, line)
    release(site)
    site.first.rows["first/account/cf1"]["limit"] = "9"
    site.request(allocation(1, "ann, bob", files=9, code="cf1"), "same.yaml")
    site.request(allocation(1, "ann, bob", files=8, code="cf1"), "later.yaml")
    assert newest(site, "later.yaml").state == "done"
    assert site.limit("first/account/cf1") == "8"


def test_differing_says_that_it_is_changed_at_the_release(site: Site) -> None:
    portals(site, entry(1, "ann", "bob", files=9), differing=True)
    assert site.first.calls == []
    [change] = drift.known(site.system).changes
    assert change.writes == ("limit 9",)
    release(site)
    assert site.limit("first/account/cf1") == "9"
    assert child(site).state == "done"


def test_who_leaves_is_taken_out_also_where_their_membership_differs(site: Site) -> None:
    site.first.foreign.clear()
    portals(site, entry(1, "ann", "bob"))
    with site.system.journal.transaction() as conn:
        object_rows.set_adoption(conn, ["first/member/cf1/bob"], Adoption.DIFFERS)
    release(site)
    reconcile(site, entry(1, "ann"))
    assert "first/member/cf1/bob" not in site.first.rows


def test_access_to_what_differs_can_be_taken_away_and_given_back(site: Site) -> None:
    portals(site, entry(1, "ann", "bob", files=9))
    release(site)
    site.request(allocation(1, verb="suspend", code="cf1"), "away.yaml")
    assert site.limit("first/account/cf1") == "0"
    site.request(allocation(1, verb="resume", code="cf1"), "back.yaml")
    assert newest(site, "back.yaml").state == "done"
    assert site.limit("first/account/cf1") == "5"
    assert found(site, "first/account/cf1") == Adoption.DIFFERS


def test_what_differs_is_still_a_conflict_after_a_suspension_unless_a_request_adopts(
    site: Site,
) -> None:
    portals(site, entry(1, "ann", "bob", files=9))
    release(site)
    site.request(allocation(1, verb="suspend", code="cf1"), "away.yaml")
    wants = allocation(1, "ann, bob", files=7, code="cf1")
    site.request(wants, "meanwhile.yaml")
    site.request(allocation(1, verb="resume", code="cf1"), "back.yaml")
    assert site.limit("first/account/cf1") == "5"
    site.request(wants, "plain.yaml")
    assert newest(site, "plain.yaml").state == "failed"
    site.request(allocation(1, verb="suspend", code="cf1"), "again.yaml")
    site.request(f"adopt: true\n{wants}", "adopts.yaml")
    site.request(allocation(1, verb="resume", code="cf1"), "back-again.yaml")
    assert site.limit("first/account/cf1") == "7"
    assert found(site, "first/account/cf1") is None


@pytest.mark.parametrize("calls", [0, 1])
def test_killed_while_what_differs_opens_it_still_opens_as_it_was(site: Site, calls: int) -> None:
    portals(site, entry(1, "ann", "bob", files=9))
    release(site)
    site.request(allocation(1, verb="suspend", code="cf1"), "away.yaml")
    site.first.dies_after = len(site.first.calls) + calls
    try:
        site.request(allocation(1, verb="resume", code="cf1"), "back.yaml")
    except Killed:
        site.start()
        site.drain()
    assert site.limit("first/account/cf1") == "5"
    assert newest(site, "back.yaml").state == "done"


def test_what_differs_and_is_as_wanted_when_it_opens_is_ours(site: Site) -> None:
    portals(site, entry(1, "ann", "bob", files=9))
    release(site)
    site.first.rows["first/account/cf1"]["limit"] = "9"
    site.request(allocation(1, verb="suspend", code="cf1"), "away.yaml")
    site.request(allocation(1, verb="resume", code="cf1"), "back.yaml")
    assert site.limit("first/account/cf1") == "9"
    assert found(site, "first/account/cf1") != Adoption.DIFFERS


def test_what_an_admin_had_closed_is_not_opened_by_a_suspension_that_ends(site: Site) -> None:
    site.first.rows["first/account/cf1"]["limit"] = "0"
    portals(site, entry(1, "ann", "bob", files=9))
    release(site)
    site.request(allocation(1, verb="suspend", code="cf1"), "away.yaml")
    assert newest(site, "away.yaml").state == "done"
    site.request(allocation(1, verb="resume", code="cf1"), "back.yaml")
    assert site.limit("first/account/cf1") == "0"
    assert newest(site, "back.yaml").state == "failed"
    assert found(site, "first/account/cf1") == Adoption.DIFFERS


@pytest.mark.parametrize("order", ["ASRE", "SARE", "ASER", "SAER", "ARSE"])
def test_what_an_admin_had_closed_stays_closed_in_every_order(site: Site, order: str) -> None:
    """A: adopt, S: suspend, R: release, E: the suspension ends."""
    site.first.rows["first/account/cf1"]["limit"] = "0"
    line = entry(1, "ann", files=9)
    asks(site, line)
    steps: dict[str, Callable[[], object]] = {
        "A": lambda: portals(site, line),
        "S": lambda: site.request(allocation(1, verb="suspend", code="cf1"), "away.yaml"),
        "R": lambda: release(site),
        "E": lambda: site.request(allocation(1, verb="resume", code="cf1"), "back.yaml"),
    }
    for step in order:
        steps[step]()
    assert site.limit("first/account/cf1") == "0"
    assert "first/account/cf1" not in {c.key for call in site.first.calls for c in call}
    assert found(site, "first/account/cf1") == Adoption.DIFFERS


def asks(site: Site, line: Line) -> None:
    """Let the portal ask for what it lists, as it does while the service observes."""
    put(site, "asked.json", json.dumps({"provisioner": 1, **line}).encode(), PORTAL)
    site.take()
    site.drain()


@pytest.mark.parametrize("files", [5, 9], ids=["fits", "differs"])
@pytest.mark.parametrize("adopted_first", [True, False])
def test_a_suspension_waits_for_the_release_and_then_closes_what_was_adopted(
    site: Site, files: int, adopted_first: bool
) -> None:
    line = entry(1, "ann", files=files)
    asks(site, line)
    if adopted_first:
        portals(site, line)
    site.request(allocation(1, verb="suspend", code="cf1"), "away.yaml")
    if not adopted_first:
        assert portals(site, line).state == "done"
    assert newest(site, "away.yaml").state == "deferred"
    assert site.first.calls == []
    release(site)
    assert newest(site, "away.yaml").state == "done"
    assert site.limit("first/account/cf1") == "0"
    site.request(allocation(1, verb="resume", code="cf1"), "back.yaml")
    assert site.limit("first/account/cf1") == "5"


@pytest.mark.parametrize("files", [5, 9], ids=["fits", "differs"])
def test_a_suspension_that_ends_before_the_release_leaves_what_was_adopted_as_it_is(
    site: Site, files: int
) -> None:
    line = entry(1, "ann", files=files)
    asks(site, line)
    site.request(allocation(1, verb="suspend", code="cf1"), "away.yaml")
    portals(site, line)
    site.request(allocation(1, verb="resume", code="cf1"), "back.yaml")
    release(site)
    assert site.first.calls == []
    assert site.limit("first/account/cf1") == "5"
    assert found(site, "first/account/cf1") == (Adoption.OURS if files == 5 else Adoption.DIFFERS)


def test_what_is_not_there_is_made_at_the_release(site: Site) -> None:
    portals(site, entry(1, "ann", "eve"))
    assert child(site).state == "deferred"
    assert "first/member/cf1/eve" not in site.first.rows
    release(site)
    assert "first/member/cf1/eve" in site.first.rows
    assert child(site).state == "done"


def test_another_s_is_a_conflict_and_never_touched(site: Site) -> None:
    site.first.foreign.add("bob")
    portals(site, entry(1, "ann", "bob"))
    [fault] = drift.whole(site.system).faults
    assert fault.error is not None
    assert (fault.key, fault.error.type) == ("first/member/cf1/bob", "Conflict")
    release(site)
    assert child(site).state == "failed"
    reconcile(site, entry(1, "ann"))
    assert "first/member/cf1/bob" in site.first.rows


# Without a portal: objects.


def test_what_nobody_claims_is_explained_and_left_alone(site: Site) -> None:
    assert len(drift.whole(site.system).unexplained) == 4
    adopt(site, *(thing(key) for key in site.first.rows))
    after = drift.whole(site.system)
    assert (after.nothing, after.seen) == (True, 4)
    before = deepcopy(site.first.rows)
    release(site)
    site.request("provisioner: 1\naction: reconcile\n")
    assert site.first.rows == before
    assert site.first.calls == []


def test_a_subject_that_claims_what_fits_has_it_and_lets_it_go(site: Site) -> None:
    adopt(site, *(thing(key) for key in site.first.rows))
    release(site)
    site.request(allocation(1, "ann, bob", code="cf1"))
    assert found(site, "first/member/cf1/bob") == Adoption.OURS
    site.request(membership(1, "bob", "remove"))
    assert "first/member/cf1/bob" not in site.first.rows
    assert site.limit("first/account/old") == "5"


def test_who_claims_another_s_object_by_mistake_does_it_no_harm(site: Site) -> None:
    adopt(site, thing("first/account/old"))
    release(site)
    site.request(allocation(7, "eve", files=9, code="old"), "mistake.yaml")
    assert newest(site, "mistake.yaml").state == "failed"
    site.request(allocation(7, "eve", files=9, code="right"), "mended.yaml")
    assert site.limit("first/account/old") == "5"


def test_an_object_that_a_subject_claims_stays_the_subject_s(site: Site) -> None:
    site.request(allocation(1, "ann, bob", code="cf1"))
    done = adopt(site, thing("first/account/cf1"))
    assert "0 objects that nobody claims" in told(done)
    assert found(site, "first/account/cf1") is None


# Who may, and what becomes of the rest.


def test_adopting_while_backends_are_written_is_refused(tmp_path: Path) -> None:
    site = Site(tmp_path)
    done = adopt(site, entry(1, "ann"))
    assert done.state == "failed"
    assert "the service writes to the backends" in told(done)
    assert claims(site) == set()


def test_the_audit_trail_tells_of_the_whole_and_of_each_object(site: Site) -> None:
    done = portals(site, entry(1, "ann", "bob"), thing("first/account/old"), reason="moving in")
    with site.system.journal.reading() as conn:
        trail = list(audit.trail(conn))
        assert audit.verify(conn).problem == ""
    [whole] = [one for one in trail if one.kind == "adopted"]
    assert (whole.request, whole.text) == (
        done.id,
        "1 subject with 3 objects taken over, 1 object that nobody claims left unchanged",
    )
    objects = {one.text for one in trail if one.kind == audit.OBJECT}
    assert objects == {
        *("first/account/cf1", "first/member/cf1/ann", "first/member/cf1/bob"),
        "first/account/old",
    }


def test_a_crash_after_the_acceptance_is_made_up_for_at_the_start(site: Site) -> None:
    line = entry(1, "ann", "bob", files=9)
    put(site, "all.jsonl", (json.dumps(line) + "\n").encode(), 0)
    lanes = list(site.service.lanes.values())
    for lane in lanes:
        lane.paused = True
    portals(site, line)
    assert found(site, "first/account/cf1") == Adoption.NEW
    site.start()
    site.drain()
    assert child(site).state == "done"
    assert found(site, "first/account/cf1") == Adoption.DIFFERS
    assert site.first.calls == []


def test_adopting_twice_comes_to_the_same(site: Site) -> None:
    line = entry(1, "ann", "bob", files=9)
    portals(site, line, thing("first/account/old"))
    before = claims(site)
    portals(site, line, thing("first/account/old"))
    assert claims(site) == before
    assert found(site, "first/account/cf1") == Adoption.DIFFERS
    assert found(site, "first/account/old") == Adoption.SEEN


def test_what_a_portal_asked_for_while_observed_is_over_with_the_adoption(site: Site) -> None:
    site.first.rows["first/account/cf1"]["limit"] = "7"
    body = {"provisioner": 1, **entry(1, "ann")}
    put(site, "event.json", json.dumps(body).encode(), PORTAL)
    site.take()
    site.drain()
    assert newest(site, "event.json").state == "deferred"
    portals(site, entry(1, "ann"))
    assert newest(site, "event.json").state == "done"
    assert site.open() == []
