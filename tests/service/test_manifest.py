"""A reconcile with a manifest: what differs is asked for, what is left out is suspended."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from provisioner.manifests import manifest
from tests.support.engine_site import Site, allocation, control, release, user
from tests.support.manifest_site import (
    POLICY,
    Line,
    ask,
    elsewhere,
    entry,
    members,
    newest,
    own,
    put,
    reconcile,
    told,
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a running site with a portal."""
    return Site(tmp_path, POLICY)


def test_what_is_listed_and_not_known_is_made(site: Site) -> None:
    assert reconcile(site, entry(1, "ann"), entry(2, "bob")).state == "done"
    assert members(site) == {"cf1/ann", "cf2/bob"}


def test_what_is_as_listed_is_not_asked_for_again(site: Site) -> None:
    reconcile(site, entry(1, "ann"))
    calls = len(site.first.calls)
    again = reconcile(site, entry(1, "ann"))
    assert "0 requested" in told(again)
    assert "1 as listed" in told(again)
    assert len(site.first.calls) == calls


def test_what_somebody_changed_in_the_backend_is_mended(site: Site) -> None:
    reconcile(site, entry(1, "ann"))
    site.first.rows["first/account/cf1"]["limit"] = "77"
    reconcile(site, entry(1, "ann"))
    assert site.limit("first/account/cf1") == "5"


def test_what_differs_is_asked_for_anew(site: Site) -> None:
    ask(site, entry(1, "ann", "bob", files=5))
    assert "1 requested" in told(reconcile(site, entry(1, "ann", files=9)))
    assert site.limit("first/account/cf1") == "9"
    assert members(site) == {"cf1/ann"}


def test_what_is_left_out_is_suspended_and_comes_back_when_listed_again(site: Site) -> None:
    reconcile(site, entry(1, "ann"), entry(2, "bob"))
    assert "1 suspended" in told(reconcile(site, entry(1, "ann")))
    assert members(site) == {"cf1/ann"}
    assert "first/member/cf2/bob" in site.first.rows
    assert "1 resumed" in told(reconcile(site, entry(1, "ann"), entry(2, "bob")))
    assert members(site) == {"cf1/ann", "cf2/bob"}


def test_what_is_listed_again_comes_back_although_another_writer_asked_for_it_since(
    site: Site,
) -> None:
    reconcile(site, entry(1, "ann"), entry(2, "bob"))
    reconcile(site, entry(1, "ann"))
    ask(site, entry(2, "bob"), uid=0)
    assert members(site) == {"cf1/ann"}
    assert "1 resumed" in told(reconcile(site, entry(1, "ann"), entry(2, "bob")))
    assert members(site) == {"cf1/ann", "cf2/bob"}


def test_what_was_left_out_before_is_suspended_once(site: Site) -> None:
    reconcile(site, entry(1, "ann"), entry(2, "bob"))
    reconcile(site, entry(1, "ann"))
    assert "0 suspended" in told(reconcile(site, entry(1, "ann")))


def test_who_is_a_user_of_another_writers_allocation_is_not_closed_by_who_asked_last(
    site: Site,
) -> None:
    ann: Line = {"action": "user.provision", "user": {"name": "ann", "uid": 1001}}
    bob: Line = {"action": "user.provision", "user": {"name": "bob", "uid": 1002}}
    site.request(allocation(1, "ann"))
    reconcile(site, ann, bob)
    found = reconcile(site, bob)
    assert "0 suspended" in told(found)
    assert "1 of other writers" in told(found)
    site.request(allocation(1, ""), "less.yaml")
    assert "1 suspended" in told(reconcile(site, bob))


def test_what_another_writer_asked_for_is_left_alone(site: Site) -> None:
    ask(site, entry(7, "eve"), uid=0)
    found = reconcile(site, entry(1, "ann"))
    assert "left alone: 0 claimed later, 1 of other writers" in told(found)
    assert members(site) == {"cf1/ann", "cf7/eve"}


def test_what_was_claimed_after_the_manifest_is_left_alone(site: Site) -> None:
    before = datetime.now(UTC) - timedelta(minutes=1)
    ask(site, entry(2, "bob"))
    found = reconcile(site, entry(1, "ann"), as_of=before)
    assert "1 claimed later" in told(found)
    assert members(site) == {"cf1/ann", "cf2/bob"}


def test_a_kind_that_is_not_listed_is_not_missed(site: Site) -> None:
    put(site, "user.yaml", user("ann").encode())
    site.take()
    site.drain()
    assert "0 suspended" in told(reconcile(site, entry(1, "ann")))


@pytest.mark.parametrize("lines", [(), ({"action": "user.provision", "user": {"name": "ann"}},)])
def test_a_kind_of_which_the_manifest_says_that_there_are_none_is_missed(
    site: Site, lines: Sequence[Line]
) -> None:
    reconcile(site, entry(1, "ann"))
    assert "1 suspended" in told(reconcile(site, *lines, kinds=["allocation"]))
    assert members(site) == set()
    reconcile(site, entry(1, "ann"))
    assert members(site) == {"cf1/ann"}


