"""States: how a request, a step and an object stand. Each is a closed list.

Promises: these are the values that the journal keeps, and the words that results, receipts and the
command line print. Leaves out: who moves anything from one to the next (`advance`, `verbs`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

State = TypeVar("State", bound=StrEnum)


class RequestState(StrEnum):
    """How a request stands."""

    ACCEPTED = "accepted"
    """Its steps begin as they may."""
    DEFERRED = "deferred"
    """Accepted, and an object of it waits for a later try."""
    HELD = "held"
    """It waits for a person."""
    SCHEDULED = "scheduled"
    """It waits for its `not_before`."""
    DONE = "done"
    """All that it asked for was read back."""
    FAILED = "failed"
    """A step of it did not get done."""
    REFUSED = "refused"
    """Nothing was done: it is wrong, or its writer may not ask for it."""
    CANCELLED = "cancelled"
    """A person ended it."""
    SUPERSEDED = "superseded"
    """A newer request took its place."""


RUNNING = (RequestState.ACCEPTED, RequestState.DEFERRED)
"""States of a request whose steps begin as they may."""

OPEN = (*RUNNING, RequestState.HELD, RequestState.SCHEDULED)
"""States of a request that has no outcome yet."""

ENDED = (
    RequestState.DONE,
    RequestState.FAILED,
    RequestState.REFUSED,
    RequestState.CANCELLED,
    RequestState.SUPERSEDED,
)
"""States of a request that are outcomes."""


class StepState(StrEnum):
    """How a step stands, and each object's part in it."""

    WAITING = "waiting"
    """A step that it needs is not over."""
    DUE = "due"
    """Its lanes have it."""
    DONE = "done"
    """It was read back as wanted."""
    FAILED = "failed"
    """It ended with an error."""
    SKIPPED = "skipped"
    """A step that it needs did not get done."""
    CANCELLED = "cancelled"
    """A person ended the request."""


OVER = (StepState.DONE, StepState.FAILED, StepState.SKIPPED, StepState.CANCELLED)
"""States of steps, and of objects in them, that nothing changes by itself any more."""


class Adoption(StrEnum):
    """How an object was taken over that was there before; an object without is as any other."""

    NEW = "new"
    """An adoption named it: it is looked at next, and not written."""
    SEEN = "seen"
    """Nobody claimed it when it was adopted: explained, and left as it is."""
    DIFFERS = "differs"
    """Its claim wants it otherwise than it is: not written while it is open."""
    OURS = "ours"
    """It is as wanted, and ours by the ledger: its backend may not have our mark yet."""


REQUEST_MOVES: Mapping[RequestState | None, Mapping[RequestState, str]] = {
    None: {
        RequestState.ACCEPTED: "allowed",
        RequestState.SCHEDULED: "not_before",
        RequestState.HELD: "policy",
        RequestState.REFUSED: "wrong, or not allowed",
        RequestState.SUPERSEDED: "a newer order",
        RequestState.DONE: "repeats another",
    },
    RequestState.SCHEDULED: {
        RequestState.ACCEPTED: "its time comes",
        RequestState.HELD: "hold",
        RequestState.CANCELLED: "cancel",
        RequestState.REFUSED: "not allowed any more",
    },
    RequestState.HELD: {
        RequestState.ACCEPTED: "release",
        RequestState.CANCELLED: "cancel",
    },
    RequestState.ACCEPTED: {
        RequestState.DEFERRED: "an object waits",
        RequestState.DONE: "all steps done",
        RequestState.FAILED: "a step was not done",
        RequestState.SUPERSEDED: "a newer request replaced it",
        RequestState.HELD: "hold",
        RequestState.CANCELLED: "cancel",
    },
    RequestState.DEFERRED: {
        RequestState.DONE: "all steps done",
        RequestState.FAILED: "a step was not done",
        RequestState.SUPERSEDED: "a newer request replaced it",
        RequestState.HELD: "hold",
        RequestState.CANCELLED: "cancel",
    },
    RequestState.FAILED: {RequestState.ACCEPTED: "retry"},
    RequestState.CANCELLED: {RequestState.ACCEPTED: "retry"},
    RequestState.REFUSED: {},
    RequestState.DONE: {},
    RequestState.SUPERSEDED: {},
}
"""The moves of a request that have a name, from None before it came, with what makes each.

A request that is judged again, by a release or a retry, may come to any state that a new one may.
"""

STEP_MOVES: Mapping[StepState | None, Mapping[StepState, str]] = {
    None: {StepState.DUE: "needs nothing", StepState.WAITING: "needs another step"},
    StepState.WAITING: {
        StepState.DUE: "its needs are done",
        StepState.SKIPPED: "a need is not",
        StepState.FAILED: "cannot be bound",
        StepState.CANCELLED: "cancel",
    },
    StepState.DUE: {
        StepState.DONE: "read back as wanted",
        StepState.FAILED: "given up",
        StepState.SKIPPED: "a user's need is not done",
        StepState.WAITING: "hold",
        StepState.CANCELLED: "cancel",
    },
    StepState.DONE: {StepState.WAITING: "a released request begins again"},
    StepState.FAILED: {StepState.WAITING: "retry"},
    StepState.SKIPPED: {StepState.WAITING: "retry"},
    StepState.CANCELLED: {StepState.WAITING: "retry"},
}
"""The moves of a step, from None before its request is accepted, with what makes each."""


def diagram(moves: Mapping[State | None, Mapping[State, str]]) -> str:
    """Draw moves as a Mermaid state diagram: one line a move."""
    lines = [
        f"    {before or '[*]'} --> {after}: {why}"
        for before, some in moves.items()
        for after, why in some.items()
    ]
    ends = [f"    {state} --> [*]" for state, some in moves.items() if state and not some]
    return "\n".join(["stateDiagram-v2", *lines, *ends])
