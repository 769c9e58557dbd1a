"""What a request that is done says of others: newer requests, other claimants, suspensions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provisioner.steps import remarks
from tests.support.engine_site import Site, allocation, membership, user
from tests.support.policy_site import send, why


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a running site with two empty backends."""
    return Site(tmp_path)


def notes(result: dict[str, Any]) -> list[str]:
    return [problem["message"] for problem in result.get("problems", ())]


def test_what_a_newer_request_replaced_while_it_waited_is_superseded(site: Site) -> None:
    site.first.away = True
    site.request(allocation(4, "ann", files=9))
    site.request(allocation(4, "ann", files=5))
    site.back(site.first)
    old, new = site.results("done")
    assert (old["outcome"], new["outcome"]) == ("superseded", "done")
    assert notes(old) == [f"{new['id']} has since asked for something else: first/account/cf"]
    assert site.limit("first/account/cf") == "5"


def test_what_a_newer_request_left_out_while_it_waited_is_superseded(site: Site) -> None:
    site.first.away = True
    site.request(allocation(4, "ann, bob"))
    site.request(allocation(4, "ann"))
    site.back(site.first)
    old, new = site.results("done")
    assert (old["outcome"], new["outcome"]) == ("superseded", "done")
    assert notes(old) == [f"{new['id']} has since asked for something else: first/member/cf/bob"]


def test_what_a_newer_request_asked_for_as_well_is_done(site: Site) -> None:
    site.first.away = True
    site.request(allocation(4, "ann"))
    site.request(membership(4, "bob", "add"))
    site.request(allocation(4, "ann, bob"))
    site.back(site.first)
    assert [one["outcome"] for one in site.results("done")] == ["done"] * 3


def test_who_else_wants_what_is_left_as_it_is_stands_in_the_result(site: Site) -> None:
    site.request(allocation(3, files=5))
    site.request(allocation(4, files=1))
    first, second = site.results("done")
    assert notes(first) == []
    assert notes(second) == ["first/account/cf: also wanted by allocation:3"]
    site.request(allocation(5, files=1, code="other"))
    assert notes(site.results("done")[-1]) == []


def test_who_contradicts_is_found_out_once_for_all_requests_of_a_project(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 3,000 allocations, each was compared with all: half a minute in one commit."""
    for number in range(3):
        site.request(allocation(number), f"{number}.yaml")
    compared: list[object] = []

    def noting(other: object, mine: object) -> bool:
        compared.append(other)
        return False

    monkeypatch.setattr(remarks, "_at_odds", noting)
    for number in range(3, 6):
        site.drop(allocation(number), f"{number}.yaml")
    site.drain()
    assert len(site.results("done")) == 6
    assert len(compared) == 6


def test_who_else_wants_it_is_not_named_to_another_writer(tmp_path: Path) -> None:
    rules = (
        "policy: {rules: [{who: [uid-4711, uid-4712], actions: ['allocation.*'], others: true}]}"
    )
    site = Site(tmp_path, f"{rules}\n")
    send(site, 4711, allocation(3, files=5))
    mine = send(site, 4712, allocation(4, files=1))
    assert why(mine) == "first/account/cf: also wanted by another writer's request"
    again = send(site, 4711, allocation(6, files=1))
    assert why(again) == "first/account/cf: also wanted by allocation:3"


def test_what_a_suspension_keeps_closed_is_said(site: Site) -> None:
    site.request(user("ann", uid=7))
    site.request(user("ann", "suspend", cause="security"))
    site.request(user("ann", uid=8))
    last = site.results("done")[-1]
    assert notes(last) == ["user:ann is suspended by root: security, kept closed"]
    text = sorted((site.config.spool / "done").glob("*.result.yaml"))[-1].read_text()
    assert "Nothing needs to be done" not in text


def test_who_is_suspended_and_not_there_yet_is_not_made_and_it_says_so(site: Site) -> None:
    site.request(user("dora", "suspend", cause="left"))
    assert "the suspension stays in force" in notes(site.results("done")[0])[1]
    site.request(user("dora", uid=7))
    [failed] = site.results("failed")
    early, late = failed["steps"]
    assert (early["state"], late["state"]) == ("done", "failed")
    assert "already" not in early
    assert late["error"]["message"].startswith("user:dora is suspended by root: left: ")
    assert late["error"]["advice"] == f"resume it, then `provisioner retry {failed['id']}`"
    assert site.first.rows == site.second.rows == {}


def test_members_that_are_suspended_are_named_and_the_others_made(site: Site) -> None:
    site.request(user("ann", "suspend", cause="left"))
    site.request(allocation(4, "ann, bob"))
    assert notes(site.results("done")[-1]) == [
        "user:ann is suspended by root: left, kept closed; "
        "not made until that is resumed: first/member/cf/ann"
    ]
    assert "first/member/cf/bob" in site.first.rows


def test_a_resume_without_the_cause_fails_and_says_which_there_is(site: Site) -> None:
    site.request(user("ann"))
    site.request(user("ann", "suspend", cause="left"))
    site.request(user("ann", "resume"))
    [problem] = site.results("failed")[-1]["problems"]
    assert problem["message"] == (
        "root has not suspended user:ann for 'request'; it is suspended by root: left"
    )
    assert problem["expected"] == "cause: left"