def test_a_manifest_that_says_there_are_none_of_a_crowd_is_held(site: Site) -> None:
    reconcile(site, *(entry(n, f"u{n}") for n in range(1, 10)))
    held = reconcile(site, kinds=["allocation"])
    assert held.state == "held"
    assert len(members(site)) == 9


def test_an_empty_manifest_suspends_nothing(site: Site) -> None:
    reconcile(site, entry(1, "ann"))
    assert "0 suspended" in told(reconcile(site))
    assert members(site) == {"cf1/ann"}


def test_too_many_at_once_are_one_held_request_until_somebody_releases_it(site: Site) -> None:
    reconcile(site, *(entry(n, f"u{n}") for n in range(1, 10)))
    held = reconcile(site, entry(1, "u1"))
    assert held.state == "held"
    assert "would take something away from" in told(held)
    assert len(members(site)) == 9
    site.start()
    site.request(release(held))
    assert newest(site, "reconcile.json").state == "done"
    assert members(site) == {"cf1/u1"}


def answer(site: Site, number: int) -> str:
    """Return what the portal reads of one of its requests."""
    [receipt] = (site.spool.receipts).glob(f"*/portal-{number}.yaml")
    return receipt.read_text()


def test_a_line_with_an_id_gets_an_answer_of_its_own(site: Site) -> None:
    reconcile(site, own(1, entry(1, "ann")))
    assert "state: done" in answer(site, 1)


def test_a_line_with_an_id_is_answered_where_it_is_as_listed_too(site: Site) -> None:
    reconcile(site, entry(1, "ann"))
    found = reconcile(site, own(1, entry(1, "ann")), entry(2, "bob"))
    assert "1 requested" in told(found)
    assert "1 as listed" in told(found)
    assert "state: done" in answer(site, 1)


def test_a_line_with_an_id_that_is_left_alone_is_told_so(site: Site) -> None:
    before = datetime.now(UTC) - timedelta(minutes=1)
    ask(site, entry(1, "ann"))
    ask(site, entry(7, "eve"), uid=0)
    reconcile(site, own(1, entry(1, "bob")), own(2, entry(7, "bob")), as_of=before)
    assert "a newer request has claimed it" in answer(site, 1)
    assert "root asked for it" in answer(site, 2)
    reconcile(site, entry(1, "ann"), own(3, entry(7, "bob")))
    assert "state: refused" in answer(site, 3)
    assert "root asked for it" in answer(site, 3)
    assert members(site) == {"cf1/ann", "cf7/eve"}


def test_of_a_line_with_an_id_the_order_counts_afterwards(site: Site) -> None:
    reconcile(site, own(5, entry(1, "ann")))
    ask(site, own(4, entry(1, "bob")))
    assert "state: superseded" in answer(site, 4)
    assert members(site) == {"cf1/ann"}


def test_the_manifest_is_gone_from_staging_when_it_was_taken(site: Site) -> None:
    reconcile(site, entry(1, "ann"))
    assert not (site.spool.staging / "all.jsonl").exists()


WRONG: dict[str, tuple[tuple[Line, ...], Line, str]] = {
    "another text": ((entry(1),), {"text": b"other"}, "is not what the request says"),
    "another owner": ((entry(1),), {"owner": 0}, "is root's"),
    "a suspension": (({"action": "user.suspend", "user": {"name": "a"}},), {}, "not a provision"),
    "a wrong line": ((entry(1, "Ann!"),), {}, "not a user name"),
    "a subject twice": ((entry(1), entry(1)), {}, "is listed twice"),
}


def test_what_a_failed_request_never_came_to_is_asked_for_anew(site: Site) -> None:
    """What its last step wants is known only when the first is done, which it never was."""
    person: Line = {"action": "user.provision", "user": {"name": "ann", "uid": 5}}
    site.first.poison.add("ann")
    reconcile(site, person)
    assert newest(site, "all.jsonl-1.json").state == "failed"
    site.first.poison.clear()
    assert "1 requested" in told(reconcile(site, person))
    assert site.limit("second/account/ann", "second") == "5"


def test_what_a_request_under_way_will_come_to_is_as_listed(site: Site) -> None:
    person: Line = {"action": "user.provision", "user": {"name": "ann", "uid": 5}}
    site.first.away = True
    reconcile(site, person)
    assert "1 as listed" in told(reconcile(site, person))


def test_a_subject_is_left_alone_while_a_request_for_it_is_held(site: Site) -> None:
    site.first.away = True
    ask(site, entry(1, "ann", files=9))
    (waiting,) = site.open()
    site.drop(control("request.hold", waiting.id), "hold.yaml")
    site.back(site.first)
    found = reconcile(site, entry(1, "ann", files=9))
    assert "0 requested" in told(found)
    assert "1 with a held request" in told(found)
    assert members(site) == set()
    site.request(control("request.release", waiting.id))
    assert members(site) == {"cf1/ann"}


