"""Settling: what became of objects, written into the steps and the requests that wait for them.

Promises: a verdict counts only for what was wanted when its object was taken; all is written inside
the caller's transaction, with the outcome of every request that is over. Leaves out: coming to a
verdict (`lanes`), and what becomes due then (`steps`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, bindparam, case, func, select, update

from provisioner.contract import Key, State
from provisioner.journal import audit, bulk
from provisioner.journal.schema import IDS, chunks, requests, step_objects
from provisioner.journal.schema import steps as step_rows
from provisioner.objects.states import RequestState, StepState
from provisioner.steps import binding
from provisioner.steps.advance import advance


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a drain says of one object, for the steps that wait for it.

    generation: what it had when it was taken; state: done, failed, or due (later); adopted: it was
    looked at to be taken over; not_ready: what it hangs on is not there; wanted: a claim that no
    suspension closes keeps it open.
    """

    generation: int
    state: str
    changed: Sequence[str]
    error: Mapping[str, str] | None
    read_back: State | None
    adopted: bool = False
    not_ready: bool = False
    wanted: bool = False


# Statements of the hot path are built once: building one costs more than SQLite takes for it.
_AWAITING = (
    select(
        step_objects.c.request,
        step_objects.c.step,
        step_objects.c.key,
        step_objects.c.item,
        step_objects.c.claimant,
        step_objects.c.generation,
        step_objects.c.changed,
        step_rows.c.routed,
        requests.c.action,
    )
    .join(
        step_rows,
        (step_rows.c.request == step_objects.c.request) & (step_rows.c.name == step_objects.c.step),
    )
    .join(requests, requests.c.id == step_objects.c.request)
    .where(step_objects.c.key.in_(IDS), step_objects.c.state == StepState.DUE)
)

_OBJECT = select(step_objects.c.key).where(
    step_objects.c.request == step_rows.c.request, step_objects.c.step == step_rows.c.name
)

_ENDING = select(
    step_rows.c.request,
    step_rows.c.name,
    case(
        (_OBJECT.where(step_objects.c.state == StepState.FAILED).exists(), StepState.FAILED),
        (_OBJECT.where(step_objects.c.state == StepState.SKIPPED).exists(), StepState.SKIPPED),
        else_=StepState.DONE,
    ),
).where(
    step_rows.c.request.in_(IDS),
    step_rows.c.state == StepState.DUE,
    _OBJECT.exists(),
    ~_OBJECT.where(step_objects.c.state.in_([StepState.DUE, StepState.WAITING])).exists(),
)

_CLOSE = (
    update(step_rows)
    .where(step_rows.c.request == bindparam("b_request"), step_rows.c.name == bindparam("b_name"))
    .values(state=bindparam("b_state"), ended=bindparam("b_now"))
)

_READ_BACK: Any = bindparam("b_read_back", type_=step_objects.c.read_back.type)

_UPDATE_OBJECT = (
    update(step_objects)
    .where(
        step_objects.c.request == bindparam("b_request"),
        step_objects.c.step == bindparam("b_step"),
        step_objects.c.key == bindparam("b_key"),
        step_objects.c.item == bindparam("b_item"),
    )
    .values(
        state=bindparam("b_state"),
        changed=bindparam("b_changed"),
        error=bindparam("b_error"),
        # What was made once was made, also where it is looked at again and is not ready.
        read_back=func.coalesce(_READ_BACK, step_objects.c.read_back),
    )
)


def settle(
    conn: Connection, verdicts: Mapping[Key, Verdict], progress: binding.Progress, now: float
) -> tuple[dict[str, RequestState], list[str]]:
    """Write what became of objects into the steps that wait for them.

    Return the outcomes of requests that are over, and the requests that now wait for later.
    """
    rows: list[Any] = []
    for part in chunks(verdicts):
        rows += conn.execute(_AWAITING, {"b_ids": part}).all()
    rows = [row for row in rows if row.generation <= verdicts[row.key].generation]
    if not rows:
        return {}, []
    parts = [(row, _of_step(row, verdicts[row.key])) for row in rows]
    bulk.run(conn, _UPDATE_OBJECT, [_verdict_row(row, verdict) for row, verdict in parts])
    audit.append(conn, [_told(*part) for part in parts if _is_news(*part)], now)
    over = {row.request for row, verdict in parts if verdict.state != StepState.DUE}
    later = {row.request for row, verdict in parts if verdict.state == StepState.DUE}
    close_steps(conn, over, now)
    return advance(conn, sorted(over), progress, now), sorted(later)


_OPENING = ("user.suspend", "user.resume", "allocation.suspend", "allocation.resume", "adopt")
"""Actions whose own steps are over when their objects are as wanted, and not before."""


def _of_step(row: Any, verdict: Verdict) -> Verdict:
    """Return what a verdict says of an object for one step that waits for it.

    A reconcile is over with what it has looked at, and whoever withdraws, with what another still
    wants: what that hangs on may never come, and is not theirs to wait for. The object itself is
    due again all the same.
    """
    own = row.routed or row.action in _OPENING
    if verdict.state != StepState.DUE or not verdict.not_ready or own:
        return verdict
    if row.action == "reconcile" or verdict.wanted:
        return replace(verdict, state=StepState.DONE)
    return verdict


def _is_news(row: Any, verdict: Verdict) -> bool:
    """Say whether to tell of an object that is over.

    A reconcile looks at all there is, night by night: what it found as wanted is its state, and
    one of the objects that the result lists, and no more.
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


def _told(row: Any, verdict: Verdict) -> audit.Event:
    """Tell what was done to an object for a request, and what was read back."""
    facts: dict[str, Any] = {
        "step": row.step,
        "object": row.key,
        "state": verdict.state,
        "changed": [*row.changed, *verdict.changed],
    }
    if verdict.read_back is not None:
        facts["read_back"] = verdict.read_back
    if verdict.error is not None:
        facts["error"] = verdict.error
    return audit.Event(row.request, audit.OBJECT, row.key, row.claimant, facts)


def close_steps(conn: Connection, ids: Collection[str], now: float) -> None:
    """End the due steps all of whose objects are over."""
    ended: list[dict[str, Any]] = []
    for part in chunks(ids):
        ended += [
            {"b_request": request, "b_name": step, "b_state": state, "b_now": now}
            for request, step, state in conn.execute(_ENDING, {"b_ids": part}).all()
        ]
    if ended:
        bulk.run(conn, _CLOSE, ended)
