"""Moves: what changes next in a request's steps, and the states of the steps afterwards. Pure.

Promises: the states of the steps alone decide which objects begin, which never will, and when a
step or a request is over. Leaves out: which needs are met for whom (`readiness`), writing moves and
binding (`advance`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from provisioner.journal.records.step_rows import ObjectRecord, StepRecord
from provisioner.objects.errors import Error
from provisioner.objects.states import OVER, RequestState, StepState
from provisioner.steps import readiness


@dataclass(frozen=True, slots=True)
class Begin:
    """Objects of a step are bound, and become due. whole: they are all objects of the step."""

    step: str
    parts: tuple[ObjectRecord, ...]
    whole: bool

    @property
    def users(self) -> tuple[str, ...]:
        """The users whose objects they are, in order; '' for objects without a user."""
        return tuple(dict.fromkeys(part.item for part in self.parts))


@dataclass(frozen=True, slots=True)
class Stop:
    """Users' objects of a step end before a lane gets them."""

    step: str
    users: tuple[str, ...]
    state: StepState
    error: Error


@dataclass(frozen=True, slots=True)
class End:
    """A step ends. error: why, unless its objects say it."""

    step: str
    state: StepState
    error: Error | None = None


Move = Begin | Stop | End


def of(step: StepRecord, steps: Mapping[str, StepRecord]) -> Sequence[Move]:
    """List the moves of a step, in order; empty if nothing changes now.

    steps: all of the request, by name.
    """
    ready = readiness.of(step, steps)
    if ready is None:
        return ()
    if ready.whole and ready.barred:
        return [End(step.name, StepState.SKIPPED, _barred(next(iter(ready.barred.values()))))]
    stops = [
        Stop(step.name, (user,), StepState.SKIPPED, _barred(missing))
        for user, missing in ready.barred.items()
    ]
    if ready.begin or not step.objects:
        return [*stops, Begin(step.name, ready.begin, ready.whole)]
    return stops


def by_user(move: Begin) -> Sequence[Begin]:
    """Split a move by user: a user whose objects cannot be bound stops nobody else.

    Empty if the move has one user, or objects without a user.
    """
    if len(move.users) < 2:
        return ()
    return [
        Begin(move.step, tuple(part for part in move.parts if part.item == user), False)
        for user in move.users
    ]


def unbound(move: Begin, error: Error) -> Stop | End:
    """Return the move for objects that cannot be bound."""
    if move.whole:
        return End(move.step, StepState.FAILED, error)
    return Stop(move.step, move.users, StepState.FAILED, error)


def ending(step: StepRecord) -> End | None:
    """Return the end of a step whose objects are all over; None if it is not due, or some wait."""
    state = readiness.outcome(step.objects)
    if step.state != StepState.DUE or state is None:
        return None
    return End(step.name, state)


def after(step: StepRecord, move: Move) -> StepRecord:
    """Return a step as it is after one of its moves."""
    match move:
        case End(state=state):
            return replace(step, state=state)
        case Stop(users=users, state=state):
            return _with_parts(step, users, state)
        case Begin(users=users):
            return _with_parts(step, users, StepState.DUE)


def may_move(steps: Sequence[StepRecord], *, split: bool) -> bool:
    """Return True if a request may have a move, or is over. It needs no objects for that.

    split: users of one of its steps wait, each for what that step needs for them.
    """
    states = {step.name: step.state for step in steps}
    ready = any(
        step.state == StepState.WAITING and all(states[need] in OVER for need in step.needs)
        for step in steps
    )
    return split or ready or outcome(steps) is not None


def is_needed(step: StepRecord, steps: Iterable[StepRecord]) -> bool:
    """Return True if another step of the request waits for a step."""
    return any(one.state not in OVER and step.name in one.needs for one in steps)


def outcome(steps: Iterable[StepRecord]) -> RequestState | None:
    """Return the outcome of a request whose steps are all over; None if some are not."""
    states = {step.state for step in steps}
    if not states.issubset(OVER):
        return None
    return RequestState.DONE if states <= {StepState.DONE} else RequestState.FAILED


def _with_parts(step: StepRecord, users: Collection[str], state: StepState) -> StepRecord:
    parts = tuple(
        replace(part, state=state)
        if part.state == StepState.WAITING and part.item in users
        else part
        for part in step.objects
    )
    return replace(step, state=StepState.DUE, objects=parts)


def _barred(missing: Sequence[str]) -> Error:
    return Error(
        type="Skipped",
        message=f"needs {', '.join(missing)}, which did not get done",
        advice="fix that step; `provisioner retry` then does this one, too",
    )
