"""Steps: the rows of a request's steps, and what is written of them as they begin and end.

Promises: everything is written inside the caller's transaction. Leaves out: which step may begin
(`advance`), files and lanes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from provisioner.contract import Fault, InvalidRequest, Key
from provisioner.journal import audit
from provisioner.journal.schema import IDS, chunks, objects, step_objects, steps
from provisioner.objects.states import OVER, StepState
from provisioner.routing.router import Step

WITHDRAWS = "withdraw from "
"""Begins the name of a step that only takes claims away; `withdraws` says that it does."""


def describe(fault: Fault, key: Key = "") -> dict[str, str]:
    """Put a fault into words that the journal and the results keep."""
    words = {"type": type(fault).__name__, "message": fault.message, "advice": fault.advice}
    if key:
        words["object"] = key
    if fault.trace:
        words["traceback"] = fault.trace
    if isinstance(fault, InvalidRequest) and fault.field:
        words["field"] = fault.field
    return words


def rows_of(
    request: str, planned: Sequence[Step]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Make the rows of a routed request's steps and of their objects.

    A step with no needs is due from the start; every other waits.
    """
    step_rows, object_rows = [], []
    for ordinal, step in enumerate(planned):
        state = StepState.WAITING if waits(step) else StepState.DUE
        step_rows.append(
            _step_row(request, step.name, ordinal, step.instance, step.needs, True, state)
        )
        for claim in step.claims:
            object_rows.append(
                _object_row(request, step.name, claim.key, claim.item, claim.claimant, state)
            )
    return step_rows, object_rows


def started(step_rows: Sequence[Mapping[str, Any]]) -> list[audit.Event]:
    """Tell which steps of each request are due from the start."""
    names: dict[str, list[str]] = {}
    for row in step_rows:
        if row["state"] == StepState.DUE:
            names.setdefault(row["request"], []).append(row["name"])
    return [audit.Event(request, "started", ", ".join(some)) for request, some in names.items()]


def waits(step: Step) -> bool:
    """Say whether a step has to wait for another."""
    return bool(step.needs or step.late)


def rows_of_keys(
    request: str, subject: str, keys: Mapping[Key, str], first: int = 0, *, withdraws: bool = False
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Make the rows of steps that no route gives: one for each instance of some objects.

    keys: object -> instance; first: the ordinal of the first one; withdraws: they take away what
    a provision leaves out, and are named so.
    """
    prefix = WITHDRAWS if withdraws else ""
    instances = sorted(set(keys.values()))
    step_rows = [
        _step_row(
            request, prefix + instance, ordinal, instance, (), False, StepState.DUE, withdraws
        )
        for ordinal, instance in enumerate(instances, first)
    ]
    object_rows = [
        _object_row(request, prefix + instance, key, "", subject, StepState.DUE)
        for key, instance in keys.items()
    ]
    return step_rows, object_rows


def _step_row(
    request: str,
    name: str,
    ordinal: int,
    instance: str,
    needs: Sequence[str],
    routed: bool,
    state: StepState,
    withdraws: bool = False,
) -> dict[str, Any]:
    return {
        "request": request,
        "name": name,
        "ordinal": ordinal,
        "instance": instance,
        "needs": list(needs),
        "routed": routed,
        "state": state,
        "withdraws": withdraws,
    }


def _object_row(
    request: str, step: str, key: Key, item: str, claimant: str, state: StepState
) -> dict[str, Any]:
    return {
        "request": request,
        "step": step,
        "key": key,
        "item": item,
        "claimant": claimant,
        "state": state,
        "changed": [],
    }


def stamp(conn: Connection, ids: Collection[str]) -> None:
    """Tell due objects of steps which generation of the object they wait for."""
    for part in chunks(ids):
        conn.execute(_STAMP, {"b_ids": part})


# Statements of the hot path are built once: building one costs more than SQLite takes for it.
_GENERATION = (
    select(objects.c.generation).where(objects.c.key == step_objects.c.key).scalar_subquery()
)
_STAMP = (
    update(step_objects)
    .where(
        step_objects.c.request.in_(IDS),
        step_objects.c.state == StepState.DUE,
        step_objects.c.generation.is_(None),
    )
    .values(generation=_GENERATION)
)
_SOME = (
    select(step_objects.c.request)
    .where(step_objects.c.request == steps.c.request, step_objects.c.step == steps.c.name)
    .exists()
)
_CLOSE_HOLLOW = (
    update(steps)
    .where(steps.c.request.in_(IDS), steps.c.state == StepState.DUE, ~_SOME)
    .values(state=StepState.DONE, ended=bindparam("b_now"))
)


def pass_over(conn: Connection, request: str) -> None:
    """Call the due objects over that were let be (`ledger.let_be`): nobody wants them any more."""
    there = select(objects.c.key).where(objects.c.key == step_objects.c.key).exists()
    conn.execute(
        update(step_objects)
        .where(step_objects.c.request == request, step_objects.c.state == StepState.DUE, ~there)
        .values(state=StepState.DONE)
    )


def set_step(
    conn: Connection,
    request: str,
    name: str,
    state: StepState,
    now: float,
    *,
    error: Mapping[str, str] | None = None,
) -> None:
    """Write a step's state, and tell it. error: why it ended so."""
    values: dict[str, Any] = {"state": state, "error": error}
    if state in OVER:
        values["ended"] = now
    if state == StepState.DUE:
        values["started"] = now
    conn.execute(
        update(steps).where(steps.c.request == request, steps.c.name == name).values(**values)
    )
    if state == StepState.DUE:
        told = audit.Event(request, "started", name)
    else:
        why = f": {error['message']}" if error else ""
        told = audit.Event(request, "step", f"{name}: {state}{why}")
    audit.append(conn, [told], now)


def close_hollow(conn: Connection, ids: Collection[str], now: float) -> None:
    """End the due steps of requests that speak of no object."""
    for part in chunks(ids):
        conn.execute(_CLOSE_HOLLOW, {"b_ids": part, "b_now": now})
