"""What was cancelled after it had begun, and is tried again: a new attempt in full."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.engine_site import Site, allocation, control, membership, user

ORDERED = "order: {{key: a, number: {}}}\nuser:"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a running site with two empty backends."""
    return Site(tmp_path)


def _cancel_half_made(site: Site, text: str) -> str:
    """Send a request, cancel it while its backend is away, and let the backend come back."""
    site.first.away = True
    site.request(text, "lost.yaml")
    who = site.open()[0].id
    site.request(control("request.cancel", who))
    site.back(site.first)
    assert site.first.rows == {}
    return who


def test_a_retry_of_what_was_cancelled_after_it_began_makes_all_of_it(site: Site) -> None:
    who = _cancel_half_made(site, allocation(1, "ann, bob", files=9))
    site.request(control("request.retry", who), "again.yaml")
    assert site.states() == {"done": ["again.yaml", "lost.yaml", "r.yaml"], "failed": []}
    [result] = [one for one in site.results("done") if one["id"] == who]
    assert result["outcome"] == "done"
    assert "problems" not in result
    assert site.limit("first/account/cf") == "9"
    assert {"first/member/cf/ann", "first/member/cf/bob"} < set(site.first.rows)


def test_a_retry_of_what_was_cancelled_undoes_nothing_newer(site: Site) -> None:
    who = _cancel_half_made(site, allocation(1, "ann", files=9))
    site.request(allocation(1, "bob", files=5), "newer.yaml")
    site.request(control("request.retry", who), "again.yaml")
    assert site.states()["failed"] == ["again.yaml", "lost.yaml"]
    [problem] = site.results("failed")[1]["problems"]
    assert "was accepted for allocation:1 since" in problem["message"]
    assert set(site.first.rows) == {"first/account/cf", "first/member/cf/bob"}
    assert site.limit("first/account/cf") == "5"


def test_a_retry_of_what_was_cancelled_undoes_no_removal_that_was_cancelled_once_in_force(
    site: Site,
) -> None:
    site.request(allocation(1, "ann, bob"))
    site.first.away = True
    for text in (allocation(1, "ann, bob", files=9), membership(1, "bob", "remove")):
        site.request(text, "lost.yaml")
    lost, removal = [record.id for record in site.open()]
    site.request(control("request.cancel", lost))
    site.request(control("request.cancel", removal))
    site.back(site.first)
    site.request(control("request.retry", lost), "again.yaml")
    [problem] = [one["problems"][0] for one in site.results("failed") if "problems" in one]
    assert f"{removal} was accepted for allocation:1 since" in problem["message"]
    assert site.open() == []


def test_a_retry_of_a_cancelled_suspension_suspends(site: Site) -> None:
    site.request(allocation(1, "ann", files=9))
    site.first.away = True
    site.request(allocation(1, verb="suspend"))
    who = site.open()[0].id
    site.request(control("request.cancel", who))
    site.back(site.first)
    site.request(control("request.retry", who))
    assert site.limit("first/account/cf") == "0"
    assert site.open() == []


def test_a_retry_of_what_was_cancelled_keeps_to_the_order_of_its_writer(site: Site) -> None:
    who = _cancel_half_made(site, user("ann", uid=9).replace("user:", ORDERED.format(1)))
    site.request(user("bob", uid=5).replace("user:", ORDERED.format(2)), "newer.yaml")
    site.request(control("request.retry", who), "again.yaml")
    [result] = [one for one in site.results("done") if one["id"] == who]
    assert result["outcome"] == "superseded"
    assert "first/account/ann" not in site.first.rows
