"""Whoever opens something again, it is not made before what it rests on.

A step waits for a user to be known to the second backend. What ends that wait without the user's
being known, a suspension or a removal, does not let them in once it is taken back.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.journal.records.step_rows import waiting_for
from tests.support.engine_site import CONFIG, Site, allocation, control, membership, user
from tests.support.gated_site import GATED, impatient, members

PATIENT = GATED.replace("first: 0.01, most: 0.02", "first: 60, most: 900")
RECONCILE = "provisioner: 1\naction: reconcile\n"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a site where one of two users is not known to the second backend yet."""
    site = Site(tmp_path, text=PATIENT)
    site.second.late = {"ghost"}
    site.request(allocation(1, "ann"), "first.yaml")
    site.request(allocation(1, "ann, ghost"), "waits.yaml")
    assert members(site) == {"ann"}
    return site


def comes(site: Site) -> None:
    """Let the user become known, and time go by."""
    site.second.late = set()
    for _ in range(3):
        with site.system.journal.transaction() as conn:
            conn.exec_driver_sql("UPDATE objects SET due = 0 WHERE due IS NOT NULL")
        site.drain()


def away(site: Site) -> None:
    """Let the first backend answer no more, and its lane not wait for it."""
    site.first.away = True
    site.service.lanes["first"]._moment = 0.001


@pytest.mark.parametrize("closed", ["allocation", "user"])
def test_a_resume_lets_nobody_in_who_is_not_known_yet(site: Site, closed: str) -> None:
    def ask(verb: str) -> str:
        return allocation(1, verb=verb) if closed == "allocation" else user("ghost", verb)

    site.request(ask("suspend"), "suspend.yaml")
    site.request(ask("resume"), "resume.yaml")
    assert members(site) == {"ann"}
    assert [record.name for record in site.open()] == ["resume.yaml"]
    comes(site)
    assert members(site) == {"ann", "ghost"}
    assert site.open() == []


def test_a_request_that_a_suspension_overtakes_says_what_is_not_made(site: Site) -> None:
    site.request(allocation(1, verb="suspend"), "suspend.yaml")
    told = next(one for one in site.results("done") if one["request"] == "waits.yaml")
    [problem] = told["problems"]
    assert problem["message"] == (
        "allocation:1 is suspended by root: request, kept closed; not made until that is resumed: "
        "second/member/gate/ghost, first/member/cf/ghost"
    )


def test_who_was_asked_for_while_closed_is_let_in_once_they_are_known(site: Site) -> None:
    site.request(allocation(1, verb="suspend"), "suspend.yaml")
    site.second.late = {"ghost", "new"}
    site.request(allocation(1, "ann, new"), "more.yaml")
    site.start()
    site.request(allocation(1, verb="resume"), "resume.yaml")
    assert members(site) == {"ann"}
    comes(site)
    assert members(site) == {"ann", "new"}


def test_who_was_in_comes_back_although_they_are_not_known_now(site: Site) -> None:
    site.request(allocation(1, verb="suspend"), "suspend.yaml")
    site.second.late = {"ann", "ghost"}
    site.request(allocation(1, verb="resume"), "resume.yaml")
    (resume,) = site.open()
    with site.system.journal.reading() as conn:
        waits = {one["object"] for one in waiting_for(conn, [resume.id])[resume.id]}
    assert waits == {"second/member/gate/ann", "second/member/gate/ghost", "first/member/cf/ghost"}


def test_what_one_handler_makes_in_order_comes_back_at_the_first_try(tmp_path: Path) -> None:
    site = Site(tmp_path, text=CONFIG.replace("first: 0.01, most: 0.02", "first: 60, most: 900"))
    site.request(allocation(1, verb="suspend"), "suspend.yaml")
    site.request(allocation(1, "ann"))
    site.request(allocation(1, verb="resume"), "resume.yaml")
    assert members(site) == {"ann"}
    assert site.open() == []


def test_who_may_come_in_for_another_allocation_waits_for_nothing(site: Site) -> None:
    site.request(allocation(1, verb="suspend"), "suspend.yaml")
    away(site)
    site.request(membership(2, "ghost", "add"), "other.yaml")
    site.request(allocation(1, verb="resume"), "resume.yaml")
    site.back(site.first)
    assert members(site) == {"ann", "ghost"}


def test_a_resume_that_waited_too_long_fails_and_names_what_was_not_ready(site: Site) -> None:
    impatient(site)
    site.request(allocation(1, verb="suspend"), "suspend.yaml")
    site.request(allocation(1, verb="resume"), "resume.yaml")
    told = [step["error"]["message"] for step in site.results("failed")[-1]["steps"]]
    assert "not made before second/member/gate/ghost" in told[0]
    assert "second/member/gate/ghost cannot be made yet" in told[1]
    site.second.late = set()
    site.request(RECONCILE, "hourly.yaml")
    assert members(site) == {"ann", "ghost"}


def test_a_cancelled_suspension_lets_nobody_in_who_is_not_known_yet(site: Site) -> None:
    away(site)
    site.request(allocation(1, verb="suspend"), "suspend.yaml")
    site.request(control("request.cancel", asked(site, "suspend.yaml")), "cancel.yaml")
    site.back(site.first)
    assert members(site) == {"ann"}
    comes(site)
    assert members(site) == {"ann", "ghost"}


def test_a_reconcile_after_a_resume_lets_nobody_in_who_is_not_known_yet(site: Site) -> None:
    site.request(allocation(1, verb="suspend"), "suspend.yaml")
    site.request(allocation(1, verb="resume"), "resume.yaml")
    site.request(RECONCILE, "hourly.yaml")
    assert members(site) == {"ann"}
    assert [record.name for record in site.open()] == ["resume.yaml"]
    comes(site)
    assert members(site) == {"ann", "ghost"}


@pytest.mark.parametrize("verb", ["cancel", "hold"])
def test_who_is_no_longer_left_out_is_not_let_in_before_they_are_known(
    site: Site, verb: str
) -> None:
    site.drop(allocation(1, "ann"), "less.yaml")
    site.drain("second")
    site.drop(control(f"request.{verb}", asked(site, "less.yaml")), "stop.yaml")
    site.drain()
    assert members(site) == {"ann"}
    comes(site)
    assert members(site) == {"ann", "ghost"}


def test_what_somebody_waits_for_is_looked_at_although_nobody_claims_it(site: Site) -> None:
    site.second.only_asked = True
    comes(site)
    site.request(allocation(1, "ann"), "gone.yaml")
    known = site.second.rows.pop("second/member/gate/ghost")
    site.second.late = {"ghost"}
    site.request(allocation(1, "ann, ghost"), "again.yaml")
    site.drop(allocation(1, "ann"), "less.yaml")
    site.drain("second")
    site.drop(control("request.cancel", asked(site, "less.yaml")), "stop.yaml")
    site.drain()
    assert members(site) == {"ann"}
    site.second.rows["second/member/gate/ghost"] = known
    comes(site)
    assert members(site) == {"ann", "ghost"}


def asked(site: Site, name: str) -> str:
    """Return the id of an open request."""
    return next(record.id for record in site.open() if record.name == name)
