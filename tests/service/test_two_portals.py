"""Two portals that ask for one person: only the last one who leaves them out closes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import pytest

from provisioner.cards import objects
from provisioner.journal.records import request_rows
from provisioner.manifests import listing
from tests.support import portions_site
from tests.support.adopting import adopt
from tests.support.engine_site import Site, control, release, user
from tests.support.manifest_site import ask, newest, put, reconcile
from tests.support.policy_site import now, send, why
from tests.support.portals import POLICY, ROOT, A, B, C, is_open, left_out, person


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a running site with three portals."""
    return Site(tmp_path, POLICY)


# Who leaves a person out does not close them while another one asks for them.

ASKING = {
    "by a request before": ("a asks", "b asks"),
    "by its manifest since": ("b asks", "a lists"),
    "by both": ("a asks", "b asks", "a lists"),
    "by its manifest before": ("a lists", "b asks"),
}


@pytest.mark.parametrize("how", ASKING)
def test_who_asked_last_does_not_close_alone_whom_another_portal_asks_for(
    site: Site, how: str
) -> None:
    for each in ASKING[how]:
        portal, _, does = each.partition(" ")
        tell = ask if does == "asks" else reconcile
        tell(site, person(), uid={"a": A, "b": B}[portal])
    assert "0 suspended" in left_out(site, B)
    assert is_open(site)
    assert "1 suspended" in left_out(site, A)
    assert not is_open(site)


@pytest.mark.parametrize("order", list(permutations((A, B, C))))
def test_of_three_portals_the_last_one_who_leaves_them_out_closes_them(
    site: Site, order: Sequence[int]
) -> None:
    for portal in (A, B, C):
        ask(site, person(), portal)
    for portal in order:
        assert is_open(site)
        left_out(site, portal)
    assert not is_open(site)


def test_leaving_out_every_night_changes_nothing_more(site: Site) -> None:
    ask(site, person(), A)
    ask(site, person(), B)
    assert "1 left out and asked for by others" in left_out(site, B)
    for _ in range(2):
        assert "0 left out and asked for by others" in left_out(site, B)
        assert is_open(site)


def test_the_portal_that_still_lists_the_person_has_them_then(site: Site) -> None:
    ask(site, person(uid=1001), A)
    ask(site, person(uid=1002), B)
    left_out(site, A, person(uid=1003))
    assert site.limit("first/account/ann") == "1002"
    left_out(site, B)
    assert "1 requested" in left_out(site, A, person(uid=1003))
    assert site.limit("first/account/ann") == "1003"
    assert "0 requested" in left_out(site, A, person(uid=1003))


def test_two_portals_that_list_the_same_people_do_not_take_turns_to_have_them(site: Site) -> None:
    left_out(site, A, person(uid=1001))
    for _ in range(2):
        assert "0 requested" in left_out(site, B, person(uid=1002))
        assert "0 requested" in left_out(site, A, person(uid=1001))
    assert site.limit("first/account/ann") == "1001"


def test_who_lists_a_person_again_asks_for_them_again(site: Site) -> None:
    ask(site, person(), A)
    ask(site, person(), B)
    left_out(site, A)
    left_out(site, A, person())
    left_out(site, B)
    assert is_open(site)


def test_a_portal_learns_how_many_it_left_to_others_and_not_to_whom(site: Site) -> None:
    ask(site, person(), A)
    ask(site, person(), B)
    assert "4711" not in left_out(site, B)
    assert "4712" not in left_out(site, A)
    ask(site, person(), B)
    assert "4711" not in why(newest(site, "one.json"))


def test_operators_read_who_left_a_person_out_and_who_asks_for_them(site: Site) -> None:
    ask(site, person(), A)
    ask(site, person(), B)
    assert objects.left_out(site.system, "user:ann") == ""
    left_out(site, B)
    told = "left out by uid-4712; asked for by uid-4711"
    assert objects.left_out(site.system, "user:ann") == told
    left_out(site, A)
    assert objects.left_out(site.system, "user:ann") == ""


