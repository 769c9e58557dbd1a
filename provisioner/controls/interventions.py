"""Interventions: steps that begin again because a person asked for it.

Promises: everything is written inside the caller's transaction. Leaves out: the events about it
(`verbs`).
"""

from __future__ import annotations

from provisioner.journal.journal import Connection
from provisioner.journal.records import object_rows, request_rows, step_moves, step_rows
from provisioner.journal.records.object_rows import Turn
from provisioner.objects.states import StepState
from provisioner.request.request import parse_request
from provisioner.system.ulid import RequestId


def again(conn: Connection, request: RequestId) -> None:
    """Set the steps of a request that did not get done to waiting, as if they had not begun.

    A step that gives them values waits with them if its object does not exist: a suspension may
    have kept it from being made.
    """
    unfinished = (StepState.FAILED, StepState.SKIPPED, StepState.CANCELLED, StepState.DUE)
    listed = step_rows.outlines_of(conn, [request])[request]
    step_moves.reset(conn, request, [s.name for s in listed if s.state in unfinished])
    while absent := _needed_and_absent(conn, request):
        step_moves.reset(conn, request, absent)


def _needed_and_absent(conn: Connection, request: RequestId) -> list[str]:
    """Return the done steps that a waiting one needs and that have objects which do not exist."""
    listed = step_rows.steps_of(conn, [request]).get(request, [])
    needed = {need for step in listed if step.state == StepState.WAITING for need in step.needs}
    done = [step for step in listed if step.state == StepState.DONE and step.name in needed]
    read = object_rows.states(conn, {part.key for step in done for part in step.objects})
    absent = {key for key, state in read.items() if not state.get("present")}
    return [step.name for step in done if any(part.key in absent for part in step.objects)]


def begin_unrouted(conn: Connection, request: RequestId, now: float) -> None:
    """Make the waiting steps due that no route binds."""
    listed = step_rows.standings_of(conn, [request])[request]
    begin = [s for s in listed if s.state == StepState.WAITING and not s.routed]
    if not begin:
        return
    keys = {part.key for step in begin for part in step.objects}
    record = request_rows.load(conn, [request])[request]
    make_due = object_rows.look_again if _looks_at_all(record) else object_rows.touch
    touched = make_due(conn, keys, Turn(now, record.writer))
    names = [step.name for step in begin]
    step_moves.begin(conn, request, names, now)
    if touched < len(keys):
        step_moves.finish_untracked(conn, request)
        step_moves.close_steps(conn, [(request, name) for name in names], now)
    step_moves.stamp(conn, [request])


def _looks_at_all(record: request_rows.Record) -> bool:
    """Return True for a reconcile of which policy has not counted whose objects it closes."""
    return record.action == "reconcile" and not parse_request(record.body).values["objects"]
