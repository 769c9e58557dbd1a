"""Settling: writing the results of objects into the steps and requests that wait for them.

Promises: a verdict counts only for the want at the time when its object was taken. Everything is
written inside the caller's transaction, with the outcome of every request that is over. Leaves out:
the verdict itself (`lanes`), and what becomes due next (`advance`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from provisioner.contract import Key, State, split_key
from provisioner.journal import audit
from provisioner.journal.journal import Connection
from provisioner.journal.records import ledger, step_moves, step_rows
from provisioner.objects.errors import Error
from provisioner.objects.states import StepState
from provisioner.plain.values import value
from provisioner.steps import binding
from provisioner.steps.advance import Advanced, advance, bind_again
from provisioner.system.ulid import RequestId


@value(frozen=True, slots=True)
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


MOST = 1_000
"""The parts of steps that are written in one commit: for one object, all requests of a project can
wait."""

MOVED = 5_000
"""The objects that the requests may have together which go on in one commit, unless one alone has
more: all of them can begin."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of settling. later: requests that now wait for a later try; more: objects for which
    other parts of steps wait."""

    made: Advanced
    later: Sequence[RequestId] = ()
    more: Collection[Key] = ()


def portions(
    conn: Connection, verdicts: Mapping[Key, Verdict], rows: Sequence[Any]
) -> list[list[Key]]:
    """Cut objects into those of a commit each, by how much the requests have that wait for them.

    rows: the parts of steps that wait for them, as `step_rows.awaiting` gives them.
    """
    waiting: dict[Key, set[RequestId]] = {key: set() for key in verdicts}
    for row in rows:
        waiting[row.key].add(row.request)
    for held in ledger.held_on(conn, [key for key, verdict in verdicts.items() if verdict.opened]):
        waiting[held.key].add(held.request)  # it may be bound again
    every = set[RequestId]().union(*waiting.values())
    sizes = step_rows.sizes(conn, every, MOVED + 1) if len(every) > 1 else {}
    if sum(sizes.values()) <= MOVED:
        return [list(verdicts)]
    cuts: list[list[Key]] = [[]]
    here: set[RequestId] = set()
    weight = 0
    for key in sorted(verdicts, key=lambda key: min(waiting[key], default="")):
        fresh = waiting[key] - here
        more = sum(sizes.get(request, 0) for request in fresh)
        if cuts[-1] and more and weight + more > MOVED:
            cuts.append([])
            fresh, here, weight = waiting[key], set(), 0
            more = sum(sizes.get(request, 0) for request in fresh)
        cuts[-1].append(key)
        here |= fresh
        weight += more
    return cuts


def settle(
    conn: Connection,
    verdicts: Mapping[Key, Verdict],
    rows: Sequence[Any],
    progress: binding.Progress,
    now: float,
    *,
    rest: bool = False,
) -> Settled:
    """Write the results of objects into the steps that wait for them.

    No more than `MOST` parts of steps are written in one commit. rows: the parts that wait for
    them, as `step_rows.awaiting` gives them; rest: what was opened is written by the commits
    before, and so is some of the rest.
    """
    opened = {key for key, verdict in verdicts.items() if verdict.opened and not rest}
    again = bind_again(conn, opened, progress, now)
    begun = dict.fromkeys((split_key(key)[0] for key in again), False)
    if again:
        rows = step_rows.awaiting(conn, verdicts)
    rows = [row for row in rows if row.generation <= verdicts[row.key].generation]
    told = [(row, _of_step(row, verdicts[row.key])) for row in rows]
    on = [part for part in told if part[1].state == StepState.DUE]
    later = set() if rest else {row.request for row, _ in on}
    ended = [part for part in told if part[1].state != StepState.DUE]
    first = _first(conn, ended) if len(verdicts) == 1 else ended[:MOST]
    # What was told the same before is not written again: each try would write all of it.
    on = [part for part in on if _is_told_more(*part, rest=rest)]
    parts = [*on[:MOST], *first]
    more = {row.key for row, _ in (*on[MOST:], *ended[len(first) :])}
    step_moves.write_parts(conn, [_verdict_row(row, verdict) for row, verdict in parts])
    audit.append(conn, [_event(*part) for part in first if _is_news(*part)], now)
    step_moves.close_steps(conn, ((row.request, row.step) for row, _ in first), now)
    over: dict[RequestId, set[tuple[str, str]]] = {}
    for row, _ in first:
        over.setdefault(row.request, set()).add((row.step, row.item))
    made = advance(conn, sorted(over), progress, now, over)
    return Settled(Advanced(made.outcomes, begun | made.begun), sorted(later), more)


Part = tuple[Any, Verdict]
"""A part of a step as the journal has it, and the verdict for it."""


def _first(conn: Connection, ended: Sequence[Part]) -> Sequence[Part]:
    """Return those parts of one object that end in one commit: most of their requests go on."""
    some = ended[:MOST]
    requests = [row.request for row, _ in some]
    sizes = step_rows.sizes(conn, requests, MOVED + 1) if len(requests) > 1 else {}
    weights = accumulate(sizes.get(request, 0) for request in requests)
    return some[: max(1, sum(weight <= MOVED for weight in weights))]


def _is_told_more(row: Any, verdict: Verdict, *, rest: bool) -> bool:
    """Return True if a part that goes on waiting does not say so yet, or not all of it."""
    return row.error != verdict.error or bool(verdict.changed and not rest)


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
