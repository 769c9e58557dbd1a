"""A release counts for one acceptance: what was taken back is looked at again."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from provisioner.config.schema import load
from provisioner.journal.records.request_rows import Record
from tests.support.crowds import people
from tests.support.engine_site import Site, allocation, control, release
from tests.support.manifest_site import entry, reconcile
from tests.support.policy_site import OPERATOR, POLICY, PORTAL, SECOND, now, send, why

MANIFESTS = POLICY.replace("actions: [user.*, ", "actions: [reconcile, user.*, ")
LATER = "not_before: 2126-01-01T00:00:00Z\n"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a site with a portal and two operators, whose first backend is away."""
    site = Site(tmp_path, MANIFESTS)
    site.first.away = True
    return site


def steer(site: Site, uid: int, verb: str, record: Record) -> Record:
    """Let a user steer a request; return the steering one."""
    return send(site, uid, control(f"request.{verb}", record.id), f"{verb}.yaml")


def held_by_the_operator(site: Site) -> Record:
    """Give a request of the portal that needs no review, and that an operator holds."""
    waiting = send(site, PORTAL, allocation(1, "ann", files=5, head="id: cf-1\n"))
    assert steer(site, OPERATOR, "hold", waiting).state == "done"
    return waiting


def released(site: Site, head: str = "") -> Record:
    """Give a request that policy held and an operator released, and that is not over."""
    held = send(site, PORTAL, allocation(1, "ann", files=50, head=head))
    assert send(site, OPERATOR, release(held), "release.yaml").state == "done"
    assert now(site, held).approved_by == "uid-4712"
    return held


@pytest.mark.parametrize("head", ["", LATER], ids=["begun", "scheduled"])
@pytest.mark.parametrize("uid", [OPERATOR, PORTAL])
def test_what_is_cancelled_after_its_release_is_held_again_when_it_is_retried(
    site: Site, uid: int, head: str
) -> None:
    held = released(site, head)
    assert steer(site, uid, "cancel", held).state == "done"
    assert now(site, held).approved_by is None
    site.back(site.first)
    assert steer(site, PORTAL, "retry", held).state == "done"
    again = now(site, held)
    assert (again.state, again.for_review, again.approved_by) == ("held", True, None)
    assert site.first.rows == {}


def test_a_released_crowd_that_is_cancelled_is_counted_again(tmp_path: Path) -> None:
    site = Site(tmp_path, POLICY)
    send(site, 0, allocation(1, people(15)), "all.yaml")
    site.first.away = True
    held = send(site, OPERATOR, allocation(1, "u0"), "few.yaml")
    send(site, SECOND, release(held), "release.yaml")
    steer(site, SECOND, "cancel", held)
    site.back(site.first)
    steer(site, OPERATOR, "retry", held)
    assert (now(site, held).state, len(site.first.rows)) == ("held", 16)


def test_what_an_operator_holds_after_its_release_is_not_set_going_by_its_writer(
    site: Site,
) -> None:
    held = released(site)
    steer(site, SECOND, "hold", held)
    assert now(site, held).approved_by is None
    assert steer(site, PORTAL, "cancel", held).state == "done"
    site.back(site.first)
    refused = steer(site, PORTAL, "retry", held)
    assert (refused.state, now(site, held).state) == ("refused", "cancelled")
    assert f"uid-4713 held {held.id} before it was cancelled" in why(refused)
    assert site.first.rows == {}
    assert steer(site, SECOND, "retry", held).state == "done"
    assert now(site, held).for_review


def test_what_an_operator_held_that_needs_no_review_is_let_go_by_another_alone(
    site: Site,
) -> None:
    waiting = send(site, PORTAL, allocation(1, "ann"))
    steer(site, OPERATOR, "hold", waiting)
    steer(site, PORTAL, "cancel", waiting)
    site.back(site.first)
    assert steer(site, PORTAL, "retry", waiting).state == "refused"
    assert steer(site, SECOND, "retry", waiting).state == "done"
    assert (now(site, waiting).state, now(site, waiting).held_by) == ("done", None)


def by_event(site: Site, files: int) -> Record:
    """Let the portal ask for the allocation under a new id; return that request."""
    text = allocation(1, "ann", files=files, head="id: cf-2\n")
    return send(site, PORTAL, text, "again.yaml")


def by_manifest(site: Site, files: int) -> Record:
    """Let the portal's manifest ask for the allocation; return the request that follows."""
    before = {record.id for record in site.open()}
    reconcile(site, {**entry(1, "ann", files=files), "id": "cf-2"})
    (again,) = [record for record in site.open() if record.id not in before]
    return again


@pytest.mark.parametrize("files", [5, 6], ids=["the same", "other content"])
@pytest.mark.parametrize("ask", [by_event, by_manifest])
def test_what_an_operator_held_and_its_writer_cancelled_is_held_again_under_a_new_id(
    site: Site, ask: Callable[[Site, int], Record], files: int
) -> None:
    waiting = held_by_the_operator(site)
    steer(site, PORTAL, "cancel", waiting)
    site.back(site.first)
    again = ask(site, files)
    assert (again.state, again.held_by, again.for_review) == ("held", "uid-4712", None)
    assert f"uid-4712 held {waiting.id} before it was cancelled" in why(again)
    assert site.first.rows == {}


