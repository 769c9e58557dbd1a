"""What claims had set and leave out goes back to what it was, and what others set stays."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest

from provisioner.contract import Change, Claim, Json, Key, Permanent, State, Want
from provisioner.convergence.converge import Outcome, converge, dry_run
from provisioner.objects.applied import Applied, forgotten, left, noted, settled, unclaimed
from provisioner.objects.items import Former, Item
from provisioner.objects.states import Adoption
from tests.support.shelf import Rows, Shelf, jar

# Pure.

JAM = {"label": {"set": ["jam"], "before": "tea"}}
BOTH = {"label": {"set": ["jam", "rum"], "before": "tea"}}


@pytest.mark.parametrize(
    ("applied", "sets", "now", "expected"),
    [
        ({}, {"label": "jam"}, {"label": "tea"}, JAM),
        ({}, {"label": "jam"}, {}, {"label": {"set": ["jam"], "before": None}}),
        ({}, {"label": "jam"}, {"label": "jam"}, {"label": {"set": ["jam"], "before": "jam"}}),
        (None, {"label": "jam"}, {"label": "jam"}, {"label": {"set": ["jam"], "before": None}}),
        (JAM, {"label": "jam"}, {"label": "jam"}, JAM),
        (JAM, {"label": "rum"}, {"label": "jam"}, BOTH),
        (JAM, {}, {"label": "jam"}, JAM),
    ],
    ids=["new", "not there", "as wanted", "ours of old", "the same", "another", "left out"],
)  # fmt: skip
def test_what_is_going_to_be_set_is_noted_with_what_it_was(
    applied: Applied | None, sets: Mapping[str, Json], now: Mapping[str, Json], expected: Applied
) -> None:
    assert noted(applied, sets, now, taken=False) == expected


@pytest.mark.parametrize(("now", "before"), [("jam", None), ("tea", "tea")])
def test_what_is_as_wanted_of_an_adopted_object_is_ours(now: str, before: str | None) -> None:
    found = noted({}, {"label": "jam"}, {"label": now}, taken=True)
    assert found == {"label": {"set": ["jam"], "before": before}}


def test_what_was_written_and_read_back_is_what_is_set() -> None:
    both: Applied = {
        "label": {"set": ["jam", "rum"], "before": "tea"},
        "lid": {"set": [1], "before": None},
    }
    assert settled(both, {"label": "rum"}, ()) == {"label": {"set": ["rum"], "before": "tea"}}


def test_what_is_wanted_no_more_is_left() -> None:
    assert left(JAM, {}, ()) == JAM
    assert left(JAM, {"label": "tea"}, ()) == {}
    assert left(None, {}, ()) == {}


def test_what_is_disputed_is_neither_left_nor_forgotten() -> None:
    assert left(JAM, {}, ["label"]) == {}
    assert settled(JAM, {}, ["label"]) == JAM


def test_of_what_is_taken_over_what_was_before_is_not_known() -> None:
    assert forgotten(JAM) == {"label": {"set": ["jam"], "before": None}}


LEFT = {"label": {"set": ["jam"], "before": "tea", "kept": "jam"}}


def test_what_was_before_stays_known_of_what_nobody_claims() -> None:
    assert unclaimed(JAM, {"label": "jam"}) == LEFT
    assert unclaimed(LEFT, {"label": "rye"}) == LEFT


@pytest.mark.parametrize(
    ("now", "expected"),
    [("jam", BOTH), ("rye", {"label": {"set": ["rum"], "before": "rye"}})],
    ids=["as it was left", "set by somebody meanwhile"],
)
def test_who_claims_it_again_finds_what_stood_there_before_anybody_asked(
    now: str, expected: Applied
) -> None:
    assert noted(LEFT, {"label": "rum"}, {"label": now}, taken=False) == expected


# In converging.


class Restoring(Shelf):
    """A shelf that takes labels off again."""

    def merge(self, key: Key, claims: Sequence[Claim], prior: State | None) -> Want:
        live = [str(c.want["label"]) for c in claims if not c.suspended and c.want["label"]]
        closed = bool(claims) and all(claim.suspended for claim in claims)
        return {"present": bool(claims), "label": max(live, default=None), "closed": closed}

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        gone: Any = want.get("left", {})
        for one in gone.values():
            if state["label"] in one["set"] and state["label"] != one["before"]:
                return [Change(key, "label", f"label {key} back", 1, str(one["before"]))]
        return super().plan(key, want, state)

    def sets(self, key: Key, want: Want) -> Mapping[str, Json]:
        return {"label": want["label"]} if want["label"] is not None else {}

    def holds(self, key: Key, state: State) -> Mapping[str, Json]:
        return {"label": state["label"]}


class Faulty(Restoring):
    """One that cannot say of one object what it does say of all others."""

    def sets(self, key: Key, want: Want) -> Mapping[str, Json]:
        if key == "a":
            raise ZeroDivisionError("division by zero")
        return super().sets(key, want)


def claimed(label: str | None, *, suspended: bool = False) -> tuple[Claim, ...]:
    return (Claim("user:jdoe", {"label": label}, suspended),)


class Book:
    """What the ledger keeps from one run to the next."""

    def __init__(self, shelf: Shelf, applied: Applied | None = None) -> None:
        self.shelf = shelf
        self.applied = applied
        self.saved: list[Former] = []

    def run(self, claims: tuple[Claim, ...], adoption: Adoption | None = None) -> Outcome:
        item = Item(
            "a", claims, {} if not claims else None, adoption=adoption, applied=self.applied
        )
        [outcome] = converge(self.shelf, [item], self._save)
        if outcome.applied is not None:
            self.applied = outcome.applied
        return outcome

    def _save(self, former: Former) -> None:
        self.saved.append(former)
        self.applied = former.applied.get("a", self.applied)


def test_what_is_left_out_is_as_it_was_before_it_was_set() -> None:
    book = Book(Restoring({"a": jar("tea")}), {})
    book.run(claimed("jam"))
    assert book.run(claimed(None)).changed == ("label a back",)
    assert (book.shelf.rows["a"], book.applied) == (jar("tea"), {})


def test_what_was_so_before_anybody_asked_for_it_stays_so() -> None:
    book = Book(Restoring({"a": jar("jam")}), {})
    book.run(claimed("jam"))
    assert book.run(claimed(None)).changed == ()
    assert book.shelf.rows["a"] == jar("jam")


def test_what_somebody_else_set_since_stays() -> None:
    book = Book(Restoring({"a": jar("tea")}), {})
    book.run(claimed("jam"))
    book.shelf.rows["a"]["label"] = "rum"
    assert book.run(claimed(None)).changed == ()
    assert (book.shelf.rows["a"], book.applied) == (jar("rum"), {})


def test_what_two_claims_set_goes_back_when_the_last_leaves_it_out() -> None:
    book = Book(Restoring({"a": jar("a")}), {})
    two = (*claimed("jam"), Claim("user:asmith", {"label": "rum"}))
    book.run(two)
    book.run(claimed("jam"))
    assert book.shelf.rows["a"] == jar("jam")
    book.run(claimed(None))
    assert book.shelf.rows["a"] == jar("a")


def test_what_is_suspended_keeps_what_is_set_until_it_is_open() -> None:
    book = Book(Restoring({"a": jar("tea")}), {})
    book.run(claimed("jam"))
    book.run(claimed(None, suspended=True))
    assert book.shelf.rows["a"]["label"] == "jam"
    book.run(claimed(None))
    assert book.shelf.rows["a"] == jar("tea")


def test_what_was_deleted_and_made_anew_has_nothing_to_go_back_to() -> None:
    book = Book(Restoring({"a": jar("tea")}), {})
    book.run(claimed("jam"))
    del book.shelf.rows["a"]
    book.run(claimed("jam"))
    assert book.applied == {"label": {"set": ["jam"], "before": None}}


@pytest.mark.parametrize("written", [False, True], ids=["before", "after"])
def test_a_kill_beside_the_write_loses_neither_what_is_ours_nor_what_was_there(
    written: bool,
) -> None:
    shelf = Restoring({"a": jar("tea")})
    book = Book(shelf, {})
    book.run(claimed("jam"))
    shelf.poison, shelf.writes_before_raising = {"a"}, written
    shelf.raises = lambda: Permanent("killed")
    shelf.lies = not written
    book.run(claimed("rum"))
    assert shelf.rows["a"]["label"] == ("rum" if written else "jam")
    shelf.poison, shelf.lies = set(), False
    book.run(claimed(None))
    assert (shelf.rows["a"], book.applied) == (jar("tea"), {})


class Killed(BaseException):
    """The service dies."""


@pytest.mark.parametrize("before", [None, jar("tea")], ids=["new", "there"])
def test_what_was_written_when_the_service_died_is_known_to_be_ours(before: Any) -> None:
    class Deadly(Restoring):
        def apply(self, changes: Sequence[Change]) -> None:
            super().apply(changes)
            raise Killed

    rows = {} if before is None else {"a": before}
    book = Book(Deadly(rows), {})
    for _ in range(2):  # a new jar is made first, and labelled then
        with suppress(Killed):
            book.run(claimed("jam"))
    book.shelf = Restoring(book.shelf.rows)
    assert book.shelf.rows["a"] == jar("jam")
    book.run(claimed(None))
    assert book.shelf.rows["a"]["label"] == ("tea" if before else "None")


def test_nothing_is_noted_where_nothing_new_is_set() -> None:
    book = Book(Restoring(), {})
    book.run(claimed("jam"))
    book.shelf.rows["a"]["label"] = "torn"
    book.saved.clear()
    book.run(claimed("jam"))
    assert book.saved == []


def test_what_nobody_claims_keeps_what_we_set_to_be_taken_from_the_next() -> None:
    class Staying(Restoring):
        def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
            return super().plan(key, want, state) if want["present"] else ()

    book = Book(Staying({"a": jar("tea")}), {})
    book.run(claimed("jam"))
    book.run(())
    assert book.applied == LEFT
    book.run(claimed(None))
    assert (book.shelf.rows["a"]["label"], book.applied) == ("tea", {})


def test_of_what_is_gone_nothing_is_ours() -> None:
    book = Book(Restoring({"a": jar("tea")}), {})
    book.run(claimed("jam"))
    book.run(())
    assert (book.shelf.rows, book.applied) == ({}, {})


def test_the_dry_run_says_what_would_be_given_back_and_notes_nothing() -> None:
    shelf = Restoring({"a": jar("jam")})
    item = Item("a", claimed(None), applied=JAM)
    [(_, changes, outcome)] = dry_run(shelf, [item])
    assert ([change.text for change in changes], outcome.applied) == (["label a back"], None)


def test_a_handler_that_gives_nothing_back_is_told_nothing() -> None:
    shelf = Shelf({"a": jar("jam")})
    [outcome] = converge(shelf, [Item("a", claimed("jam"), applied=JAM)], lambda _: None)
    assert (outcome.fault, outcome.applied) == (None, None)


@pytest.mark.parametrize("rows", [{}, {"a": jar("jam")}], ids=["to be written", "as wanted"])
def test_a_handler_that_cannot_say_what_it_sets_fails_the_object_and_not_its_lane(
    rows: Rows,
) -> None:
    items = [Item(key, claimed("jam"), applied={}) for key in ("a", "b")]
    one, other = converge(Faulty(dict(rows)), items, lambda former: None)
    assert isinstance(one.fault, Permanent)
    assert re.search(r"\bsets\b.* failed unexpectedly: ZeroDivisionError", one.fault.message)
    assert one.changed == ()
    assert (other.fault, other.changed) == (None, ("make b", "label b jam"))
