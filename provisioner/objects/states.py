"""The states of a request, a step and an object. Each is a closed list.

Promises: the journal stores these values, and results, receipts and the command line print these
words. Leaves out: what moves anything from one state to the next (`advance`, `verbs`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

State = TypeVar("State", bound=StrEnum)


class RequestState(StrEnum):
    """The state of a request."""

    ACCEPTED = "accepted"
    """Its steps begin when they may."""
    DEFERRED = "deferred"
    """Accepted, but one of its objects waits for a later try."""
    HELD = "held"
    """It waits for a person."""
    SCHEDULED = "scheduled"
    """It waits for its `not_before`."""
    DONE = "done"
    """Everything that it asked for was read back."""
    FAILED = "failed"
    """One of its steps did not get done."""
    REFUSED = "refused"
    """Nothing was done: the request is wrong, or its writer may not ask for it."""
    CANCELLED = "cancelled"
    """A person ended it."""
    SUPERSEDED = "superseded"
    """A newer request took its place."""


RUNNING = (RequestState.ACCEPTED, RequestState.DEFERRED)
"""States of a request whose steps begin when they may."""

OPEN = (*RUNNING, RequestState.HELD, RequestState.SCHEDULED)
"""States of a request without an outcome yet."""

ENDED = (
    RequestState.DONE,
    RequestState.FAILED,
    RequestState.REFUSED,
    RequestState.CANCELLED,
    RequestState.SUPERSEDED,
)
"""States of a request that are outcomes."""


class StepState(StrEnum):
    """The state of a step, and of each object's part in it."""

    WAITING = "waiting"
    """A step that it needs is not over."""
    DUE = "due"
    """The lanes of its objects work on it."""
    DONE = "done"
    """It was read back as wanted."""
    FAILED = "failed"
    """It ended with an error."""
    SKIPPED = "skipped"
    """A step that it needs did not get done."""
    CANCELLED = "cancelled"
    """A person ended the request."""


OVER = (StepState.DONE, StepState.FAILED, StepState.SKIPPED, StepState.CANCELLED)
"""States of steps, and of objects in them, that change only by an intervention."""


class MessageState(StrEnum):
    """The state of a message to a person, or to the site's hook."""

    WAITING = "waiting"
    """It is sent when it is due, and tried again while the server does not take it."""
    SENT = "sent"
    """The server took it."""
    MERGED = "merged"
    """A summary of many messages tells of it."""
    GIVEN_UP = "given up"
    """The server never took it, or its person has no address."""


class Adoption(StrEnum):
    """How an existing object was taken over. Other objects have none."""

    NEW = "new"
    """An adoption named it: the next look only reads it."""
    SEEN = "seen"
    """Nobody claimed it when it was adopted: it is reported, and stays unchanged."""
    DIFFERS = "differs"
    """Its claim wants something else, or may do so: it is not written while it is open, except to
    open it as it was before a suspension."""
    OURS = "ours"
    """It is as wanted, and ours in the ledger, but may not have our mark in the backend yet, or
    hangs on the mark of another object."""


REQUEST_MOVES: Mapping[RequestState | None, Mapping[RequestState, str]] = {
    None: {
        RequestState.ACCEPTED: "allowed",
        RequestState.SCHEDULED: "not_before",
        RequestState.HELD: "policy",
        RequestState.REFUSED: "wrong, or not allowed",
        RequestState.SUPERSEDED: "a newer order",
        RequestState.DONE: "repeats an earlier request",
    },
    RequestState.SCHEDULED: {
        RequestState.ACCEPTED: "its time comes",
        RequestState.HELD: "hold",
        RequestState.CANCELLED: "cancel",
        RequestState.REFUSED: "no longer allowed",
    },
    RequestState.HELD: {
        RequestState.ACCEPTED: "release",
        RequestState.CANCELLED: "cancel",
    },
    RequestState.ACCEPTED: {
        RequestState.DEFERRED: "an object waits",
        RequestState.DONE: "all steps done",
        RequestState.FAILED: "a step failed or was skipped",
        RequestState.SUPERSEDED: "a newer request replaced it",
        RequestState.HELD: "hold",
        RequestState.CANCELLED: "cancel",
    },
    RequestState.DEFERRED: {
        RequestState.DONE: "all steps done",
        RequestState.FAILED: "a step failed or was skipped",
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
"""The named moves of a request, from None before it arrived, each with its cause.

A request that is judged again, by a release or a retry, can reach any state that a new one can.
"""

STEP_MOVES: Mapping[StepState | None, Mapping[StepState, str]] = {
    None: {StepState.DUE: "needs nothing", StepState.WAITING: "needs another step"},
    StepState.WAITING: {
        StepState.DUE: "its needs are done",
        StepState.SKIPPED: "a step that it needs failed or was skipped",
        StepState.FAILED: "its parameters cannot be filled in",
        StepState.CANCELLED: "cancel",
    },
    StepState.DUE: {
        StepState.DONE: "read back as wanted",
        StepState.FAILED: "given up",
        StepState.SKIPPED: "a step that its user needs failed or was skipped",
        StepState.WAITING: "hold",
        StepState.CANCELLED: "cancel",
    },
    StepState.DONE: {StepState.WAITING: "a released request begins again"},
    StepState.FAILED: {StepState.WAITING: "retry"},
    StepState.SKIPPED: {StepState.WAITING: "retry"},
    StepState.CANCELLED: {StepState.WAITING: "retry"},
}
"""The moves of a step, from None before its request is accepted, each with its cause."""


def diagram(moves: Mapping[State | None, Mapping[State, str]]) -> str:
    """Return moves as a Mermaid state diagram: one line for each."""
    lines = [
        f"    {before or '[*]'} --> {after}: {why}"
        for before, some in moves.items()
        for after, why in some.items()
    ]
    ends = [f"    {state} --> [*]" for state, some in moves.items() if state and not some]
    return "\n".join(["stateDiagram-v2", *lines, *ends])
