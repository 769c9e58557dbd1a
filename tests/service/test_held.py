"""What is held is held: what it has not made counts for nobody until it is released."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.journal.records import request_rows
from tests.support.engine_site import Site, allocation, control, membership, user
from tests.support.steering import RECONCILE, claims, waits

ACCOUNT, ANN, BOB = "first/account/cf", "first/member/cf/ann", "first/member/cf/bob"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a running site with two empty backends."""
    return Site(tmp_path)


def steer(site: Site, verb: str, name: str = "waiting.yaml") -> None:
    """Hold, release or cancel an open request, by the name of its file."""
    (who,) = [record.id for record in site.open() if record.name == name]
    site.drop(control(f"request.{verb}", who), f"{verb}.yaml")


def hold(site: Site, text: str) -> None:
    """Have a request wait, hold it, and let the backend answer again."""
    waits(site, text)
    steer(site, "hold")
    site.back(site.first)


def test_what_is_held_before_it_began_is_not_made_by_a_reconcile(site: Site) -> None:
    hold(site, allocation(1, "ann"))
    site.request(RECONCILE)
    assert site.first.rows == {}
    assert [record.state for record in site.open()] == ["held"]
    steer(site, "release")
    site.drain()
    assert set(site.first.rows) == {ACCOUNT, ANN}


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (allocation(1, verb="suspend"), "0"),
        (RECONCILE, "5"),
        (user("ann", "suspend"), "5"),
        (allocation(2, files=3), "5"),
    ],
    ids=["its suspension", "a reconcile", "a user's suspension", "another's claim"],
)
def test_who_touches_the_object_of_a_held_change_makes_what_was_wanted_before(
    site: Site, text: str, after: str
) -> None:
    site.request(allocation(1, "ann", files=5))
    hold(site, allocation(1, "ann, bob", files=9))
    site.request(text)
    site.request(RECONCILE)
    assert site.limit(ACCOUNT) == after
    assert BOB not in site.first.rows


def test_a_suspension_and_its_resume_leave_a_held_change_unmade(site: Site) -> None:
    site.request(allocation(1, "ann", files=5))
    hold(site, allocation(1, "ann, bob", files=9))
    site.request(allocation(1, verb="suspend"))
    site.request(allocation(1, verb="resume"))
    assert (site.limit(ACCOUNT), BOB in site.first.rows) == ("5", False)
    steer(site, "release")
    site.drain()
    assert (site.limit(ACCOUNT), BOB in site.first.rows) == ("9", True)


def test_what_was_made_before_the_hold_stays_wanted_as_it_was_made(site: Site) -> None:
    site.first.missing = {"bob"}
    site.drop(allocation(1, "ann, bob", files=9), "waiting.yaml")
    site.service.lanes["first"].drain()
    site.service.lanes["first"].drain()
    steer(site, "hold")
    site.first.missing = set()
    del site.first.rows[ANN]
    site.request(RECONCILE)
    assert (site.limit(ACCOUNT), set(site.first.rows)) == ("9", {ACCOUNT, ANN})
    steer(site, "release")
    site.drain()
    assert set(site.first.rows) == {ACCOUNT, ANN, BOB}
    assert site.open() == []


def test_whom_a_held_change_leaves_out_keeps_what_they_have(site: Site) -> None:
    site.request(allocation(1, "ann, bob", files=5))
    hold(site, allocation(1, "ann", files=5))
    site.request(RECONCILE)
    assert set(site.first.rows) == {ACCOUNT, ANN, BOB}
    steer(site, "release")
    site.drain()
    assert set(site.first.rows) == {ACCOUNT, ANN}
    assert site.open() == []


def test_who_was_left_out_by_what_is_held_has_what_they_had_while_a_newer_request_waits(
    site: Site,
) -> None:
    site.request(allocation(1, "ann, bob", files=5))
    waits(site, allocation(1, "ann", files=5))
    site.drop(allocation(1, "ann, bob", files=9), "newer.yaml")
    steer(site, "hold")
    site.first.missing = {"cf"}
    site.back(site.first)
    del site.first.rows[BOB]
    site.drop(RECONCILE, "reconcile.yaml")
    site.drain()
    assert BOB in site.first.rows
    assert [record.name for record in site.open()] == ["waiting.yaml", "newer.yaml"]


