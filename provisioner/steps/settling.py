"""Settling: writing the results of objects into the steps and requests that wait for them.

Promises: a verdict counts only for the want at the time when its object was taken. Everything is
written inside the caller's transaction, with the outcome of every request that is over. Leaves out:
the verdict itself (`lanes`), and what becomes due next (`advance`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from provisioner.contract import Key, State, split_key
from provisioner.journal import audit
from provisioner.journal.journal import Connection
from provisioner.journal.records import step_moves
from provisioner.objects.errors import Error
from provisioner.objects.states import StepState
from provisioner.steps import binding
from provisioner.steps.advance import Advanced, advance, bind_again
from provisioner.system.ulid import RequestId


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a drain for one object, for the steps that wait for it.

    generation: the object's when it was taken; state: done, failed, or due (again later); adopted:
    it was looked at for an adoption; not_ready: something that it depends on is missing; wanted: a
    claim that is not suspended keeps it open; opened: a suspension had closed it until now.
    """

    generation: int
    state: str
    changed: Sequence[str]
    error: Error | None
    read_back: State | None
    adopted: bool = False
    not_ready: bool = False
    wanted: bool = False
    opened: bool = False


MOST = 2_000
"""The parts of steps that are written in one commit: for one object, all requests of a project can
wait."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of settling. later: requests that now wait for a later try; more: objects for which
    other parts of steps wait."""

    made: Advanced
    later: Sequence[RequestId] = ()
    more: Collection[Key] = ()


def settle(
    conn: Connection,
    verdicts: Mapping[Key, Verdict],
    progress: binding.Progress,
    now: float,
    *,
    rest: bool = False,
) -> Settled:
    """Write the results of objects into the steps that wait for them.

    No more than `MOST` parts of steps end in one commit. rest: what went on waiting, and what was
    opened, is written by the commits before.
    """
    opened = {key for key, verdict in verdicts.items() if verdict.opened and not rest}
    again = bind_again(conn, opened, progress, now)
    begun = dict.fromkeys((split_key(key)[0] for key in again), False)
    rows = step_moves.awaiting(conn, verdicts)
    rows = [row for row in rows if row.generation <= verdicts[row.key].generation]
    told = [(row, _of_step(row, verdicts[row.key])) for row in rows]
    on = [] if rest else [part for part in told if part[1].state == StepState.DUE]
    ended = [part for part in told if part[1].state != StepState.DUE]
    parts, more = [*on, *ended[:MOST]], {row.key for row, _ in ended[MOST:]}
    if not parts:
        return Settled(Advanced(begun=begun))
    step_moves.write_parts(conn, [_verdict_row(row, verdict) for row, verdict in parts])
    audit.append(conn, [_event(*part) for part in parts if _is_news(*part)], now)
    over = {row.request for row, verdict in parts if verdict.state != StepState.DUE}
    later = {row.request for row, verdict in parts if verdict.state == StepState.DUE}
    step_moves.close_steps(conn, over, now)
    made = advance(conn, sorted(over), progress, now)
    return Settled(Advanced(made.outcomes, begun | made.begun), sorted(later), more)


_OPENING = ("user.suspend", "user.resume", "allocation.suspend", "allocation.resume", "adopt")
"""Actions whose own steps are over only when their objects are as wanted."""


def _of_step(row: Any, verdict: Verdict) -> Verdict:
    """Return the verdict on an object for one of the steps that wait for it.

    An object that is not ready stays due, but ends two kinds of steps. A reconcile has looked at
    it, and is done with it. A step that withdraws is done if another claim still wants the object:
    what is missing may never come, and is not for this request to wait for.
    """
    own = row.routed or row.action in _OPENING
    if verdict.state != StepState.DUE or not verdict.not_ready or own:
        return verdict
    if row.action == "reconcile" or verdict.wanted:
        return replace(verdict, state=StepState.DONE)
    return verdict


def _is_news(row: Any, verdict: Verdict) -> bool:
    """Return True if the audit trail should have the end of an object's step.

    A reconcile looks at all objects every night: one that it finds as wanted is only recorded as
    its state and in the list of the result.
    """
    if verdict.state == StepState.DONE:
        return bool(row.routed or verdict.adopted or row.changed or verdict.changed)
    return verdict.state == StepState.FAILED


def _verdict_row(row: Any, verdict: Verdict) -> dict[str, Any]:
    return {
        "b_request": row.request,
        "b_step": row.step,
        "b_key": row.key,
        "b_item": row.item,
        "b_state": verdict.state,
        "b_changed": [*row.changed, *verdict.changed],
        "b_error": verdict.error,
        "b_read_back": verdict.read_back if _is_news(row, verdict) else None,
    }


def _event(row: Any, verdict: Verdict) -> audit.Event:
    """Return an event with what was done to an object for a request, and what was read back."""
    facts: dict[str, Any] = {
        "step": row.step,
        "object": row.key,
        "state": verdict.state,
        "changed": [*row.changed, *verdict.changed],
    }
    if verdict.read_back is not None:
        facts["read_back"] = verdict.read_back
    if verdict.error is not None:
        facts["error"] = verdict.error.words()
    return audit.Event(row.request, audit.OBJECT, row.key, row.claimant, facts)
