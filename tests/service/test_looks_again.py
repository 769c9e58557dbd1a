"""Looks at everything again: what others opened is closed for few people, and for no crowd."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.controls import verbs
from provisioner.journal.records.request_rows import Record
from tests.support.engine_site import Site, allocation, control, release, user
from tests.support.manifest_site import entry, reconcile
from tests.support.policy_site import OPERATOR, PORTAL, now, send, why

POLICY = """\
policy:
  mass: {users: 3, share: 20}
  rules:
  - {who: [uid-4711], actions: ["allocation.*", "request.*", reconcile], others: true}
  - {who: [uid-4712], actions: ["*"], others: true}
"""
ACCOUNT = "first/account/cf1"
EVERYTHING = json.dumps({"provisioner": 1, "action": "reconcile"})


def member(number: int) -> str:
    return f"first/member/cf1/u{number}"


def opened(root: Path, many: int) -> Site:
    """Give a site where others opened what was closed for some people, and changed the account."""
    site = Site(root, POLICY)
    reconcile(site, *lines(many))
    for number in range(many):
        send(site, 0, user(f"u{number}", "suspend", cause="left"), f"u{number}.yaml")
        site.first.rows[member(number)]["limit"] = "5"
    site.first.rows[ACCOUNT]["limit"] = "9"
    return site


def lines(many: int) -> list[dict[str, object]]:
    return [entry(1, *(f"u{number}" for number in range(many))), entry(2, "zoe")]


def plainly(site: Site, many: int) -> Record:
    return send(site, PORTAL, EVERYTHING, "all.json")


def by_manifest(site: Site, many: int) -> Record:
    return reconcile(site, *lines(many))


LOOKS = pytest.mark.parametrize("look", [plainly, by_manifest])
Look = Callable[[Site, int], Record]


def closed(site: Site, many: int) -> int:
    """Count the people for whom it is closed."""
    return [site.limit(member(number)) for number in range(many)].count("0")


@LOOKS
def test_what_others_opened_is_closed_again_for_few_people(tmp_path: Path, look: Look) -> None:
    site = opened(tmp_path, 3)
    assert look(site, 3).state == "done"
    assert (closed(site, 3), site.limit(ACCOUNT)) == (3, "5")


@LOOKS
def test_what_others_opened_is_closed_for_no_crowd_and_the_rest_is_repaired(
    tmp_path: Path, look: Look
) -> None:
    site = opened(tmp_path, 8)
    for _ in range(2):
        assert look(site, 8).state == "done"
        assert (closed(site, 8), site.limit(ACCOUNT)) == (0, "5")
    document = str(site.results("done")[-1])
    assert "take something away from 8 users" in document
    assert "provisioner drift --repair" in document


def test_a_repair_by_name_after_a_look_is_held_and_closes_when_it_is_released(
    tmp_path: Path,
) -> None:
    site = opened(tmp_path, 8)
    plainly(site, 8)
    keys = [member(number) for number in range(8)]
    held = send(site, PORTAL, json.dumps({**json.loads(EVERYTHING), "objects": keys}), "named.json")
    assert (held.state, closed(site, 8)) == ("held", 0)
    send(site, OPERATOR, release(held), "release.yaml")
    assert (now(site, held).state, closed(site, 8)) == ("done", 8)


@pytest.mark.parametrize("verb", ["retry", "hold and release"])
def test_a_look_that_goes_on_later_closes_nothing_for_a_crowd(tmp_path: Path, verb: str) -> None:
    site = opened(tmp_path, 8)
    if verb == "retry":
        site.first.poison = {"cf1"}
        look = plainly(site, 8)
        site.first.poison = set()
        assert look.state == "failed"
        send(site, PORTAL, control("request.retry", look.id), "retry.yaml")
    else:
        site.service.lanes["first"].paused = True
        look = plainly(site, 8)
        send(site, PORTAL, control("request.hold", look.id), "hold.yaml")
        site.service.lanes["first"].paused = False
        send(site, PORTAL, release(look), "release.yaml")
    assert (now(site, look).state, closed(site, 8)) == ("done", 0)
    assert site.limit(ACCOUNT) == "5"


def test_a_crowd_that_is_suspended_while_a_look_waits_is_closed(tmp_path: Path) -> None:
    site = Site(tmp_path, POLICY)
    reconcile(site, *lines(8))
    site.service.lanes["first"].paused = True
    look = plainly(site, 8)
    for number in range(8):
        send(site, 0, user(f"u{number}", "suspend", cause="left"), f"u{number}.yaml")
    site.service.lanes["first"].paused = False
    site.drain()
    assert (now(site, look).state, closed(site, 8)) == ("done", 8)


def test_the_people_of_several_looks_count_together(tmp_path: Path) -> None:
    site = opened(tmp_path, 8)
    for number in range(3, 8):
        site.first.rows[member(number)]["limit"] = "0"
    plainly(site, 8)
    assert closed(site, 8) == 8
    for number in range(3, 6):
        site.first.rows[member(number)]["limit"] = "5"
    assert why(plainly(site, 8)) == ""
    assert closed(site, 8) == 5


def test_one_member_of_a_closed_allocation_counts_as_one_person(tmp_path: Path) -> None:
    site = Site(tmp_path, POLICY)
    reconcile(site, *lines(8))
    held = send(site, 0, allocation(1, verb="suspend"), "suspend.yaml")
    send(site, OPERATOR, release(held), "release.yaml")
    send(site, 0, EVERYTHING, "before.json")
    site.first.rows[member(5)]["limit"] = "5"
    plainly(site, 8)
    assert closed(site, 8) == 8


def test_a_look_at_very_many_objects_is_over_when_all_are_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To list 300,000 took a minute, in which nobody else's request was accepted."""
    monkeypatch.setattr(verbs, "AWAITED", 1)
    site = Site(tmp_path)
    site.request(user("ann", uid=5))
    site.first.rows.clear()
    site.drop("provisioner: 1\naction: reconcile\n", "look.yaml")
    site.service.clerk.catch_up()
    assert "look.yaml" in site.states()["done"]
    assert "2 objects are looked at again" in str(site.results("done")[-1])
    site.drain()
    assert site.limit("first/account/ann") == "5"
