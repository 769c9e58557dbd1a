"""States: how a request, a step and an object stand. Each is a closed list.

Promises: these are the values that the journal keeps, and the words that results, receipts and the
command line print. Leaves out: who moves anything from one to the next (`advance`, `verbs`).
"""

from __future__ import annotations

from enum import StrEnum


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
