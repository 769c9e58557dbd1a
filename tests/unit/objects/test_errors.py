"""An error is kept as it was said, and read back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioner.contract import Conflict, Fault, InvalidRequest, Key
from provisioner.objects.errors import Error

ERRORS: dict[str, tuple[Fault, Key, Error]] = {
    "of an object": (
        Conflict("not ours", advice="look"),
        "x/y/z",
        Error(type="Conflict", message="not ours", advice="look", object="x/y/z"),
    ),
    "of an object that may be taken over": (
        Conflict("not ours", advice="ask for it with `adopt`", adoptable=True),
        "x/y/z",
        Error(
            type="Conflict",
            message="not ours",
            advice="ask for it with `adopt`",
            object="x/y/z",
            adoptable=True,
        ),
    ),
    "of a parameter": (
        InvalidRequest("too long", field="title"),
        "",
        Error(type="InvalidRequest", message="too long", field="title"),
    ),
}


@pytest.mark.parametrize(("fault", "key", "error"), ERRORS.values(), ids=ERRORS)
def test_what_a_fault_says_is_kept(fault: Fault, key: Key, error: Error) -> None:
    found = Error.of(fault, key)
    assert replace(found, advice=error.advice) == error


@pytest.mark.parametrize("error", [one for *_, one in ERRORS.values()], ids=ERRORS)
def test_what_was_written_is_read_back(error: Error) -> None:
    assert Error.read(error.words()) == error


def test_what_an_older_journal_lacks_is_empty() -> None:
    assert Error.read({"message": "m", "more": "x"}) == Error(type="", message="m")
    written = {"type": "t", "message": "m", "advice": "", "adoptable": False}
    assert Error(type="t", message="m").words() == written


@pytest.mark.parametrize("advice", ["set `adopt: true` in the request", "look at it"])
def test_of_an_older_journal_the_advice_tells_what_may_be_taken_over(advice: str) -> None:
    error = Error.read({"type": "Conflict", "message": "m", "advice": advice})
    assert error.adoptable is (advice != "look at it")


def test_what_is_written_of_taking_over_counts_whatever_the_advice_says() -> None:
    error = Error(type="Conflict", message="m", advice="`adopt: true` does not help here")
    assert Error.read(error.words()) == error


@pytest.mark.parametrize(
    ("conflict", "adoptable"),
    [
        (Conflict("not ours"), True),
        (Conflict("not ours", advice=Conflict.advice), True),
        (Conflict("two people", advice="choose another name"), False),
        (Conflict("not ours", advice="in the route", adoptable=True), True),
    ],
)
def test_a_conflict_says_whether_its_object_may_be_taken_over(
    conflict: Conflict, adoptable: bool
) -> None:
    assert Error.of(conflict).adoptable is adoptable
