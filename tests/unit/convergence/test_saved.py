"""What an object was is saved before it is closed, and never otherwise."""

from __future__ import annotations

import pytest

from provisioner.contract import (
    Conflict,
    Permanent,
)
from provisioner.convergence.converge import converge
from provisioner.objects.items import Former, Item
from tests.support.shelf import Rows, Saved, Shelf, faults, item, jar, run


def test_what_a_closed_object_was_is_saved_before_the_first_write() -> None:
    shelf = Shelf({"a": jar(), "b": jar("tea")})
    saved = Saved(shelf)
    converge(shelf, [item("a", suspended=True), item("b", "tea", suspended=True)], saved)
    assert saved == {"a": {"label": "jam"}, "b": {"label": "tea"}}
    assert saved.calls_before == [0]
    assert shelf.rows["a"] == jar(closed=True)


def test_what_an_object_was_that_nobody_claims_any_more_is_saved_too() -> None:
    shelf = Shelf({"a": jar()})
    saved = Saved(shelf)
    converge(shelf, [Item("a", ())], saved)
    assert (saved, saved.calls_before) == ({"a": {"label": "jam"}}, [0])


def test_nothing_is_saved_of_what_could_not_be_closed() -> None:
    shelf = Shelf({"a": jar()})
    shelf.no_plan["a"] = Conflict("somebody else's")
    assert faults(run(shelf, item("a", suspended=True))) == {"a": "Conflict"}


@pytest.mark.parametrize(
    ("one", "rows"),
    [
        (item("a"), {"a": jar("tea")}),
        (item("a", suspended=True), {}),
        (item("a", suspended=True), {"a": jar(closed=True)}),
        (Item("a", ()), {}),
        (Item("a", item("a", suspended=True).claims, {"label": "jam"}), {"a": jar(closed=True)}),
        (Item("a", (*item("a").claims, *item("a", suspended=True).claims)), {"a": jar()}),
    ],
    ids=["open", "absent", "closed already", "gone already", "saved before", "open to another"],
)
def test_nothing_is_saved_of_what_is_not_closed_now(one: Item, rows: Rows) -> None:
    assert run(Shelf(rows), one)["a"].fault is None


def test_what_was_saved_serves_the_same_run() -> None:
    shelf = Shelf({"a": jar("found")})
    [outcome] = converge(shelf, [item("a", suspended=True)], Saved(shelf))
    assert (outcome.item.prior, outcome.state) == ({"label": "found"}, jar("found", closed=True))


@pytest.mark.parametrize("error", [Permanent("no"), ZeroDivisionError("no")])
def test_an_object_that_cannot_be_saved_is_not_closed_and_the_others_are(error: Exception) -> None:
    shelf = Shelf({"a": jar(), "b": jar()})
    shelf.no_prior["a"] = error
    saved = Saved(shelf)
    outcomes = converge(shelf, [item("a", suspended=True), item("b", suspended=True)], saved)
    assert [type(outcome.fault) for outcome in outcomes] == [Permanent, type(None)]
    assert (shelf.rows["a"]["closed"], shelf.rows["b"]["closed"]) == (False, True)
    assert set(saved) == {"b"}


def test_what_could_not_be_saved_durably_is_not_closed() -> None:
    def disk_full(former: Former) -> None:
        raise OSError(28, "No space left on device")

    shelf = Shelf({"a": jar()})
    with pytest.raises(OSError, match="No space"):
        converge(shelf, [item("a", suspended=True)], disk_full)
    assert shelf.calls == []
