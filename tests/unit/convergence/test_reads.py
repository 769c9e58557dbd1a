"""Trying again: a read that finds its backend away is asked again for a moment, nothing else is."""

from __future__ import annotations

import pytest

from provisioner.contract import (
    Conflict,
    Fault,
    NotReady,
    Permanent,
    Transient,
    Unavailable,
    Unknown,
)
from provisioner.convergence.calls.reads import reads


class Answers:
    """A call that raises what it is given, in turn, and then answers."""

    def __init__(self, *faults: Exception) -> None:
        self.left = list(faults)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.left:
            raise self.left.pop(0)
        return "answer"


def test_an_answer_is_asked_for_once() -> None:
    call = Answers()
    assert (reads(call), call.calls) == ("answer", 1)


def test_a_hiccup_is_asked_again() -> None:
    call = Answers(Unavailable("first"), Unavailable("second"))
    assert (reads(call), call.calls) == ("answer", 3)


def test_a_backend_that_stays_away_says_so_itself() -> None:
    call = Answers(*(Unavailable(f"{number}") for number in range(10_000)))
    with pytest.raises(Unavailable) as raised:
        reads(call)
    assert raised.value.message == str(call.calls - 1)
    assert call.calls > 2


@pytest.mark.parametrize(
    "fault",
    [Permanent("a"), Transient("a"), NotReady("a"), Conflict("a"), Unknown("a"), OSError("a")],
    ids=lambda fault: type(fault).__name__,
)
def test_whatever_else_is_said_is_passed_on_at_once(fault: Fault | OSError) -> None:
    call = Answers(fault)
    with pytest.raises(type(fault)):
        reads(call)
    assert call.calls == 1


def test_no_backend_that_stays_away_is_asked_longer_than_the_moment_that_is_left() -> None:
    call = Answers(Unavailable("away"), Unavailable("still away"))
    with pytest.raises(Unavailable):
        reads(call, 1e-9)
    assert call.calls == 1