@pytest.mark.parametrize(
    "verbs", [(), ("hold", "newer", "release"), ("newer", "hold", "release")], ids=repr
)
def test_what_was_released_leaves_out_whom_it_left_out_though_a_newer_request_waits_with_them(
    site: Site, verbs: tuple[str, ...]
) -> None:
    site.request(allocation(1, "ann, bob", files=5))
    waits(site, allocation(1, "ann", files=5))
    for verb in verbs or ("newer",):
        if verb == "newer":
            site.drop(allocation(1, "ann, bob", files=9), "newer.yaml")
        else:
            steer(site, verb)
    site.first.missing = {"cf"}
    site.back(site.first)
    del site.first.rows[BOB]
    site.drop(RECONCILE, "reconcile.yaml")
    site.drain()
    assert BOB not in site.first.rows
    site.first.missing = set()
    site.drain()
    assert (site.limit(ACCOUNT), set(site.first.rows)) == ("9", {ACCOUNT, ANN, BOB})
    assert site.open() == []


def left_out_while_held(site: Site) -> None:
    """Hold bob's membership, and send a newer provision that does not list him."""
    site.request(allocation(1, "ann", files=5))
    hold(site, membership(1, "bob", "add"))
    site.drop(allocation(1, "ann", files=9), "newer.yaml")


def test_who_is_released_after_another_left_them_out_is_in_when_that_one_is_cancelled(
    site: Site,
) -> None:
    left_out_while_held(site)
    steer(site, "release")
    steer(site, "cancel", "newer.yaml")
    site.drain()
    assert (site.limit(ACCOUNT), set(site.first.rows)) == ("5", {ACCOUNT, ANN, BOB})
    assert site.open() == []


def test_who_is_out_by_a_newer_provision_that_is_done_stays_out(site: Site) -> None:
    left_out_while_held(site)
    steer(site, "release")
    site.drain()
    site.request(RECONCILE)
    assert set(site.first.rows) == {ACCOUNT, ANN}
    assert "superseded" in {one["outcome"] for one in site.results("done")}


@pytest.mark.parametrize("verb", ["hold", "cancel"])
def test_whom_a_provision_has_taken_out_stays_out_though_an_earlier_one_that_left_them_out_is_held(
    site: Site, verb: str
) -> None:
    site.request(allocation(1, "ann, bob", files=5))
    hold(site, allocation(1, "ann", files=5))
    site.first.missing = {"cem"}
    site.drop(allocation(1, "ann, cem", files=5), "newer.yaml")
    site.drain()
    assert BOB not in site.first.rows
    steer(site, verb, "newer.yaml")
    site.request(RECONCILE)
    assert BOB not in site.first.rows


def test_who_came_in_while_they_were_left_out_by_what_was_held_stays_in_when_it_is_held_again(
    site: Site,
) -> None:
    left_out_while_held(site)
    steer(site, "hold", "newer.yaml")
    steer(site, "release")
    site.drain()
    assert BOB in site.first.rows
    steer(site, "release", "newer.yaml")
    steer(site, "hold", "newer.yaml")
    site.request(RECONCILE)
    assert BOB in site.first.rows
    steer(site, "release", "newer.yaml")
    site.drain()
    assert set(site.first.rows) == {ACCOUNT, ANN}
    assert site.open() == []


def test_what_is_released_undoes_nothing_that_was_asked_for_meanwhile(site: Site) -> None:
    site.request(allocation(1, "ann, bob", files=5))
    hold(site, allocation(1, "ann, bob, cem", files=9))
    site.request(allocation(1, "ann, bob", files=3), "newer.yaml")
    site.request(membership(1, "bob", "remove"))
    steer(site, "release")
    site.drain()
    assert (site.limit(ACCOUNT), set(site.first.rows)) == ("3", {ACCOUNT, ANN})
    assert "superseded" in {one["outcome"] for one in site.results("done")}


def test_a_removal_while_a_request_is_held_holds_after_its_release(site: Site) -> None:
    hold(site, allocation(1, "ann, bob"))
    site.request(membership(1, "bob", "remove"))
    steer(site, "release")
    site.drain()
    assert set(site.first.rows) == {ACCOUNT, ANN}


def test_a_held_request_that_is_cancelled_leaves_what_was_before_it(site: Site) -> None:
    site.request(allocation(1, "ann", files=5))
    hold(site, allocation(1, "bob", files=9))
    before = claims(site)
    steer(site, "cancel")
    site.request(RECONCILE)
    assert claims(site) == before
    assert (site.limit(ACCOUNT), set(site.first.rows)) == ("5", {ACCOUNT, ANN})


