"""A manifest is followed a portion at a time, others are served, and what is between counts."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from provisioner.admission.acceptance import Acceptance
from provisioner.config.schema import load
from provisioner.journal.records import companion_rows, event_rows, request_rows
from provisioner.manifests import listing
from provisioner.system import users
from tests.support.engine_site import Site, control, release, user
from tests.support.manifest_site import ask, entry, members, newest, own, put, reconcile, told
from tests.support.portions_site import (
    POLICY,
    crowd,
    finish,
    let_go,
    line_by_line,
    restart,
    send,
    state,
    steps,
)

PORTAL, OTHER, OPERATOR = 4711, 4712, 4713


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return line_by_line(tmp_path, monkeypatch)


# Turns.


def test_others_are_served_between_two_portions(site: Site) -> None:
    send(site, *(entry(number, "ann") for number in range(1, 6)))
    steps(site, 3)
    assert newest(site, "reconcile.json").state == "accepted"
    put(site, "other.yaml", user("eve").encode(), OTHER)
    steps(site, 1)
    assert state(site, "other.yaml") == "accepted"
    assert newest(site, "reconcile.json").state == "accepted"
    assert finish(site).state == "done"
    assert len(members(site)) == 5


def test_nothing_is_written_before_everything_was_compared(site: Site) -> None:
    send(site, entry(1, "ann"), entry(2, "bob"), {"action": "user.suspend"})
    steps(site, 3)
    assert state(site, "all.jsonl-1.json") is None
    assert finish(site).state == "refused"
    assert members(site) == set()


def test_two_manifests_are_followed_one_after_the_other(site: Site) -> None:
    send(site, entry(1, "ann"), entry(2, "bob"))
    steps(site, 1)
    send(site, entry(1, "ann"), entry(2, "eve"))
    finish(site)
    assert members(site) == {"cf1/ann", "cf2/eve"}


def test_writers_take_turns_a_portion_each(site: Site) -> None:
    send(site, *(entry(number, "ann") for number in range(1, 9)))
    steps(site, 2)
    send(site, entry(20, "eve"), uid=OTHER)
    steps(site, 10)
    with site.system.journal.reading() as conn:
        found = request_rows.in_states(conn, ["accepted", "deferred", "done"])
    states = {one.uid: one.state for one in found if one.action == "reconcile"}
    assert states == {PORTAL: "accepted", OTHER: "done"}
    assert finish(site).state == "done"
    assert len(members(site)) == 9


def test_a_manifest_for_which_there_is_no_memory_waits(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioner.manifests.portions.AT_ONCE", 0)
    send(site, *(entry(number, "ann") for number in range(1, 9)))
    steps(site, 2)
    send(site, entry(20, "eve"), uid=OTHER)
    steps(site, 10)
    assert newest(site, "reconcile.json").state == "accepted"
    assert finish(site).state == "done"
    assert len(members(site)) == 9


@pytest.mark.parametrize("portions", range(1, 14, 3))
def test_a_crash_while_two_writers_take_turns_loses_neither(site: Site, portions: int) -> None:
    send(site, *(entry(number, "ann") for number in range(1, 5)))
    steps(site, 1)
    send(site, entry(20, "eve"), entry(21, "eve"), uid=OTHER)
    steps(site, portions)
    restart(site)
    finish(site)
    assert len(members(site)) == 6
    with site.system.journal.reading() as conn:
        assert companion_rows.with_companion(conn) == {}


@pytest.mark.parametrize(
    ("portions", "state", "said"),
    [(3, "refused", "nothing was done"), (8, "failed", "what has followed from it stays")],
)
def test_who_may_not_ask_for_it_any_more_is_told_so_and_nothing_more_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, portions: int, state: str, said: str
) -> None:
    monkeypatch.setattr(listing, "MOMENT", 0.0)
    site = Site(tmp_path, "policy: {rules: [{who: ['@portals'], actions: ['*']}]}\n")

    def are(*groups: str) -> None:
        who = users.Submitter(PORTAL, f"uid-{PORTAL}", frozenset(groups))
        monkeypatch.setitem(users._submitters, PORTAL, (math.inf, who))

    are("portals")
    send(site, *(entry(number, "ann") for number in range(1, 6)))
    steps(site, portions)
    before = lines_followed(site)
    are()
    found = finish(site)
    assert (found.state, lines_followed(site)) == (state, before)
    assert f"may not ask for anything here; {said}" in told(found)
    with site.system.journal.reading() as conn:
        assert not companion_rows.has_companion(conn, found.id)
        events = event_rows.events_of(conn, found.id)
    assert [text.endswith(said) for _, kind, text in events if kind == "alarm"] == [True]


def test_whom_an_adoption_names_may_be_gone_when_its_turn_comes(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(site, entry(1, "ann"), action="adopt", writer=f"uid-{OTHER}", uid=0)
    with monkeypatch.context() as patch:
        patch.setattr(site.service.house.portions, "step", lambda: False)
        site.service.take()
    monkeypatch.setattr("provisioner.admission.enclosures.uid_of", lambda name: None)
    assert finish(site).state == "refused"
    assert "there is no user 'uid-4712'" in told(newest(site, "reconcile.json"))


def lines_followed(site: Site) -> list[int]:
    """List the lines of a manifest of which something followed."""
    return [number for number in range(1, 6) if state(site, f"all.jsonl-{number}.json")]


# What policy refuses.


@pytest.fixture
def narrow(tmp_path: Path) -> Site:
    """Give a site whose portal may send manifests, and ask for quotas of five files."""
    rule = "{who: [uid-4711], actions: [reconcile, allocation.*], files: 5}"
    return Site(tmp_path, f"policy: {{rules: [{rule}]}}\n")


def test_of_a_line_that_policy_refuses_nothing_more_is_looked_at(narrow: Site) -> None:
    send(narrow, entry(1, "ann", code="no-account-", files=6), entry(2, "bob"))
    assert finish(narrow).state == "done"
    assert state(narrow, "all.jsonl-1.json") == "refused"
    assert "no account" not in told(newest(narrow, "all.jsonl-1.json"))
    assert members(narrow) == {"cf2/bob"}


def test_what_is_as_listed_is_not_asked_for_though_policy_would_refuse_it(narrow: Site) -> None:
    reconcile(narrow, entry(1, "ann", files=5))
    path = narrow.root / "provisioner.yaml"
    path.write_text(path.read_text().replace("files: 5}", "files: 4}"))
    narrow.config = load(path)
    restart(narrow)
    again = reconcile(narrow, entry(1, "ann", files=5))
    assert "0 requested" in told(again)


# Of one moment.


def test_what_was_claimed_since_it_was_compared_is_left_alone(site: Site) -> None:
    reconcile(site, entry(1, "ann"), entry(2, "bob"), entry(3, "cyd"))
    send(site, entry(1, "eve"), own(1, entry(2, "eve")))
    steps(site, 3)
    for number in (1, 2, 3):
        put(site, f"{number}.json", json.dumps({"provisioner": 1, **entry(number, "new")}).encode())
    found = finish(site)
    assert "0 requested, 0 suspended" in told(found)
    assert "left alone: 3 claimed later" in told(found)
    assert members(site) == {"cf1/new", "cf2/new", "cf3/new"}
    assert state(site, "all.jsonl-2.json") == "refused"


def test_what_came_after_the_request_is_left_alone_when_it_is_released_later(site: Site) -> None:
    reconcile(site, *(entry(number, f"u{number}") for number in range(1, 10)))
    held = reconcile(site, entry(1, "u1"))
    assert held.state == "held"
    ask(site, entry(9, "new"))
    put(site, "release.yaml", release(held).encode(), OPERATOR)
    found = finish(site)
    assert (found.state, members(site)) == ("done", {"cf1/u1", "cf9/new"})


def test_a_newer_manifest_s_suspension_is_not_lifted_by_an_older_one(site: Site) -> None:
    reconcile(site, *(entry(number, f"u{number}") for number in range(1, 10)))
    older = reconcile(site, entry(1, "u1"), entry(2, "u2"))
    assert older.state == "held"
    reconcile(site, *(entry(number, f"u{number}") for number in (1, 3, 4, 5, 6, 7, 8, 9)))
    assert "cf2/u2" not in members(site)
    with site.system.journal.reading() as conn:
        assert request_rows.states_of(conn, [older.id]) == {older.id: "superseded"}
    put(site, "release.yaml", release(older).encode(), OPERATOR)
    finish(site)
    assert "cf2/u2" not in members(site)


# Ends.


@pytest.mark.parametrize("portions", range(1, 12))
def test_a_crash_between_two_portions_ends_as_if_there_had_been_none(
    site: Site, portions: int
) -> None:
    reconcile(site, entry(1, "ann"), entry(2, "bob"), entry(3, "cyd"))
    send(site, entry(1, "eve"), own(2, entry(2, "bob")), own(4, entry(4, "dan")))
    steps(site, portions)
    restart(site)
    assert finish(site).state == "done"
    assert members(site) == {"cf1/eve", "cf2/bob", "cf4/dan"}
    one = newest(site, "reconcile.json")
    with site.system.journal.reading() as conn:
        assert not companion_rows.has_companion(conn, one.id)


@pytest.mark.parametrize(("verb", "ends"), [("hold", "held"), ("cancel", "cancelled")])
def test_who_stops_it_stops_it_at_the_next_portion(site: Site, verb: str, ends: str) -> None:
    send(site, *(entry(number, "ann") for number in range(1, 6)))
    steps(site, 6)
    one = newest(site, "reconcile.json")
    put(site, "stop.yaml", control(f"request.{verb}", one.id).encode(), OPERATOR)
    assert finish(site).state == ends
    assert 0 < len(members(site)) < 5


def test_a_manifest_that_is_held_takes_the_place_of_the_one_before(site: Site) -> None:
    first = crowd(site)
    second = crowd(site)
    assert first.id != second.id
    with site.system.journal.reading() as conn:
        assert request_rows.states_of(conn, [first.id])[first.id] == "superseded"
        assert companion_rows.with_companion(conn) == {}
        assert companion_rows.has_companion(conn, second.id)
    let_go(site, second)
    assert newest(site, "reconcile.json").state == "done"


def test_a_manifest_of_other_subjects_leaves_the_one_that_is_held(site: Site) -> None:
    held = crowd(site)
    send(site, {"action": "user.provision", "user": {"name": "eve"}})
    assert finish(site).state == "done"
    with site.system.journal.reading() as conn:
        assert request_rows.states_of(conn, [held.id])[held.id] == "held"


def test_a_manifest_that_looks_again_is_replaced_by_the_next(site: Site) -> None:
    reconcile(site, entry(1, "ann"))
    site.first.away = True
    for _ in range(2):
        reconcile(site, entry(1, "ann"))
    states = [record.state for record in site.open() if record.action == "reconcile"]
    assert states == ["deferred"]
    site.back(site.first)
    assert not site.open()


def test_what_was_held_halfway_goes_on_when_it_is_released(site: Site) -> None:
    send(site, *(entry(number, "ann") for number in range(1, 6)))
    steps(site, 6)
    one = newest(site, "reconcile.json")
    for verb in ("hold", "release"):
        put(site, "r.yaml", control(f"request.{verb}", one.id).encode(), OPERATOR)
        finish(site)
    assert finish(site).state == "done"
    assert len(members(site)) == 5


def test_a_manifest_that_fails_unexpectedly_is_told_so_and_keeps_nobody_waiting(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise RuntimeError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(Acceptance, "_claim", breaks)
        send(site, entry(1, "ann"))
        found = finish(site)
    assert found.state == "failed"
    assert "failed unexpectedly: RuntimeError('broken')" in told(found)
    assert reconcile(site, entry(2, "bob")).state == "done"


# The budget.


@pytest.mark.parametrize(
    ("budget", "why"),
    [
        ("size: 100", "all.jsonl has 444 B; the limit for a manifest is 100 B"),
        ("lines: 2", "the manifest has 4 lines; the limit is 2"),
        ("seconds: 0.000001", "and the limit is 1e-06 s"),
        ("kept: 100", "uid-4711 would have 444 B of unfinished manifests; the limit is 100 B"),
    ],
)
def test_what_costs_too_much_is_refused_with_the_numbers(
    tmp_path: Path, budget: str, why: str
) -> None:
    site = Site(tmp_path, f"{POLICY}manifests: {{{budget}}}\n")
    found = reconcile(site, *(entry(number, "ann") for number in range(1, 4)))
    assert found.state == "refused"
    assert why in told(found)
    [result] = site.results("failed")
    assert f"`manifests.{budget.partition(':')[0]}`" in str(result["problems"])
    assert members(site) == set()