def test_a_subject_that_is_left_out_is_left_alone_while_a_request_for_it_is_held(
    site: Site,
) -> None:
    ask(site, entry(1, "ann"))
    site.first.away = True
    ask(site, entry(1, "ann", "bob"))
    (waiting,) = site.open()
    site.drop(control("request.hold", waiting.id), "hold.yaml")
    site.back(site.first)
    found = reconcile(site, entry(2, "eve"))
    assert "1 requested, 0 suspended" in told(found)
    assert "1 with a held request" in told(found)
    assert members(site) == {"cf1/ann", "cf2/eve"}
    site.request(control("request.cancel", waiting.id))
    assert "1 suspended" in told(reconcile(site, entry(2, "eve")))


def test_a_line_that_nobody_can_follow_is_told_and_keeps_no_other_back(site: Site) -> None:
    reconcile(site, entry(1, "ann"), entry(2, "bob"), entry(3, "cyd"))
    found = reconcile(site, entry(1, "eve"), elsewhere(2, "eve"))
    assert found.state == "done"
    assert "1 requested, 1 suspended" in told(found)
    assert "1 that are wrong" in told(found)
    assert "manifest entry 2: allocation.resource: there is no resource 'three'" in told(found)
    assert members(site) == {"cf1/eve", "cf2/bob"}


def test_a_line_with_an_id_that_nobody_can_follow_is_refused_by_itself(site: Site) -> None:
    reconcile(site, own(1, elsewhere(1, "ann")), own(2, entry(2, "bob")))
    assert "state: refused" in answer(site, 1)
    assert "there is no resource 'three'" in answer(site, 1)
    assert "state: done" in answer(site, 2)
    assert members(site) == {"cf2/bob"}


def test_of_many_lines_that_nobody_can_follow_some_are_told(site: Site) -> None:
    found = reconcile(site, *(elsewhere(number, "ann") for number in range(1, 31)))
    assert "manifest entry 20: " in told(found)
    assert "manifest entry 21: " not in told(found)
    assert "and 10 more that are wrong" in told(found)


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_manifest_is_refused_whole(site: Site, what: str) -> None:
    lines, wrong, why = WRONG[what]
    found = reconcile(site, entry(3, "ann"), *lines, **wrong)
    assert found.state == "refused"
    assert why in told(found)
    assert members(site) == set()


def refused(site: Site, second: str) -> str:
    """Send a manifest with such a second line, and return why the whole is refused."""
    data = f"{json.dumps(entry(1, 'ann'))}\n{second}\n".encode()
    named = {"file": "all.jsonl", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    put(site, "all.jsonl", data)
    request = {"provisioner": 1, "action": "reconcile", "manifest": named}
    put(site, "reconcile.json", json.dumps(request).encode())
    site.take()
    site.drain()
    found = newest(site, "reconcile.json")
    assert found.state == "refused"
    assert members(site) == set()
    return told(found)


def test_a_key_that_a_line_has_twice_refuses_the_whole_and_is_named(site: Site) -> None:
    twice = json.dumps(entry(2, "bob")).replace('"id": 2', '"id": 9, "id": 2')
    assert refused(site, twice) == "line 2 of the manifest: the key 'id' is there twice"


def test_a_line_that_can_be_read_and_not_written_is_refused_and_not_failed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one depth only: writing needs a little more of the stack than reading."""

    def too_deep(document: Mapping[str, object]) -> bytes:
        raise RecursionError

    monkeypatch.setattr(manifest, "_request", too_deep)
    assert refused(site, json.dumps(entry(2, "bob"))).endswith("has too many levels")


def test_a_line_that_is_longer_than_any_request_is_refused_unread(site: Site) -> None:
    """Reading one line of 60 MiB took 1.8 GiB, and naming its second key of two took for ever."""
    unread = "{" + " " * 64 * 1024
    assert "line 2 of the manifest has more than 65536 bytes" in refused(site, unread)


def test_lines_that_policy_refuses_are_counted_apart(site: Site) -> None:
    found = reconcile(site, entry(1, "ann"), entry(2, "bob", "daemon"))
    assert "1 requested, 0 suspended" in told(found)
    assert "refused by policy: 1" in told(found)


def test_a_manifest_that_is_not_there_is_told(site: Site) -> None:
    named = {"file": "none.jsonl", "size": 1, "sha256": "0" * 64}
    request = {"provisioner": 1, "action": "reconcile", "manifest": named}
    put(site, "reconcile.json", json.dumps(request).encode())
    site.take()
    assert "not in staging" in told(newest(site, "reconcile.json"))


def test_a_single_request_still_counts_beside_a_manifest(site: Site) -> None:
    reconcile(site, entry(1, "ann"))
    site.request(allocation(4, "eve"))
    assert "first/member/cf/eve" in site.first.rows