@pytest.mark.parametrize("files", [5, 6], ids=["the same", "other content"])
def test_what_an_operator_holds_is_held_too_under_a_new_id_until_another_person_releases_it(
    site: Site, files: int
) -> None:
    waiting = held_by_the_operator(site)
    site.back(site.first)
    again = by_event(site, files)
    assert (again.state, again.held_by) == ("held", "uid-4712")
    assert f"uid-4712 holds {waiting.id}" in why(again)
    assert site.first.rows == {}
    assert send(site, PORTAL, release(again), "mine.yaml").state == "refused"
    send(site, SECOND, release(again), "release.yaml")
    assert (now(site, again).state, now(site, waiting).state) == ("done", "held")
    assert send(site, PORTAL, allocation(1, "ann", files=7), "next.yaml").state == "done"
    send(site, SECOND, release(now(site, waiting)), "first.yaml")
    assert now(site, waiting).state == "superseded"


def test_a_project_in_other_letters_is_the_one_that_an_operator_holds(tmp_path: Path) -> None:
    site = Site(tmp_path, MANIFESTS.replace("[reconcile, ", "[reconcile, project.*, "))
    head = "not_before: 2126-01-01T00:00:00Z\n"
    waiting = send(site, PORTAL, f"{head}{project('CF3')}", "waiting.yaml")
    assert steer(site, OPERATOR, "hold", waiting).state == "done"
    for letters, verb in (("cf3", "cancel"), ("Cf3", "")):
        again = send(site, PORTAL, project(letters), f"{letters}.yaml")
        assert (again.state, again.held_by) == ("held", "uid-4712")
        assert verb == "" or steer(site, PORTAL, verb, again).state == "done"
    found = reconcile(site, {"action": "project.provision", "project": {"code": "cF3"}})
    assert "1 with a held request" in str(found.problems)


def project(code: str) -> str:
    return f"provisioner: 1\naction: project.provision\nproject: {{code: {code}, users: []}}\n"


def test_a_suspension_goes_on_although_another_person_held_one_before(site: Site) -> None:
    site.back(site.first)
    send(site, PORTAL, allocation(1, "ann"), "first.yaml")
    head = "not_before: 2126-01-01T00:00:00Z\n"
    scheduled = send(site, PORTAL, head + allocation(1, verb="suspend"), "scheduled.yaml")
    assert steer(site, OPERATOR, "hold", scheduled).state == "done"
    assert send(site, PORTAL, allocation(1, verb="suspend"), "now.yaml").state == "done"
    assert site.limit("first/account/cf") == "0"


def test_what_its_writer_holds_themselves_is_replaced_by_a_newer_request(site: Site) -> None:
    waiting = send(site, PORTAL, allocation(1, "ann", files=5, head="id: cf-1\n"))
    steer(site, PORTAL, "hold", waiting)
    site.back(site.first)
    assert by_event(site, 6).state == "done"


def test_what_waits_for_its_time_is_held_when_it_comes_while_an_operator_holds_a_newer_one(
    site: Site,
) -> None:
    waiting = send(site, PORTAL, allocation(1, "ann, bob", head=LATER), "scheduled.yaml")
    held_by_the_operator(site)
    site.service.house.intake.readmit([waiting.id])
    assert (now(site, waiting).state, now(site, waiting).held_by) == ("held", "uid-4712")


@pytest.mark.parametrize("older", ["cancelled", "failed"])
@pytest.mark.parametrize("newer", ["held", "held and cancelled"])
def test_an_older_request_is_not_tried_again_by_who_asked_while_another_person_holds_a_newer_one(
    site: Site, older: str, newer: str
) -> None:
    first = send(site, PORTAL, allocation(1, "ann, bob"), "older.yaml")
    if older == "failed":
        site.first.poison = {"cf"}
        site.back(site.first)
        site.first.poison, site.first.away = set(), True
    else:
        steer(site, PORTAL, "cancel", first)
    assert now(site, first).state == older
    waiting = held_by_the_operator(site)
    if newer == "held and cancelled":
        steer(site, PORTAL, "cancel", waiting)
    site.back(site.first)
    refused = steer(site, PORTAL, "retry", first)
    assert (refused.state, now(site, first).state) == ("refused", older)
    assert f"uid-4712 held {waiting.id}, which asks for the same subject" in why(refused)
    assert "first/member/cf/bob" not in site.first.rows
    steer(site, SECOND, "retry", first)
    assert now(site, first).state == "done"


def test_what_its_writer_held_and_cancelled_themselves_goes_on_under_a_new_id(site: Site) -> None:
    waiting = send(site, PORTAL, allocation(1, "ann", files=5, head="id: cf-1\n"))
    steer(site, PORTAL, "hold", waiting)
    steer(site, PORTAL, "cancel", waiting)
    site.back(site.first)
    assert by_event(site, 6).state == "done"