def test_who_is_listed_while_another_manifest_is_followed_is_not_closed_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "LINES", 1)
    monkeypatch.setattr(listing, "MOMENT", 0.0)
    site = Site(tmp_path, POLICY.replace("  mass: {users: 3, share: 20}\n", ""))
    people = [person(f"ann{number}", 1001 + number) for number in range(9)]
    left_out(site, A, *people)
    portions_site.send(site, uid=A, kinds=["user"])
    portions_site.steps(site, 2)
    portions_site.send(site, people[8], uid=B)
    assert portions_site.finish(site).state == "done"
    assert [is_open(site, f"ann{number}") for number in range(9)] == [False] * 8 + [True]


def test_who_is_adopted_for_a_second_portal_is_asked_for_by_both(tmp_path: Path) -> None:
    site = Site(tmp_path, f"mode: observe\n{POLICY}")
    ask(site, person(), B)
    adopt(site, person(), writer="uid-4711")
    assert "0 suspended" in left_out(site, B)
    assert "1 suspended" in left_out(site, A)


def test_a_crowd_that_another_portal_asks_for_is_no_crowd(site: Site) -> None:
    people = [person(f"ann{number}", 1001 + number) for number in range(8)]
    left_out(site, A, *people)
    left_out(site, B, *people)
    assert reconcile(site, uid=A, kinds=["user"]).state == "done"
    assert all(is_open(site, f"ann{number}") for number in range(8))
    assert reconcile(site, uid=B, kinds=["user"]).state == "held"
    assert all(is_open(site, f"ann{number}") for number in range(8))


def test_who_puts_right_a_portals_request_does_not_keep_its_person_open(site: Site) -> None:
    site.first.poison.add("ann")
    ask(site, person(), A)
    site.first.poison.clear()
    failed = newest(site, "one.json")
    assert failed.state == "failed"
    ask(site, {**person(), "replaces": failed.id}, ROOT)
    assert is_open(site)
    left_out(site, A)
    assert not is_open(site)


def test_a_person_of_a_request_that_was_cancelled_is_not_asked_for(site: Site) -> None:
    ask(site, person(), B)
    site.second.away = True
    ask(site, person(uid=1002), A)
    cancelled = newest(site, "one.json")
    send(site, A, control("request.cancel", cancelled.id), "cancel.yaml")
    site.second.away = False
    left_out(site, B)
    assert not is_open(site)


# Who asks for a person opens them if another writer has left them out, and nothing else.

BY = {"another portal": B, "root": ROOT}


@pytest.mark.parametrize("by", BY)
def test_who_asks_for_a_person_opens_them_if_another_portal_left_them_out(
    site: Site, by: str
) -> None:
    ask(site, person(), A)
    left_out(site, A)
    ask(site, person(), BY[by])
    assert is_open(site)
    assert "left out of another writer's manifest" in why(newest(site, "one.json"))
    left_out(site, A)
    assert is_open(site)


def test_a_manifest_opens_whom_another_portal_left_out(site: Site) -> None:
    ask(site, person(), A)
    left_out(site, A)
    assert "1 requested" in left_out(site, B, person())
    assert is_open(site)


def test_a_manifest_opens_whom_another_portal_left_out_last(site: Site) -> None:
    ask(site, person(), B)
    ask(site, person(), A)
    left_out(site, A)
    left_out(site, B)
    assert not is_open(site)
    left_out(site, A, person())
    assert is_open(site)


def test_who_left_a_person_out_opens_them_by_listing_them_again(site: Site) -> None:
    ask(site, person(), A)
    left_out(site, A)
    ask(site, person(), A)
    assert not is_open(site)
    left_out(site, A, person())
    assert is_open(site)


@pytest.mark.parametrize("cause", ["security", "ended", "idle", "request"])
def test_who_was_closed_for_another_cause_stays_closed(site: Site, cause: str) -> None:
    ask(site, person(), A)
    send(site, A, user("ann", "suspend", cause=cause))
    left_out(site, A)
    ask(site, person(), B)
    left_out(site, B, person())
    assert not is_open(site)


def test_who_waits_for_a_second_person_opens_nobody_before(tmp_path: Path) -> None:
    seen = "{who: [uid-4712], actions: [user.provision], numbers: true, review: true}"
    others = '{who: [uid-4711, uid-4713], actions: ["*"], numbers: true, others: true}'
    site = Site(tmp_path, f"policy: {{rules: [{seen}, {others}]}}\n")
    ask(site, person(), A)
    left_out(site, A)
    ask(site, person(), B)
    held = newest(site, "one.json")
    assert held.state == "held"
    assert not is_open(site)
    send(site, C, release(held), "release.yaml")
    assert now(site, held).state == "done"
    assert is_open(site)


