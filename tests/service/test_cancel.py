"""What a cancelled request leaves: what others wanted before, and nothing that waits for ever."""

from __future__ import annotations

import time
from collections.abc import Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from provisioner.journal.schema import steps
from tests.support.engine_site import Site, allocation, control, membership, user
from tests.support.manifest_site import put
from tests.support.steering import RECONCILE, claims, waits


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a running site with two empty backends."""
    return Site(tmp_path)


def cancel(site: Site, name: str = "waiting.yaml") -> None:
    """Cancel a request, and let the backend answer again."""
    (who,) = [record.id for record in site.open() if record.name == name]
    site.drop(control("request.cancel", who), "cancel.yaml")
    site.first.missing = set()
    site.back(site.first)


def test_who_waits_for_what_a_cancelled_request_claimed_goes_on(site: Site) -> None:
    site.first.missing = {"cf"}
    site.drop(allocation(1), "waiting.yaml")
    site.service.lanes["first"].drain()
    site.drop(allocation(1, verb="suspend"), "suspend.yaml")
    cancel(site)
    assert site.open() == []
    assert site.first.rows == {}


def test_a_cancelled_change_leaves_what_was_wanted_before(site: Site) -> None:
    site.request(allocation(1, "ann", files=5))
    waits(site, allocation(1, "ann, bob", files=9))
    cancel(site)
    site.request(RECONCILE)
    assert site.limit("first/account/cf") == "5"
    assert claims(site) == {
        "allocation:1 first/account/cf": "5",
        "allocation:1/user:ann first/member/cf/ann": None,
    }


def test_what_a_cancelled_change_did_already_is_undone(site: Site) -> None:
    site.request(allocation(1, files=5))
    site.first.rows["first/account/cf"]["limit"] = "9"
    waits(site, allocation(1, files=9))
    cancel(site)
    assert site.limit("first/account/cf") == "5"


def test_a_request_that_waits_wants_again_what_a_cancelled_one_replaced(site: Site) -> None:
    waits(site, allocation(1, files=5), "older.yaml")
    waits(site, allocation(1, files=9))
    cancel(site)
    assert site.open() == []
    assert site.limit("first/account/cf") == "5"


def test_what_was_given_back_before_is_not_claimed_again(site: Site) -> None:
    site.request(allocation(1, "ann, bob"))
    site.request(membership(1, "bob", "remove"))
    waits(site, membership(1, "bob", "add"))
    cancel(site)
    site.request(RECONCILE)
    assert sorted(site.first.rows) == ["first/account/cf", "first/member/cf/ann"]


def test_what_another_claims_too_is_no_longer_claimed_by_a_cancelled_request(site: Site) -> None:
    site.request(allocation(1, files=5))
    waits(site, allocation(2, files=9))
    cancel(site)
    assert claims(site) == {"allocation:1 first/account/cf": "5"}


@pytest.mark.parametrize("verb", ["cancel", "hold"])
@pytest.mark.parametrize("moment", ["paused", "away", "not ready"])
def test_what_was_there_before_the_service_stays_if_nothing_was_done_with_it(
    site: Site, verb: str, moment: str
) -> None:
    site.first.rows = {
        "first/account/cf": {"present": True, "limit": "5"},
        "first/member/cf/ann": {"present": True, "limit": None},
    }
    before = deepcopy(site.first.rows)
    site.first.away = moment == "away"
    site.first.missing = {"cf"} if moment == "not ready" else set()
    if moment != "paused":
        site.request(allocation(1, "ann", files=9), "waiting.yaml")
    else:
        site.drop(allocation(1, "ann", files=9), "waiting.yaml")
    (who,) = [record.id for record in site.open() if record.name == "waiting.yaml"]
    site.drop(control(f"request.{verb}", who), "steer.yaml")
    site.first.missing = set()
    site.back(site.first)
    site.request(RECONCILE)
    assert site.first.rows == before
    assert site.first.calls == []


def test_what_somebody_had_by_a_forgotten_request_stays_theirs(site: Site) -> None:
    site.request(allocation(1, files=5))
    with site.system.journal.transaction() as conn:
        conn.exec_driver_sql("DELETE FROM step_objects")
    waits(site, allocation(1, files=9))
    cancel(site)
    site.request(RECONCILE)
    assert "first/account/cf" in site.first.rows


def test_it_stays_theirs_however_many_requests_are_cancelled_after_it(site: Site) -> None:
    site.request(allocation(1, files=5))
    with site.system.journal.transaction() as conn:
        conn.exec_driver_sql("DELETE FROM step_objects")
    for files in (9, 10):
        waits(site, allocation(1, files=files))
        cancel(site)
    site.request(RECONCILE)
    assert "first/account/cf" in site.first.rows


def test_a_cancelled_suspension_is_lifted(site: Site) -> None:
    site.request(allocation(1, "ann"))
    waits(site, allocation(1, verb="suspend"))
    cancel(site)
    site.request(RECONCILE)
    assert site.limit("first/account/cf") == "5"


def test_a_suspension_that_was_there_before_a_cancelled_one_stays(site: Site) -> None:
    site.request(allocation(1, "ann"))
    site.request(allocation(1, verb="suspend"))
    waits(site, allocation(1, verb="suspend"))
    cancel(site)
    assert site.limit("first/account/cf") == "0"


@pytest.mark.parametrize("verb", ["cancel", "hold"])
def test_whom_a_request_before_left_out_while_a_backend_was_away_does_not_stay_in(
    site: Site, verb: str
) -> None:
    site.request(allocation(1, "bob"), "first.yaml")
    site.first.away = True
    site.drop(allocation(1, files=6), "empty.yaml")
    site.drop(allocation(1, "ann, bob"), "again.yaml")
    site.drain()
    again = site.open()[-1].id
    site.drop(control(f"request.{verb}", again), "stop.yaml")
    site.back(site.first)
    assert "first/member/cf/bob" not in site.first.rows
    if verb == "hold":
        site.request(control("request.release", again), "release.yaml")
        assert "first/member/cf/bob" in site.first.rows


@pytest.mark.parametrize("verb", ["cancel", "hold"])
@pytest.mark.parametrize("stopped", [0, 1], ids=["the first", "the second"])
def test_a_suspension_that_another_request_asks_for_too_stays(
    site: Site, stopped: int, verb: str
) -> None:
    site.request(user("ann", uid=7), "p.yaml")
    site.request(control("lane.pause", "first"), "pause.yaml")
    for name in ("s0.yaml", "s1.yaml"):
        site.request(user("ann", "suspend", cause="incident"), name)
    site.request(control(f"request.{verb}", site.open()[stopped].id), "stop.yaml")
    site.request(control("lane.unpause", "first"), "unpause.yaml")
    assert site.limit("first/account/ann") == "0"
    assert site.limit("second/account/ann", "second") == "0"


def test_a_suspension_that_was_lifted_and_made_again_goes_with_its_own_request(site: Site) -> None:
    site.request(user("ann", uid=7), "p.yaml")
    for verb in ("suspend", "resume"):
        site.request(user("ann", verb, cause="incident"), f"{verb}.yaml")
    site.request(control("lane.pause", "first"), "pause.yaml")
    site.request(user("ann", "suspend", cause="incident"), "again.yaml")
    site.request(control("request.cancel", site.open()[0].id), "stop.yaml")
    site.request(control("lane.unpause", "first"), "unpause.yaml")
    assert site.limit("first/account/ann") == "7"


def test_what_a_cancelled_request_took_away_goes_and_the_canceller_is_told(site: Site) -> None:
    site.request(allocation(1, "ann, bob"))
    waits(site, membership(1, "bob", "remove"))
    cancel(site)
    assert "first/member/cf/bob" not in site.first.rows
    told = site.results("done")[-1]
    assert told["action"] == "request.cancel"
    assert "counted from its acceptance" in told["problems"][0]["message"]


def test_whom_a_cancelled_change_left_out_keeps_what_was_not_taken_away_yet(site: Site) -> None:
    site.request(allocation(1, "ann, bob"))
    before = claims(site)
    waits(site, allocation(1, "ann"))
    cancel(site)
    site.request(RECONCILE)
    assert claims(site) == before
    assert "first/member/cf/bob" in site.first.rows


@pytest.mark.parametrize("verb", ["cancel", "hold"])
def test_whom_nothing_was_made_for_yet_is_left_out_by_no_request_that_is_stopped(
    site: Site, verb: str
) -> None:
    site.first.missing = {"cf"}  # the account is not ready, so that its members wait for it
    site.request(allocation(1, "ann, bob"), "first.yaml")
    site.request(allocation(1, files=6), "empty.yaml")
    site.request(control(f"request.{verb}", site.open()[-1].id), "stop.yaml")
    site.first.missing = set()
    site.drain()
    assert {"first/member/cf/ann", "first/member/cf/bob"} <= site.first.rows.keys()


# In every order: what happens between a request and its cancellation changes nothing.

MEANWHILE: dict[str, Sequence[str]] = {
    "nothing": [],
    "a reconcile": [RECONCILE],
    "two reconciles": [RECONCILE, RECONCILE],
    "a suspension and its end": [allocation(1, verb="suspend"), allocation(1, verb="resume")],
    "a user's suspension and its end": [user("bob", "suspend"), user("bob", "resume")],
    "another retry": ["retry"],
    "a hold": ["hold"],
    "a hold and a reconcile": ["hold", RECONCILE],
    "a hold and a release": ["hold", "release"],
    "a hold, a reconcile and a release": ["hold", RECONCILE, "release", RECONCILE],
    "another's claim": [allocation(2, files=3)],
    "a restart": ["restart"],
}


def meanwhile(site: Site, events: Sequence[str]) -> None:
    """Let things happen to the request that waits."""
    for event in events:
        if event == "restart":
            site.start()
        elif event in ("retry", "hold", "release"):
            (who,) = [record.id for record in site.open() if record.name == "waiting.yaml"]
            site.drop(control(f"request.{event}", who), f"{event}.yaml")
        else:
            site.drop(event, "meanwhile.yaml")
        for lane in site.service.lanes.values():
            lane._breakers.until.clear()
            lane.drain()
        site.service.clerk.catch_up()


@pytest.mark.parametrize("events", MEANWHILE.values(), ids=MEANWHILE)
def test_who_waits_is_wanted_as_before_a_cancelled_request(
    site: Site, events: Sequence[str]
) -> None:
    # The members' steps wait for the account's, so that their claims count for nobody yet.
    site.first.missing = {"cf"}
    site.drop(allocation(1, "bob", files=5), "first.yaml")
    site.service.lanes["first"].drain()
    site.drop(allocation(1, "bob, cem", files=9), "waiting.yaml")
    site.service.lanes["first"].drain()
    meanwhile(site, events)
    cancel(site)
    site.drain()
    assert site.open() == []
    assert site.limit("first/account/cf") == "5"
    assert set(site.first.rows) == {"first/account/cf", "first/member/cf/bob"}
    assert {k: v for k, v in claims(site).items() if k.startswith("allocation:1")} == {
        "allocation:1 first/account/cf": "5",
        "allocation:1/user:bob first/member/cf/bob": None,
    }


@pytest.mark.parametrize("events", MEANWHILE.values(), ids=MEANWHILE)
def test_what_was_there_before_a_cancelled_request_is_there_after_it(
    site: Site, events: Sequence[str]
) -> None:
    site.request(allocation(1, "ann, bob", files=5))
    before = claims(site)
    waits(site, allocation(1, "ann, cem", files=9))
    meanwhile(site, events)
    cancel(site)
    site.request(RECONCILE)
    assert {k: v for k, v in claims(site).items() if k.startswith("allocation:1")} == before
    assert site.limit("first/account/cf") == "5"
    members = {"first/member/cf/ann", "first/member/cf/bob"}
    assert set(site.first.rows) == {"first/account/cf", *members}


def test_what_a_request_made_stays_also_where_it_was_looked_at_since(site: Site) -> None:
    site.first.missing = {"bob"}
    site.drop(allocation(1, "ann, bob", files=9), "waiting.yaml")
    meanwhile(site, [RECONCILE, RECONCILE, "hold", "release"])
    cancel(site)
    site.request(RECONCILE)
    assert site.limit("first/account/cf") == "9"
    assert set(site.first.rows) == {"first/account/cf", "first/member/cf/ann"}


def test_of_requests_in_any_order_of_acceptance_the_former_one_is_wanted_again(site: Site) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=4)).isoformat()
    site.drop(allocation(1, files=9, head=f"not_before: {soon}\n"), "waiting.yaml")
    site.request(allocation(1, files=5))
    site.first.away = True
    while site.open()[0].state == "scheduled":
        site.service.take()
    cancel(site)
    assert site.limit("first/account/cf") == "5"


def test_what_is_cancelled_in_the_moment_when_its_time_comes_stays_cancelled(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = "not_before: 2126-01-01T00:00:00Z\n"
    site.drop(control("request.cancel", "late") + head, "cancel.yaml")
    site.drop(allocation(1, "ann", head=f"id: late\n{head}"), "late.yaml")
    monkeypatch.setattr("provisioner.admission.intake.time.time", lambda: 4.95e9)  # in 2126
    due = site.service.house.intake.due_later()
    assert len(due) == 2
    site.service.house.intake.readmit(due)
    monkeypatch.undo()
    site.drain()
    assert [len(claims(site)), site.first.rows] == [0, {}]


def test_a_cancellation_that_is_there_when_the_time_comes_goes_first(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioner.admission.intake.LATER", 0.0)
    soon = datetime.now(UTC) + timedelta(seconds=0.3)
    site.drop(allocation(1, "ann", head=f"id: late\nnot_before: {soon.isoformat()}\n"), "late.yaml")
    time.sleep(max(0.0, (soon - datetime.now(UTC)).total_seconds()) + 0.01)
    site.request(control("request.cancel", "late"), "cancel.yaml")
    with site.system.journal.reading() as conn:
        assert conn.scalars(select(steps.c.name)).all() == []


# What is another's.


def test_what_was_anothers_from_the_start_is_left_alone_by_every_later_look(site: Site) -> None:
    site.first.rows["first/member/cf/ann"] = {"present": True, "limit": "77"}
    site.first.foreign = {"ann"}
    site.request(allocation(1, "ann"), "first.yaml")
    site.request(allocation(1))
    site.request(RECONCILE)
    assert site.limit("first/member/cf/ann") == "77"
    (first,) = [path.name[:26] for path in site.spool.root.glob("*/*-first.yaml")]
    site.request(control("request.retry", first), "retry.yaml")
    assert site.open() == []
    assert site.limit("first/member/cf/ann") == "77"


REVIEWED = """\
policy:
  rules:
  - {who: [root], actions: ["*"]}
  - {who: [uid-4711], actions: [allocation.*], review: true, others: true}
"""


def test_what_policy_held_before_it_began_can_be_cancelled(tmp_path: Path) -> None:
    site = Site(tmp_path, REVIEWED)
    site.first.poison = {"bob"}
    site.request(allocation(1, "ann, bob"), "failed.yaml")
    site.request(allocation(1, "ann"))
    put(site, "waiting.yaml", allocation(1, "ann, eve").encode(), 4711)
    site.take()
    cancel(site)
    assert site.open() == []
    assert "cancel.yaml" in site.states()["done"]
    assert set(site.first.rows) == {"first/account/cf", "first/member/cf/ann"}