def test_of_two_held_requests_the_later_one_counts_in_either_order_of_release(site: Site) -> None:
    for files in (7, 9):
        waits(site, allocation(1, "ann", files=files), f"to-{files}.yaml")
        steer(site, "hold", f"to-{files}.yaml")
    site.back(site.first)
    steer(site, "release", "to-9.yaml")
    steer(site, "release", "to-7.yaml")
    site.drain()
    assert site.limit(ACCOUNT) == "9"
    assert site.open() == []


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        (allocation(1, verb="suspend"), "provisioner cancel"),
        (allocation(1, verb="resume"), "allocation.suspend"),
        (membership(1, "ann", "remove"), "membership.add"),
    ],
    ids=["a suspension", "a resume", "a removal"],
)
def test_what_counts_from_its_acceptance_cannot_be_held(
    site: Site, text: str, instead: str
) -> None:
    site.request(allocation(1, "ann"))
    if "resume" in text:
        site.request(allocation(1, verb="suspend"))
    waits(site, text)
    steer(site, "hold")
    site.back(site.first)
    refused = site.results("failed")[-1]
    assert refused["action"] == "request.hold"
    assert "in force since its acceptance" in refused["problems"][0]["message"]
    assert instead in refused["problems"][0]["expected"]


@pytest.mark.parametrize(
    ("first", "second", "state"),
    [
        ("id: same\n", "id: same\n", "refused"),
        ("order: {key: cf, number: 1}\n", "order: {key: cf, number: 2}\n", "superseded"),
    ],
    ids=["refused", "superseded"],
)
def test_what_was_cancelled_and_not_accepted_when_it_was_tried_again_counts_for_nobody(
    site: Site, first: str, second: str, state: str
) -> None:
    site.request(allocation(1, "ann, bob, cem"))
    before = set(site.first.rows)
    site.first.missing = {"ann", "bob"}
    site.drop(allocation(1, "bob, cem", head=first), "first.yaml")
    site.service.lanes["first"].drain()
    (tried,) = [record.id for record in site.open()]
    steer(site, "cancel", "first.yaml")
    site.drop(allocation(1, "ann, cem", head=second), "second.yaml")
    steer(site, "hold", "second.yaml")
    site.drop(control("request.retry", tried), "retry.yaml")
    with site.system.journal.reading() as conn:
        assert request_rows.states_of(conn, [tried]) == {tried: state}
    steer(site, "release", "second.yaml")
    steer(site, "cancel", "second.yaml")
    site.first.missing = set()
    site.request(RECONCILE, "reconcile.yaml")
    assert set(site.first.rows) == before


def test_a_released_request_of_which_one_user_was_removed_since_is_done_for_the_rest(
    site: Site,
) -> None:
    site.request(allocation(1, "ann"))
    site.first.away = True
    site.request(allocation(1, "ann, bob", files=7), "more.yaml")
    [waiting] = site.open()
    site.request(control("request.hold", waiting.id), "hold.yaml")
    site.back(site.first)
    site.request(membership(1, "ann", "remove"), "remove.yaml")
    site.request(control("request.release", waiting.id), "release.yaml")
    [result] = [one for one in site.results("done") if one["id"] == waiting.id]
    assert result["outcome"] == "done"
    assert "has since asked for something else: first/member/cf/ann" in str(result["problems"])
    assert set(site.first.rows) == {"first/account/cf", "first/member/cf/bob"}
    assert site.limit("first/account/cf") == "7"


def test_what_was_made_before_a_retry_was_in_force_before_somebody_left_it_out(site: Site) -> None:
    site.first.poison.add("bob")
    site.request(allocation(1, "ann, bob", files=5), "first.yaml")
    with site.system.journal.reading() as conn:
        first = request_rows.newest(conn, "first.yaml", "")
    assert first is not None
    site.first.away = True
    site.first.poison.clear()
    site.drop(allocation(1, "bob", files=5), "leaves.yaml")
    site.request(control("request.retry", first.id))
    site.drop(allocation(1, "ann, bob", files=6), "again.yaml")
    [leaves] = [record for record in site.open() if record.name == "leaves.yaml"]
    site.request(control("request.hold", leaves.id))
    site.first.poison.add("cf")
    site.back(site.first)
    site.request(user("ann", "suspend"))
    site.request(user("ann", "resume"))
    assert ANN in site.first.rows
