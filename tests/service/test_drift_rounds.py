"""Rounds by schedule: what counts as drift, when it is looked for, when a repair is asked for."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from provisioner.contract import Key
from provisioner.inspection import planning
from provisioner.inspection.rounds import ASKED_AGAIN, SOON
from provisioner.journal.figures import drift as figures
from provisioner.journal.figures.drift import Look, Seen
from provisioner.journal.journal import Connection
from provisioner.journal.records import keepsakes, request_rows
from provisioner.journal.records.keepsakes import Shelved
from provisioner.objects.states import RequestState
from provisioner.request.actions import MOST_OBJECTS
from tests.support.engine_site import Site, allocation, control, release, user
from tests.support.policy_site import OPERATOR, send

DAY = 86400.0
REPAIR = "drift: {repair: true, most_removed: 1}\n"
POLICY = """\
policy:
  rules:
  - {who: [uid-4712], actions: ["*"], others: true}
"""
OTHER = """\
allocation:
  id: 1
  resource: one
  project: {code: other}
  users: []
  quota: {files: 5}
"""
ACCOUNT, ANN, BOB = "first/account/cf", "first/member/cf/ann", "first/member/cf/bob"


def site(root: Path, more: str = REPAIR) -> Site:
    """Have cf with ann and bob, as wanted."""
    made = Site(root, more)
    made.request(allocation(1, "ann, bob"))
    return made


def walk(site: Site, now: float, *, serve: bool = True) -> dict[str, Look]:
    """Walk one round, and serve what it asked for; return the looks, by handler."""
    looks = {look.instance: look for look in site.service.house.reporter.rounds.walk(now)}
    if serve:
        site.take()
        site.drain()
    return looks


def seen(site: Site) -> Seen:
    with site.system.journal.reading() as conn:
        return figures.seen(conn)["first"]


def repairs(site: Site) -> list[request_rows.Record]:
    with site.system.journal.reading() as conn:
        found = request_rows.in_states(conn, tuple(RequestState))
    return [record for record in found if record.action == "reconcile"]


def test_each_handler_is_looked_at_when_its_minutes_are_over(tmp_path: Path) -> None:
    made = site(tmp_path, "drift: {every: {first: 20}}\n")
    now = time.time()
    assert set(walk(made, now)) == {"first", "second"}
    assert set(walk(made, now + 19 * 60)) == set()
    assert set(walk(made, now + 20 * 60)) == {"first"}
    assert set(walk(made, now + DAY)) == {"first", "second"}


def test_no_minutes_mean_never(tmp_path: Path) -> None:
    made = site(tmp_path, "drift: {every: {accounts: 0}}\n")
    assert walk(made, time.time()) == {}


def test_a_paused_lane_is_left_alone(tmp_path: Path) -> None:
    made = site(tmp_path)
    made.request(control("lane.pause", "first"))
    assert set(walk(made, time.time())) == {"second"}


def test_without_repair_drift_is_told_and_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = site(tmp_path, "")
    made.first.rows[ACCOUNT]["limit"] = "9"
    with caplog.at_level(logging.WARNING):
        assert walk(made, time.time())["first"].differing == (ACCOUNT,)
    assert f"drift: first: 1 differ: {ACCOUNT}" in caplog.text
    assert "repair: provisioner drift --repair" in caplog.text
    assert repairs(made) == []
    assert made.limit(ACCOUNT) == "9"


def test_what_still_differs_is_found_once(tmp_path: Path) -> None:
    made = site(tmp_path, "")
    made.first.rows[ACCOUNT]["limit"] = "9"
    now = time.time()
    for days in range(3):
        walk(made, now + days * DAY)
    assert (seen(made).found, seen(made).repaired) == (1, 0)
    made.first.rows[ACCOUNT]["limit"] = "5"
    walk(made, now + 3 * DAY)
    assert (seen(made).found, seen(made).repaired) == (1, 1)


def test_a_repair_is_looked_at_soon_and_counted(tmp_path: Path) -> None:
    made = site(tmp_path)
    made.first.rows[ACCOUNT]["limit"] = "9"
    now = time.time()
    walk(made, now)
    assert made.limit(ACCOUNT) == "5"
    [record] = repairs(made)
    assert record.state == RequestState.DONE
    assert record.writer_id is not None and record.writer_id.startswith("drift-")
    assert set(walk(made, now + SOON)) == {"first"}
    assert (seen(made).found, seen(made).repaired) == (1, 1)
    assert set(walk(made, now + 2 * SOON)) == set()


def test_what_is_due_or_was_given_up_is_no_drift(tmp_path: Path) -> None:
    made = site(tmp_path)
    made.drop(allocation(1, "ann, bob", files=7))
    assert walk(made, time.time(), serve=False)["first"].differing == ()
    made.first.poison = {"cf"}
    made.drain()
    assert made.limit(ACCOUNT) == "5"
    assert walk(made, time.time() + DAY)["first"].differing == ()
    assert repairs(made) == []


def test_a_repair_that_changes_nothing_is_asked_for_once_a_day(tmp_path: Path) -> None:
    made = site(tmp_path)
    now = time.time()
    for place in (0.0, SOON, ASKED_AGAIN - 1):
        made.first.rows[ACCOUNT]["limit"] = "9"  # another program sets it again each time
        walk(made, now + place)
    assert len(repairs(made)) == 1
    walk(made, now + ASKED_AGAIN + DAY)
    assert len(repairs(made)) == 2


def reopened(made: Site) -> None:
    """Suspend ann and bob; somebody opens what was closed, and changes the account, too."""
    for name in ("ann", "bob"):
        made.request(user(name, "suspend"), f"{name}.yaml")
    assert (made.limit(ANN), made.limit(BOB)) == ("0", "0")
    made.first.rows[ANN]["limit"] = made.first.rows[BOB]["limit"] = "5"
    made.first.rows[ACCOUNT]["limit"] = "9"


def test_it_is_asked_for_once_a_day_whatever_else_of_its_handler_is_repaired_meanwhile(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path, "drift: {repair: true, most_removed: 1, every: {first: 20}}\n")
    site.request(allocation(1, "ann"))
    site.request(allocation(2, "bob", code="cg"), "r2.yaml")
    now, hours = time.time(), []
    for hour in range(0, 60):
        site.first.rows["first/account/cf"]["limit"] = "9"  # somebody's script, each hour
        if hour % 6 == 0:
            site.first.rows["first/account/cg"]["limit"] = "9"
        walk(site, now + hour * 3600)
        if site.limit("first/account/cf") == "5":
            hours.append(hour)
        assert site.limit("first/account/cg") == "5" or hour % 6
    assert hours == [0, 24, 48]


def test_a_repair_that_takes_something_from_too_many_is_held_and_the_rest_is_done(
    tmp_path: Path,
) -> None:
    made = site(tmp_path)
    reopened(made)
    now = time.time()
    assert walk(made, now)["first"].closing == 2
    assert (made.limit(ACCOUNT), made.limit(ANN), made.limit(BOB)) == ("5", "5", "5")
    [held] = [record for record in repairs(made) if record.state == RequestState.HELD]
    assert held.for_review
    for later in (DAY, 3 * DAY):  # not again while it is held
        walk(made, now + later)
    assert len(repairs(made)) == 2


def test_what_one_request_has_no_room_to_close_is_closed_after_the_next_look(
    tmp_path: Path,
) -> None:
    many = "policy: {mass: {users: 1000, share: 100}}\n"
    made = Site(tmp_path, "drift: {repair: true, most_removed: 1000, every: {first: 20}}\n" + many)
    names = [f"u{number}" for number in range(MOST_OBJECTS + 1)]
    made.request(allocation(1, ", ".join(names)))
    made.request(allocation(1, verb="suspend"))
    for name in names:
        made.first.rows[f"first/member/cf/{name}"]["limit"] = "5"
    now = time.time()
    walk(made, now)
    limits = [made.limit(f"first/member/cf/{name}") for name in names]
    assert (limits.count("0"), limits.count("5")) == (MOST_OBJECTS, 1)
    walk(made, now + ASKED_AGAIN / 2)
    assert {made.limit(f"first/member/cf/{name}") for name in names} == {"0"}


def test_a_held_repair_that_somebody_releases_is_done(tmp_path: Path) -> None:
    made = site(tmp_path, REPAIR + POLICY)
    reopened(made)
    walk(made, time.time())
    [held] = [record for record in repairs(made) if record.state == RequestState.HELD]
    assert send(made, OPERATOR, release(held), "release.yaml").state == RequestState.DONE
    assert (made.limit(ANN), made.limit(BOB)) == ("0", "0")


def test_removals_within_the_limit_are_done(tmp_path: Path) -> None:
    made = site(tmp_path, REPAIR.replace("most_removed: 1", "most_removed: 2"))
    reopened(made)
    walk(made, time.time())
    assert (made.limit(ANN), made.limit(BOB)) == ("0", "0")


def test_the_limit_of_policy_holds_a_repair_as_any_request(tmp_path: Path) -> None:
    policy = "policy: {mass: {users: 1, share: 0}}\n"
    made = site(tmp_path, REPAIR.replace("most_removed: 1", "most_removed: 99") + policy)
    for name in ("ann", "bob"):
        made.request(user(name, "suspend"), f"{name}.yaml")
    made.first.rows[ANN]["limit"] = made.first.rows[BOB]["limit"] = "5"
    walk(made, time.time())
    [record] = repairs(made)
    assert record.state == RequestState.HELD


def test_a_shared_object_that_was_made_again_counts_even_if_its_people_are_unknown(
    tmp_path: Path,
) -> None:
    made = site(tmp_path, REPAIR.replace("most_removed: 1", "most_removed: 0"))
    made.request("provisioner: 1\naction: allocation.provision\n" + OTHER)
    assert made.limit(ACCOUNT) is None
    made.first.rows[ACCOUNT] = {"present": True, "limit": "5"}
    assert walk(made, time.time())["first"].closing == 1
    assert made.limit(ACCOUNT) == "5"
    [record] = repairs(made)
    assert record.state == RequestState.HELD


def test_a_backend_that_is_away_keeps_what_was_known(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = site(tmp_path, "")
    made.first.rows[ACCOUNT]["limit"] = "9"
    now = time.time()
    walk(made, now)
    made.first.away = True
    walk(made, now + DAY)
    assert seen(made).look.error == "the backend is away"
    assert seen(made).look.differing == (ACCOUNT,)
    assert "drift: first could not be asked: the backend is away" in caplog.text


def test_while_the_service_only_observes_nothing_is_asked_for(tmp_path: Path) -> None:
    made = Site(tmp_path, f"mode: observe\n{REPAIR}")
    made.first.rows[ACCOUNT] = {"present": True, "limit": "5"}
    made.request(allocation(1))
    made.first.rows[ACCOUNT]["limit"] = "9"
    assert walk(made, time.time())["first"].differing == (ACCOUNT,)
    assert repairs(made) == []


def test_a_reconcile_of_objects_looks_at_no_others(tmp_path: Path) -> None:
    made = site(tmp_path)
    made.first.rows[ACCOUNT]["limit"] = "9"
    del made.first.rows[ANN]
    made.request(f"provisioner: 1\naction: reconcile\nobjects: [{ACCOUNT}, no/such/object]\n")
    assert (made.limit(ACCOUNT), made.limit(ANN)) == ("5", None)
    result: dict[str, Any] = made.results("done")[-1]
    assert "not known, and left unchanged: no/such/object" in str(result)


def test_a_reconcile_of_unknown_objects_says_that_it_did_nothing(tmp_path: Path) -> None:
    made = site(tmp_path)
    made.request("provisioner: 1\naction: reconcile\nobjects: [no/such/object]\n")
    [record] = repairs(made)
    assert record.outcome == request_rows.UNMATCHED


def test_a_look_reads_the_ledger_some_objects_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = site(tmp_path)
    del made.first.rows[ANN]
    monkeypatch.setattr(planning, "TOGETHER", 2)
    read: list[int] = []
    shelved = keepsakes.shelved

    def noting(conn: Connection, keys: Collection[Key]) -> dict[Key, Shelved]:
        read.append(len(keys))
        return shelved(conn, keys)

    monkeypatch.setattr(keepsakes, "shelved", noting)
    assert walk(made, time.time() + DAY, serve=False)["first"].differing == (ANN,)
    assert read == [2, 1]