def test_what_is_held_again_is_held_however_often_its_writer_cancels_it(site: Site) -> None:
    steer(site, PORTAL, "cancel", held_by_the_operator(site))
    site.back(site.first)
    for files in (6, 50, 7):  # 50 also waits for a review
        again = by_event(site, files)
        assert steer(site, PORTAL, "hold", again).state != "done"
        assert (now(site, again).state, now(site, again).held_by != "uid-4711") == ("held", True)
        steer(site, PORTAL, "cancel", again)
    assert site.first.rows == {}


def test_what_is_held_again_goes_on_when_another_person_releases_it_and_so_does_what_follows(
    site: Site,
) -> None:
    steer(site, PORTAL, "cancel", held_by_the_operator(site))
    site.back(site.first)
    again = by_event(site, 6)
    assert send(site, PORTAL, release(again), "mine.yaml").state == "refused"
    assert send(site, SECOND, release(again), "release.yaml").state == "done"
    assert now(site, again).state == "done"
    assert send(site, PORTAL, allocation(1, "ann", files=7), "next.yaml").state == "done"


@pytest.mark.parametrize(
    ("uid", "text"),
    [
        (PORTAL, allocation(2, "ann")),
        (PORTAL, allocation(1, verb="suspend")),
        (SECOND, allocation(1, "ann")),
    ],
    ids=["another subject", "another action", "another writer"],
)
def test_a_hold_by_another_person_stops_nothing_else(site: Site, uid: int, text: str) -> None:
    send(site, PORTAL, allocation(1, "ann"), "first.yaml")
    site.back(site.first)
    site.first.away = True
    waiting = send(site, PORTAL, allocation(1, "ann", files=6), "waiting.yaml")
    steer(site, OPERATOR, "hold", waiting)
    steer(site, PORTAL, "cancel", waiting)
    site.back(site.first)
    assert send(site, uid, text, "other.yaml").state == "done"


def test_who_held_and_cancelled_their_own_request_tries_it_again(site: Site) -> None:
    waiting = send(site, PORTAL, allocation(1, "ann"))
    steer(site, PORTAL, "hold", waiting)
    steer(site, PORTAL, "cancel", waiting)
    site.back(site.first)
    assert steer(site, PORTAL, "retry", waiting).state == "done"
    assert now(site, waiting).state == "done"


def test_what_is_held_while_it_is_scheduled_is_looked_at_again(site: Site) -> None:
    held = released(site, LATER)
    steer(site, SECOND, "hold", held)
    steer(site, SECOND, "release", held)
    assert now(site, held).for_review


def test_a_released_verb_that_failed_is_looked_at_again_when_it_is_retried(
    site: Site,
) -> None:
    held = send(site, PORTAL, control("lane.pause", "nowhere"))
    assert send(site, OPERATOR, release(held), "release.yaml").state == "done"
    assert now(site, held).state == "failed"
    steer(site, PORTAL, "retry", held)
    assert (now(site, held).state, now(site, held).approved_by) == ("held", None)


@pytest.mark.parametrize(
    ("old", "new"),
    [("[uid-4711]", "[uid-4799]"), ("users: [boss]", "users: [ann]")],
    ids=["the writer has no rule any more", "a name is protected by now"],
)
def test_what_an_operator_held_is_not_released_if_it_is_no_longer_allowed(
    site: Site, old: str, new: str
) -> None:
    waiting = send(site, PORTAL, allocation(1, "ann"), "waiting.yaml")
    assert steer(site, OPERATOR, "hold", waiting).state == "done"
    path = site.root / "provisioner.yaml"
    path.write_text(path.read_text().replace(old, new))
    site.config = load(path)
    site.start()
    site.back(site.first)
    asked = send(site, SECOND, release(now(site, waiting)), "release.yaml")
    assert asked.state == "failed"
    assert f"{waiting.id} is no longer allowed" in why(asked)
    assert now(site, waiting).state == "held"
    assert site.first.rows == {}


def test_what_an_operator_held_is_not_released_after_it_expired(site: Site) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    head = f"expires: {soon.isoformat()}\n"
    waiting = send(site, PORTAL, allocation(1, "ann", head=head), "waiting.yaml")
    assert steer(site, OPERATOR, "hold", waiting).state == "done"
    time.sleep(max(0.0, soon.timestamp() - time.time()))
    asked = send(site, SECOND, release(now(site, waiting)), "release.yaml")
    assert f"{waiting.id} is too late: expired at " in why(asked)
    assert now(site, waiting).state == "held"


@pytest.mark.parametrize("cancelled", [False, True])
def test_what_its_writer_had_sent_before_a_hold_does_not_end_it(
    site: Site, cancelled: bool
) -> None:
    waiting = send(site, PORTAL, allocation(1, "ann", files=5, head="id: cf-1\n"))
    planted = send(site, PORTAL, allocation(1, "ann", files=3, head=f"id: cf-2\n{LATER}"))
    assert planted.state == "scheduled"
    assert steer(site, OPERATOR, "hold", waiting).state == "done"
    if cancelled:
        assert steer(site, PORTAL, "cancel", planted).state == "done"
    again = send(site, PORTAL, allocation(1, "ann", files=5, head="id: cf-3\n"))
    assert again.state == "held"
