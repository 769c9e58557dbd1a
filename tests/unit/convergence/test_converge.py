"""Convergence: what was read back decides; one bad object never fails the others."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence

import pytest

from provisioner.contract import (
    Change,
    Conflict,
    Fault,
    Key,
    NotReady,
    Permanent,
    State,
    Transient,
    Unavailable,
    Unknown,
)
from provisioner.convergence.calls import questions
from provisioner.convergence.converge import ROUNDS, converge, dry_run
from provisioner.objects.items import Item
from tests.support.shelf import Saved, Shelf, faults, item, jar, run

# The path.


def test_an_object_is_observed_written_and_read_back() -> None:
    shelf = Shelf()
    outcome = run(shelf, item("a"))["a"]
    assert (outcome.fault, outcome.state) == (None, jar())
    assert outcome.changed == ("make a", "label a jam")
    assert len(shelf.reads) == 2


def test_a_second_run_changes_nothing() -> None:
    shelf = Shelf()
    run(shelf, item("a"), item("b", "tea"))
    shelf.calls.clear()
    outcomes = run(shelf, item("a"), item("b", "tea"))
    assert shelf.calls == []
    assert [outcome.changed for outcome in outcomes.values()] == [(), ()]


def test_what_is_as_wanted_is_read_once_and_not_again_with_the_rest() -> None:
    shelf = Shelf({"a": jar()})
    run(shelf, item("a"), item("b"))
    assert shelf.reads == [["a", "b"], ["b"]]


def test_an_object_without_claims_goes() -> None:
    shelf = Shelf({"a": jar()})
    [outcome] = converge(shelf, [Item("a", ())], Saved(shelf))
    assert outcome.changed == ("remove a",)
    assert shelf.rows == {}


def test_outcomes_come_in_the_order_of_the_items() -> None:
    assert list(run(Shelf(), item("c"), item("a"), item("b"))) == ["c", "a", "b"]


def test_nothing_due_asks_nothing() -> None:
    shelf = Shelf()
    assert run(shelf) == {}
    assert shelf.reads == []


# Order and grouping.


def test_phases_come_in_order_and_each_group_in_one_call() -> None:
    shelf = Shelf({"old": jar(), "open": jar(closed=True)})
    items = [Item("old", ()), item("a"), item("open"), item("b", "tea"), item("c")]
    converge(shelf, items, Saved(shelf))
    assert shelf.calls == [
        ("make", ["a", "b", "c"]),
        ("label", ["a", "c"]),
        ("label", ["b"]),
        ("lid", ["open"]),
        ("remove", ["old"]),
    ]


def test_a_thousand_objects_are_two_calls() -> None:
    shelf = Shelf()
    outcomes = run(shelf, *(item(f"{number}") for number in range(1000)))
    assert faults(outcomes) == {}
    assert [(verb, len(keys)) for verb, keys in shelf.calls] == [("make", 1000), ("label", 1000)]


# One bad object.


def test_a_bad_object_fails_alone_in_few_calls() -> None:
    shelf = Shelf()
    shelf.poison = {"513"}
    outcomes = run(shelf, *(item(f"{number}") for number in range(1000)))
    assert faults(outcomes) == {"513": "Permanent"}
    assert outcomes["513"].fault is not None
    assert outcomes["513"].fault.message == "poisoned"
    assert set(shelf.rows) == {f"{number}" for number in range(1000) if number != 513}
    assert len(shelf.calls) < 30


def test_an_object_whose_change_failed_gets_no_later_one() -> None:
    shelf = Shelf()
    shelf.poison = {"a"}
    outcomes = run(shelf, item("a"), item("b"))
    assert [keys for verb, keys in shelf.calls if verb == "label"] == [["b"]]
    assert (outcomes["a"].changed, outcomes["b"].changed) == ((), ("make b", "label b jam"))


def test_what_was_written_before_it_failed_is_told() -> None:
    shelf = Shelf({"a": jar("tea", closed=True)})
    real = shelf.apply

    def fail_at_the_lid(changes: Sequence[Change]) -> None:
        shelf.poison = {"a"} if changes[0].verb == "lid" else set()
        real(changes)

    shelf.apply = fail_at_the_lid  # type: ignore[method-assign]
    outcome = run(shelf, item("a"))["a"]
    assert (outcome.changed, outcome.state) == (("label a jam",), jar(closed=True))
    assert type(outcome.fault) is Permanent


@pytest.mark.parametrize(
    "fault", [Permanent("no"), Transient("no"), NotReady("no"), Conflict("no")]
)
def test_what_the_backend_said_of_an_object_is_its_outcome(fault: Fault) -> None:
    shelf = Shelf()
    shelf.poison, shelf.raises = {"a"}, lambda: fault
    outcomes = run(shelf, item("a"), item("b"))
    assert (outcomes["a"].fault, outcomes["b"].fault) == (fault, None)


@pytest.mark.parametrize("where", ["seen", "no_plan", "no_prior"])
@pytest.mark.parametrize("others", [(), ("b",)])
def test_what_a_handler_says_of_one_object_is_not_its_backend_away(
    where: str, others: tuple[Key, ...]
) -> None:
    """One that is due alone, too: it was said of it, and not raised."""
    shelf = Shelf({key: jar() for key in ("a", *others)})
    getattr(shelf, where)["a"] = Unavailable("nothing is at its junction")
    items = [item(key, suspended=True) for key in ("a", *others)]
    outcomes = {o.item.key: o for o in converge(shelf, items, Saved(shelf))}
    assert faults(outcomes) == {"a": "NotReady"}
    assert shelf.rows == {"a": jar(), **{key: jar(closed=True) for key in others}}
    fault = outcomes["a"].fault
    assert fault is not None
    assert fault.message == "nothing is at its junction"
    assert fault.advice.startswith("look at this object")


@pytest.mark.parametrize("error", [Permanent("no"), Transient("no"), KeyError("no")])
def test_a_question_that_one_object_makes_fail_is_halved_until_it_stands_alone(
    error: Exception,
) -> None:
    class Poisoned(Shelf):
        def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
            found = super().observe(keys)
            if "j7" in keys:
                raise error
            return found

    shelf = Poisoned()
    outcomes = run(shelf, *(item(f"j{n}") for n in range(100)))
    assert list(faults(outcomes)) == ["j7"]
    assert len(shelf.rows) == 99


def test_a_backend_that_answers_no_question_is_asked_some_dozen_times_and_no_more() -> None:
    class Blind(Shelf):
        def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
            super().observe(keys)
            raise Transient("no")

    shelf = Blind()
    outcomes = run(shelf, *(item(f"j{n}") for n in range(1000)))
    assert len(faults(outcomes)) == 1000
    assert len(shelf.reads) <= questions.MOST


@pytest.mark.parametrize("where", ["seen", "no_plan"])
@pytest.mark.parametrize("fault", [Permanent("no"), NotReady("no"), Conflict("no")])
def test_a_fault_while_looking_or_planning_is_the_objects_own(where: str, fault: Fault) -> None:
    shelf = Shelf()
    getattr(shelf, where)["a"] = fault
    outcomes = run(shelf, item("a"), item("b"))
    assert (outcomes["a"].fault, outcomes["b"].fault) == (fault, None)
    assert set(shelf.rows) == {"b"}


def test_an_object_that_the_handler_says_nothing_of_fails() -> None:
    shelf = Shelf()
    shelf.unseen = {"a"}
    outcomes = run(shelf, item("a"), item("b"))
    assert faults(outcomes) == {"a": "Permanent"}


@pytest.mark.parametrize("where", ["plan", "apply"])
def test_an_unexpected_exception_fails_its_object_in_one_line_with_the_traceback_aside(
    where: str,
) -> None:
    shelf = Shelf()
    if where == "plan":
        shelf.no_plan["a"] = ZeroDivisionError("division by zero")
    else:
        shelf.poison, shelf.raises = {"a"}, lambda: ZeroDivisionError("division by zero")
    outcomes = run(shelf, item("a"), item("b"))
    assert faults(outcomes) == {"a": "Permanent"}
    fault = outcomes["a"].fault
    assert fault is not None
    assert f"Shelf.{where} failed unexpectedly" in fault.message
    assert "ZeroDivisionError: division by zero" in fault.message
    assert "\n" not in fault.message
    assert fault.trace.startswith("Traceback")
    assert "report it" in fault.advice


@pytest.mark.parametrize("number", sorted(questions.SCARCE))
@pytest.mark.parametrize("where", ["plan", "apply"])
def test_what_a_host_has_too_little_of_for_now_is_tried_again(where: str, number: int) -> None:
    shelf = Shelf()
    if where == "plan":
        shelf.no_plan["a"] = OSError(number, os.strerror(number))
    else:
        shelf.poison, shelf.raises = {"a"}, lambda: OSError(number, os.strerror(number))
    fault = run(shelf, item("a"), item("b"))["a"].fault
    assert isinstance(fault, Transient)
    assert f"Shelf.{where}: {os.strerror(number)}" in fault.message


# What apply says is not believed.


def test_a_write_that_raised_and_happened_all_the_same_has_converged() -> None:
    shelf = Shelf()
    shelf.poison, shelf.writes_before_raising = {"a"}, True
    shelf.rows["a"] = jar("tea")
    outcome = run(shelf, item("a"))["a"]
    assert (outcome.fault, outcome.state) == (None, jar())


def test_a_write_that_returned_and_did_not_happen_is_found_out() -> None:
    shelf = Shelf()
    shelf.lies = True
    outcome = run(shelf, item("a"))["a"]
    assert isinstance(outcome.fault, Transient)
    assert outcome.fault.message == "a: written, but not read back: make a; label a jam"
    assert outcome.state == {"present": False, "label": None, "closed": False}
    assert [verb for verb, _ in shelf.calls] == ["make", "label"] * ROUNDS


# Writes without an answer, and backends that are away.


@pytest.mark.parametrize("happened", [True, False])
def test_a_write_without_an_answer_is_settled_by_observing(happened: bool) -> None:
    shelf = Shelf({"a": jar("tea")})
    shelf.poison, shelf.writes_before_raising = {"a"}, happened
    shelf.raises = lambda: Unknown("no answer")
    assert faults(run(shelf, item("a"))) == {"a": "Unknown"}
    shelf.poison, shelf.calls = set(), []
    outcome = run(shelf, item("a"))["a"]
    assert (outcome.fault, outcome.state) == (None, jar())
    assert shelf.calls == ([] if happened else [("label", ["a"])])


@pytest.mark.parametrize("fault", [Unavailable("away"), Unknown("no answer")])
def test_what_concerns_the_backend_is_not_blamed_on_one_object_nor_written_again(
    fault: Fault,
) -> None:
    shelf = Shelf({"done": jar()})
    shelf.poison, shelf.raises = {"a"}, lambda: fault
    outcomes = run(shelf, item("done"), item("a"), item("b"))
    assert [outcome.fault for outcome in outcomes.values()] == [None, fault, fault]
    assert shelf.calls == [("make", ["a", "b"])]


def test_a_backend_that_is_away_is_asked_for_a_moment_and_nothing_is_written() -> None:
    shelf = Shelf()
    shelf.away = True
    assert faults(run(shelf, item("a"), item("b"))) == {"a": "Unavailable", "b": "Unavailable"}
    assert len(shelf.reads) > 1
    assert shelf.calls == []


def test_a_handler_that_cannot_look_fails_every_object_and_not_the_service() -> None:
    class Blind(Shelf):
        def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
            raise KeyError("jar")

    outcomes = run(Blind(), item("a"), item("b"))
    assert faults(outcomes) == {"a": "Permanent", "b": "Permanent"}


# The dry run.


def test_a_dry_run_says_what_would_be_written_and_writes_nothing() -> None:
    shelf = Shelf({"b": jar()})
    shelf.no_plan["c"] = NotReady("not yet")
    found = dry_run(shelf, [item("a"), item("b"), item("c")])
    assert [[change.text for change in changes] for _, changes, _ in found] == [
        ["make a", "label a jam"],
        [],
        [],
    ]
    assert [type(outcome.fault) for _, _, outcome in found] == [type(None), type(None), NotReady]
    assert (shelf.calls, set(shelf.rows)) == ([], {"b"})


def test_a_dry_run_plans_what_the_run_then_does() -> None:
    shelf = Shelf({"b": jar("tea"), "c": jar(closed=True)})
    items = [item("a"), item("b"), item("c")]
    planned = {one.key: tuple(c.text for c in changes) for one, changes, _ in dry_run(shelf, items)}
    assert planned == {key: outcome.changed for key, outcome in run(shelf, *items).items()}


def test_a_dry_run_on_a_backend_that_is_away_says_so() -> None:
    shelf = Shelf()
    shelf.away = True
    [(_, changes, outcome)] = dry_run(shelf, [item("a")])
    assert (list(changes), type(outcome.fault)) == ([], Unavailable)
