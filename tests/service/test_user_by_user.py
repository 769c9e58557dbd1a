"""One who is not ready keeps nobody else out, and nobody who only looks waiting."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.journal.records.event_rows import events_of
from tests.support.engine_site import Site, allocation, control, membership
from tests.support.gated_site import GATED, impatient, members

RECONCILE = "provisioner: 1\naction: reconcile\n"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a site where each user has to be known to the second backend first."""
    return Site(tmp_path, text=GATED)


def test_who_is_ready_comes_in_while_another_waits(site: Site) -> None:
    site.second.missing = {"ghost"}
    site.request(allocation(1, "ann, bob, ghost"))
    assert members(site) == {"ann", "bob"}
    assert [record.state for record in site.open()] == ["deferred"]


def test_who_waited_comes_in_by_themselves(site: Site) -> None:
    site.second.missing = {"ghost"}
    site.request(allocation(1, "ann, ghost"))
    written = len(site.first.calls)
    site.second.missing = set()
    site.drain()
    assert members(site) == {"ann", "ghost"}
    assert len(site.first.calls) == written + 1
    assert site.states() == {"done": ["r.yaml"], "failed": []}


def test_who_never_comes_fails_alone(site: Site) -> None:
    site.second.missing = {"ghost"}
    impatient(site)
    site.request(allocation(1, "ann, ghost"))
    assert members(site) == {"ann"}
    result = site.results("failed")[0]
    steps = {step["step"]: step for step in result["steps"]}
    assert steps["resolves"]["error"]["object"] == "second/member/gate/ghost"
    assert steps["members"]["state"] == "skipped"
    assert "needs resolves" in steps["members"]["error"]["message"]
    assert steps["members"]["changed"] == ["first/member/cf/ann: add first/member/cf/ann"]


def test_a_step_begins_once_where_one_user_comes_in_and_another_is_skipped(site: Site) -> None:
    site.second.poison = {"ghost"}
    site.request(allocation(1, "ann, ghost"))
    assert members(site) == {"ann"}
    with site.system.journal.reading() as conn:
        told = events_of(conn, site.results("failed")[0]["id"])
    began = [text for _, kind, text in told if kind == "started"]
    assert began.count("members") == 1


def test_a_retry_takes_in_who_has_come_since(site: Site) -> None:
    site.second.missing = {"ghost"}
    impatient(site)
    site.request(allocation(1, "ann, ghost"))
    site.second.missing = set()
    site.request(control("request.retry", site.results("failed")[0]["id"]), "again.yaml")
    assert members(site) == {"ann", "ghost"}
    assert site.states()["failed"] == []


def test_what_all_need_fails_for_all(site: Site) -> None:
    site.first.poison = {"cf"}
    site.request(allocation(1, "ann, bob"))
    assert members(site) == set()
    members_ = site.results("failed")[0]["steps"][-1]
    assert (members_["step"], members_["state"]) == ("members", "skipped")


def test_who_is_in_stays_in_over_a_kill(site: Site) -> None:
    site.second.missing = {"ghost"}
    site.request(allocation(1, "ann, ghost"))
    site.start()
    site.second.missing = set()
    site.drain()
    assert members(site) == {"ann", "ghost"}
    assert site.open() == []


def test_holding_keeps_those_out_who_have_not_begun(site: Site) -> None:
    site.second.missing = {"ghost"}
    site.request(allocation(1, "ann, ghost"), "a.yaml")
    site.request(control("request.hold", site.open()[0].id), "hold.yaml")
    site.second.missing = set()
    site.drain()
    assert members(site) == {"ann"}
    site.request(control("request.release", site.open()[0].id), "release.yaml")
    assert members(site) == {"ann", "ghost"}
    assert site.open() == []


# Reconciles, and those who leave.


def test_a_reconcile_is_over_when_everything_was_looked_at(site: Site) -> None:
    site.second.missing = {"ghost"}
    site.request(allocation(1, "ann, ghost"), "a.yaml")
    for number in range(3):
        site.request(RECONCILE, f"hourly-{number}.yaml")
    assert [record.name for record in site.open()] == ["a.yaml"]
    result = site.results("done")[-1]
    waits = next(step for step in result["steps"] if step["handler"] == "second")
    assert waits["error"]["type"] == "NotReady"
    assert waits["error"]["object"] == "second/member/gate/ghost"


def test_looking_each_hour_does_not_keep_waiting_for_ever(site: Site) -> None:
    site.second.missing = {"ghost"}
    site.request(allocation(1, "ghost"), "a.yaml")
    since = waiting_since(site)
    site.request(RECONCILE, "hourly.yaml")
    assert waiting_since(site) == since


def test_what_was_given_up_is_looked_at_anew(site: Site) -> None:
    site.second.missing = {"ghost"}
    impatient(site)
    site.request(allocation(1, "ghost"), "a.yaml")
    site.second.missing = set()
    site.request(RECONCILE, "hourly.yaml")
    assert "second/member/gate/ghost" in site.second.rows


def test_a_reconcile_waits_for_a_backend_that_is_away(site: Site) -> None:
    site.request(allocation(1, "ann"), "a.yaml")
    site.second.away = True
    site.request(RECONCILE, "first.yaml")
    assert [record.name for record in site.open()] == ["first.yaml"]


def test_a_newer_reconcile_takes_the_place_of_one_that_waits(site: Site) -> None:
    site.request(allocation(1, "ann"), "a.yaml")
    site.second.away = True
    for number in range(3):
        site.request(RECONCILE, f"hourly-{number}.yaml")
    assert [record.name for record in site.open()] == ["hourly-2.yaml"]
    assert [one["outcome"] for one in site.results("done")] == ["done", "superseded", "superseded"]
    site.back(site.second)
    assert site.open() == []


def test_who_leaves_is_out_though_another_who_wants_the_same_is_not_ready(site: Site) -> None:
    site.request(allocation(1, "ann, bob"), "one.yaml")
    site.request(allocation(2, "bob"), "two.yaml")
    site.first.missing = {"bob"}
    site.request(membership(1, "bob", "remove"), "leave.yaml")
    assert "leave.yaml" in site.states()["done"]


def test_who_leaves_waits_while_what_is_only_theirs_cannot_be_taken(site: Site) -> None:
    site.request(allocation(1, "ann, bob"), "one.yaml")
    site.first.missing = {"bob"}
    site.request(membership(1, "bob", "remove"), "leave.yaml")
    assert [record.name for record in site.open()] == ["leave.yaml"]


def waiting_since(site: Site) -> float:
    """Return when the one object that is not ready began to wait."""
    from sqlalchemy import select

    from provisioner.journal.schema import objects

    with site.system.journal.reading() as conn:
        statement = select(objects.c.waiting_since).where(objects.c.waiting_since.is_not(None))
        return float(conn.scalars(statement).one())
