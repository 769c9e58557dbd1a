"""Which objects of a step may begin, by how the steps that it needs stand for each user."""

from __future__ import annotations

import pytest

from provisioner.journal.records.step_rows import StepRecord
from provisioner.steps import readiness
from tests.support.step_records import part, step


def ready(*steps: StepRecord) -> tuple[set[str], dict[str, tuple[str, ...]], bool] | None:
    """Ask about the last step: who begins, who is barred, whether that is all of it."""
    found = readiness.of(steps[-1], {one.name: one for one in steps})
    if found is None:
        return None
    return {one.item for one in found.begin}, dict(found.barred), found.whole


ACCOUNT = step("account", "done", own="done")


@pytest.mark.parametrize(
    ("gate", "begin", "barred", "whole"),
    [
        (step("gate", "done", ann="done", bob="done"), {"ann", "bob"}, {}, True),
        (step("gate", "due", ann="done", bob="due"), {"ann"}, {}, False),
        (step("gate", "due", ann="done", bob="waiting"), {"ann"}, {}, False),
        (step("gate", "due", ann="failed", bob="due"), set(), {"ann": ("gate",)}, False),
        (step("gate", "failed", ann="done", bob="failed"), {"ann"}, {"bob": ("gate",)}, False),
        (step("gate", "failed", ann="failed", bob="failed"), set(), None, True),
        (step("gate", "skipped", ann="waiting", bob="waiting"), set(), None, True),
        (step("gate", "failed", own="failed"), set(), None, True),
        (step("gate", "done", own="done"), {"ann", "bob"}, {}, True),
    ],
)
def test_each_user_begins_as_what_the_step_needs_is_done_for_them(
    gate: StepRecord, begin: set[str], barred: dict[str, tuple[str, ...]] | None, whole: bool
) -> None:
    each = step("in", "waiting", ("account", "gate"), ann="waiting", bob="waiting")
    everybody = {"ann": ("gate",), "bob": ("gate",)}
    expected = (begin, everybody if barred is None else barred, whole)
    assert ready(ACCOUNT, gate, each) == expected


@pytest.mark.parametrize(
    "before",
    [
        (step("account", "due", own="due"), step("gate", "done", ann="done", bob="done")),
        (ACCOUNT, step("gate", "due", ann="due", bob="due")),
        (ACCOUNT, step("gate", "due", own="due")),
        (ACCOUNT, step("gate", "due", eve="done")),
    ],
    ids=["a step for all is not over", "nobody is through", "a gate for all", "another's part"],
)
def test_nothing_begins_before_what_it_needs(before: tuple[StepRecord, ...]) -> None:
    each = step("in", "waiting", ("account", "gate"), ann="waiting", bob="waiting")
    assert ready(*before, each) is None


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        (step("gate", "due", ann="done", bob="due"), None),
        (step("gate", "done", ann="done", bob="done"), ({""}, {}, True)),
        (step("gate", "failed", ann="done", bob="failed"), (set(), {"": ("gate",)}, True)),
    ],
)
def test_a_step_for_all_waits_for_everybody(gate: StepRecord, expected: object) -> None:
    assert ready(gate, step("tell", "waiting", ("gate",), own="waiting")) == expected


def test_who_has_begun_is_left_alone_while_others_follow() -> None:
    gate = step("gate", "due", ann="done", bob="done", eve="due")
    each = step("in", "due", ("gate",), ann="done", bob="waiting", eve="waiting")
    assert ready(gate, each) == ({"bob"}, {}, False)


@pytest.mark.parametrize("state", ["done", "failed", "skipped", "cancelled"])
def test_what_is_over_begins_no_more(state: str) -> None:
    assert ready(step("only", state, ann="waiting")) is None


def test_a_step_without_objects_begins_whole() -> None:
    assert ready(step("only", "waiting")) == (set(), {}, True)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["done", "due"], None),
        (["done", "waiting"], None),
        (["done", "done"], "done"),
        (["done", "skipped"], "skipped"),
        (["failed", "skipped", "done"], "failed"),
        ([], "done"),
    ],
)
def test_a_step_ends_by_the_worst_of_its_objects(states: list[str], expected: str | None) -> None:
    assert readiness.outcome(part("ann", state) for state in states) == expected
