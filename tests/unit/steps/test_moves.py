"""What moves next in the steps of a request, and what they are once it has moved."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from provisioner.journal.records.step_rows import StepRecord
from provisioner.objects.errors import Error
from provisioner.objects.states import STEP_MOVES, RequestState, StepState
from provisioner.steps import moves
from tests.support.step_records import part, step

WHY = Error(type="Permanent", message="no such limit", advice="")


def outline(move: moves.Move) -> tuple[object, ...]:
    """Write a move in short: what it does, to whom, and to which state."""
    match move:
        case moves.Begin(whole=whole):
            return "begin", move.users, whole
        case moves.Stop(users=users, state=state):
            return "stop", users, state
        case moves.End(state=state):
            return "end", state


def moves_of_last(*steps: StepRecord) -> list[tuple[object, ...]]:
    found = moves.of(steps[-1], {one.name: one for one in steps})
    return [outline(move) for move in found]


GATE_OF_TWO = step("gate", "failed", ann="done", bob="failed")


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([step("a", "done", own="done"), step("b", "done", ("a",), own="done")], []),
        ([step("a", "due", own="due"), step("b", "waiting", ("a",), own="waiting")], []),
        (
            [step("a", "done", own="done"), step("b", "waiting", ("a",), own="waiting")],
            [("begin", ("",), True)],
        ),
        (
            [step("a", "failed", own="failed"), step("b", "waiting", ("a",), own="waiting")],
            [("end", "skipped")],
        ),
        (
            [GATE_OF_TWO, step("in", "waiting", ("gate",), ann="waiting", bob="waiting")],
            [("stop", ("bob",), "skipped"), ("begin", ("ann",), False)],
        ),
        (
            [GATE_OF_TWO, step("in", "due", ("gate",), ann="due", bob="waiting")],
            [("stop", ("bob",), "skipped")],
        ),
        ([step("a", "done"), step("b", "waiting", ("a",))], [("begin", (), True)]),
    ],
    ids=[
        "over",
        "a need is open",
        "all needs are done",
        "a step that it needs failed or was skipped",
        "one user is through, and another is not",
        "one has begun",
        "nothing is in it",
    ],
)
def test_a_step_moves_by_how_its_needs_stand(
    steps: Sequence[StepRecord], expected: list[tuple[object, ...]]
) -> None:
    assert moves_of_last(*steps) == expected


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ([], False),
        ([step("b", "waiting", ("a",))], True),
        ([step("b", "due", ("a",))], True),  # for others of its users
        ([step("b", "skipped", ("a",))], False),
        ([step("b", "waiting", ("c",))], False),
    ],
)
def test_a_step_is_needed_as_long_as_another_one_waits_for_it(
    later: list[StepRecord], expected: bool
) -> None:
    first = step("a", "waiting", own="waiting")
    assert moves.is_needed(first, [first, *later]) is expected


def test_who_is_skipped_is_told_which_need_did_not_get_done() -> None:
    last = step("in", "waiting", ("gate",), ann="waiting", bob="waiting")
    stop = moves.of(last, {"gate": GATE_OF_TWO, "in": last})[0]
    assert isinstance(stop, moves.Stop)
    assert stop.error.message == "needs gate, which did not get done"


def test_users_that_cannot_be_bound_together_are_tried_one_by_one() -> None:
    both = moves.Begin("in", (part("ann", "waiting"), part("bob", "waiting")), True)
    assert [outline(move) for move in moves.by_user(both)] == [
        ("begin", ("ann",), False),
        ("begin", ("bob",), False),
    ]


@pytest.mark.parametrize("user", ["ann", ""])
def test_one_user_or_a_steps_own_is_not_divided(user: str) -> None:
    assert moves.by_user(moves.Begin("in", (part(user, "waiting"),), True)) == ()


@pytest.mark.parametrize(
    ("whole", "expected"), [(True, ("end", "failed")), (False, ("stop", ("ann",), "failed"))]
)
def test_what_cannot_be_bound_fails_with_its_step_where_it_is_all_of_it(
    whole: bool, expected: tuple[object, ...]
) -> None:
    move = moves.unbound(moves.Begin("in", (part("ann", "waiting"),), whole), WHY)
    assert outline(move) == expected
    assert move.error == WHY


BOTH_WAIT = step("in", "waiting", ann="waiting", bob="waiting")


@pytest.mark.parametrize(
    ("move", "state", "parts"),
    [
        (moves.Begin("in", BOTH_WAIT.objects, True), "due", {"ann": "due", "bob": "due"}),
        (moves.Begin("in", BOTH_WAIT.objects[:1], False), "due", {"ann": "due", "bob": "waiting"}),
        (
            moves.Stop("in", ("bob",), StepState.SKIPPED, WHY),
            "due",
            {"ann": "waiting", "bob": "skipped"},
        ),
        (moves.End("in", StepState.FAILED, WHY), "failed", {"ann": "waiting", "bob": "waiting"}),
    ],
)
def test_a_step_is_after_a_move_as_the_move_says(
    move: moves.Move, state: str, parts: dict[str, str]
) -> None:
    after = moves.after(BOTH_WAIT, move)
    assert after.state == state
    assert {one.item: one.state for one in after.objects} == parts
    assert StepState(state) in STEP_MOVES[BOTH_WAIT.state]


def test_a_move_of_some_users_leaves_those_alone_who_have_begun() -> None:
    begun = step("in", "due", ann="due", bob="waiting")
    after = moves.after(begun, moves.Stop("in", ("ann", "bob"), StepState.FAILED, WHY))
    assert [one.state for one in after.objects] == ["due", "failed"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (step("in", "due", ann="done", bob="skipped"), ("end", "skipped")),
        (step("in", "due", ann="done", bob="due"), None),
        (step("in", "failed", ann="done", bob="skipped"), None),
        (step("in", "waiting", ann="done", bob="done"), None),
    ],
    ids=["all are over", "one is due", "it is over", "it has not begun"],
)
def test_a_due_step_ends_with_the_last_of_its_objects(
    given: StepRecord, expected: tuple[object, ...] | None
) -> None:
    end = moves.ending(given)
    assert (end and outline(end)) == expected


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["done", "done"], RequestState.DONE),
        (["done", "skipped"], RequestState.FAILED),
        (["failed", "done"], RequestState.FAILED),
        (["done", "due"], None),
        (["waiting", "failed"], None),
        ([], RequestState.DONE),
    ],
)
def test_a_request_is_over_with_its_last_step(
    states: list[str], expected: RequestState | None
) -> None:
    assert moves.outcome(step(f"s{n}", state) for n, state in enumerate(states)) == expected


@pytest.mark.parametrize(
    ("steps", "split", "expected"),
    [
        ([step("a", "due"), step("b", "waiting", ("a",))], False, False),
        ([step("a", "due"), step("b", "waiting", ("a",))], True, True),
        ([step("a", "failed"), step("b", "waiting", ("a",))], False, True),
        ([step("a", "done"), step("b", "done", ("a",))], False, True),
    ],
    ids=["a need is open", "users wait", "a need is over", "all is over"],
)
def test_a_request_is_read_whole_only_where_it_may_move(
    steps: Sequence[StepRecord], split: bool, expected: bool
) -> None:
    assert moves.may_move(steps, split=split) is expected