def waits(site: Site, portal: int = B) -> request_rows.Record:
    """Let a portal ask for the person, and wait for a backend."""
    site.second.away = True
    put(site, "waits.json", json.dumps({"provisioner": 1, **person()}).encode(), portal)
    site.take()
    site.drain("first")
    return newest(site, "waits.json")


def finish(site: Site) -> None:
    site.second.away = False
    site.start()
    site.drain()


@pytest.mark.parametrize("verb", ["cancel", "hold"])
def test_who_was_opened_by_a_request_is_closed_again_if_it_is_stopped(
    site: Site, verb: str
) -> None:
    ask(site, person(), A)
    left_out(site, A)
    opening = waits(site)
    send(site, B, control(f"request.{verb}", opening.id), "stop.yaml")
    finish(site)
    assert now(site, opening).state == {"cancel": "cancelled", "hold": "held"}[verb]
    assert not is_open(site)
    assert "0 suspended" in left_out(site, A)


def test_a_leaving_out_that_its_portal_cancelled_does_not_come_back(site: Site) -> None:
    ask(site, person(), A)
    site.second.away = True
    reconcile(site, uid=A, kinds=["user"])
    [leaving] = [record for record in site.open() if record.action == "user.suspend"]
    opening = waits(site)
    send(site, A, control("request.cancel", leaving.id), "wrong.yaml")
    send(site, B, control("request.cancel", opening.id), "stop.yaml")
    finish(site)
    assert is_open(site)


def test_what_is_released_opens_the_person_once_more(site: Site) -> None:
    ask(site, person(), A)
    left_out(site, A)
    opening = waits(site)
    send(site, B, control("request.hold", opening.id), "hold.yaml")
    send(site, B, release(now(site, opening)), "release.yaml")
    finish(site)
    assert is_open(site)


def test_who_is_asked_for_by_a_third_portal_stays_open_until_that_one_stops_too(
    site: Site,
) -> None:
    ask(site, person(), A)
    left_out(site, A)
    first, second = waits(site, B), waits(site, C)
    send(site, B, control("request.cancel", first.id), "one.yaml")
    site.drain("first")
    assert site.limit("first/account/ann") != "0"
    send(site, C, control("request.cancel", second.id), "two.yaml")
    finish(site)
    assert not is_open(site)


def test_whom_root_opened_stays_open_if_a_later_request_is_cancelled(site: Site) -> None:
    ask(site, person(), A)
    left_out(site, A)
    lifted = user("ann", "resume", cause="reconcile") + "writer: uid-4711\n"
    send(site, ROOT, lifted, "resume.yaml")
    stopped = waits(site)
    send(site, B, control("request.cancel", stopped.id), "stop.yaml")
    finish(site)
    assert is_open(site)


@pytest.mark.parametrize("who", [ROOT, C, A])
def test_whom_somebody_closed_by_hand_stays_closed_whatever_cause_they_named(
    site: Site, who: int
) -> None:
    ask(site, person(), A)
    send(site, who, user("ann", "suspend", cause="reconcile"), "suspend.yaml")
    ask(site, person(), B)
    finish(site)
    assert not is_open(site)


def test_who_was_left_out_and_is_resumed_by_name_is_not_closed_again(site: Site) -> None:
    ask(site, person(), A)
    left_out(site, A)
    opening = waits(site)
    send(site, A, user("ann", "resume", cause="reconcile"), "resume.yaml")
    send(site, B, control("request.cancel", opening.id), "stop.yaml")
    finish(site)
    assert is_open(site)


def test_who_puts_right_what_the_same_portal_had_asked_opens_nobody(site: Site) -> None:
    ask(site, person(), A)
    site.first.poison.add("ann")
    ask(site, person(uid=1002), A)
    site.first.poison.clear()
    failed = newest(site, "one.json")
    left_out(site, A)
    ask(site, {**person(), "replaces": failed.id}, ROOT)
    assert not is_open(site)
