"""Interventions: steps that are stopped, or wait and begin anew, because somebody said so.

Promises: everything is written inside the caller's transaction. Leaves out: what was said, and by
whom (`verbs`).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from provisioner.journal.records import object_rows, step_rows
from provisioner.journal.schema import chunks, objects, step_objects
from provisioner.journal.schema import steps as their_steps
from provisioner.objects.states import OVER, StepState
from provisioner.steps import settling, steps


def again(conn: Connection, request: str) -> None:
    """Let the steps of a request that did not get done wait anew, as if they had not begun.

    Steps that they take values from wait with them where what those were to make is not there: a
    suspension may have kept it from being made.
    """
    unfinished = (StepState.FAILED, StepState.SKIPPED, StepState.CANCELLED, StepState.DUE)
    mine = their_steps.c.request == request
    _let_wait(
        conn,
        request,
        list(
            conn.scalars(
                select(their_steps.c.name).where(mine, their_steps.c.state.in_(unfinished))
            )
        ),
    )
    while absent := _needed_and_absent(conn, request):
        _let_wait(conn, request, absent)


def _let_wait(conn: Connection, request: str, names: Sequence[str]) -> None:
    conn.execute(
        update(their_steps)
        .where(their_steps.c.request == request, their_steps.c.name.in_(names))
        .values(state=StepState.WAITING, error=None, started=None, ended=None)
    )
    waiting = select(their_steps.c.name).where(
        their_steps.c.request == request, their_steps.c.state == StepState.WAITING
    )
    conn.execute(
        update(step_objects)
        .where(step_objects.c.request == request, step_objects.c.step.in_(waiting))
        .values(state=StepState.WAITING, error=None, generation=None)
    )


def _needed_and_absent(conn: Connection, request: str) -> list[str]:
    """Name the done steps that a waiting one needs, and some of whose objects are not there."""
    listed = step_rows.steps_of(conn, [request]).get(request, [])
    needed = {need for step in listed if step.state == StepState.WAITING for need in step.needs}
    done = [step for step in listed if step.state == StepState.DONE and step.name in needed]
    read = object_rows.states(conn, {part.key for step in done for part in step.objects})
    absent = {key for key, state in read.items() if not state.get("present")}
    return [step.name for step in done if any(part.key in absent for part in step.objects)]


def stop(conn: Connection, request: str, state: StepState, now: float) -> None:
    """Stop the steps of a request that are not over: `cancelled`, or `waiting` for a held one.

    What it has no claim on, and no other request waits for, is no longer due. What it has one on
    stays due: whoever has the claim now may wait for it (`undo`).
    """
    running = (StepState.WAITING, StepState.DUE)
    mine = (step_objects.c.request == request) & step_objects.c.state.in_(running)
    looked_at = (
        select(their_steps.c.name)
        .where(their_steps.c.request == step_objects.c.request)
        .where(their_steps.c.name == step_objects.c.step, ~their_steps.c.routed)
        .exists()
    )
    keys = list(conn.scalars(select(step_objects.c.key).where(mine, looked_at).distinct()))
    conn.execute(
        update(their_steps)
        .where(their_steps.c.request == request, their_steps.c.state.in_(running))
        .values(state=state, ended=now if state in OVER else None)
    )
    conn.execute(update(step_objects).where(mine).values(state=state))
    awaited = (
        select(step_objects.c.key)
        .where(step_objects.c.key == objects.c.key, step_objects.c.state == StepState.DUE)
        .exists()
    )
    for part in chunks(keys):
        conn.execute(update(objects).where(objects.c.key.in_(part), ~awaited).values(due=None))


def wait_whole(conn: Connection, request: str) -> None:
    """Let a step's part for a user, or all of a step without users, wait whole where some of it
    does: it is bound as a whole when it begins again.
    """
    other = step_objects.alias()
    begins_again = (
        select(other.c.key)
        .where(other.c.request == step_objects.c.request, other.c.step == step_objects.c.step)
        .where(other.c.item == step_objects.c.item, other.c.state == StepState.WAITING)
        .exists()
    )
    routed = (
        select(their_steps.c.name)
        .where(their_steps.c.request == step_objects.c.request)
        .where(their_steps.c.name == step_objects.c.step, their_steps.c.routed)
        .exists()
    )
    mine = (step_objects.c.request == request) & (step_objects.c.state == StepState.DONE)
    conn.execute(
        update(step_objects).where(mine, begins_again, routed).values(state=StepState.WAITING)
    )
    waits = (
        select(step_objects.c.key)
        .where(step_objects.c.request == their_steps.c.request)
        .where(step_objects.c.step == their_steps.c.name, step_objects.c.state == StepState.WAITING)
        .exists()
    )
    conn.execute(
        update(their_steps)
        .where(their_steps.c.request == request, their_steps.c.state.in_(OVER), waits)
        .values(state=StepState.WAITING, error=None, ended=None)
    )


def begin_unrouted(conn: Connection, request: str, now: float) -> None:
    """Make the waiting steps due that no route binds."""
    names = list(
        conn.scalars(
            select(their_steps.c.name).where(
                their_steps.c.request == request,
                their_steps.c.state == StepState.WAITING,
                ~their_steps.c.routed,
            )
        )
    )
    if not names:
        return
    keys = list(
        conn.scalars(
            select(step_objects.c.key).where(
                step_objects.c.request == request, step_objects.c.step.in_(names)
            )
        )
    )
    touched = object_rows.touch(conn, set(keys), now)
    conn.execute(
        update(their_steps)
        .where(their_steps.c.request == request, their_steps.c.name.in_(names))
        .values(state=StepState.DUE, started=now)
    )
    conn.execute(
        update(step_objects)
        .where(step_objects.c.request == request, step_objects.c.step.in_(names))
        .where(step_objects.c.state == StepState.WAITING)
        .values(state=StepState.DUE, generation=None)
    )
    if touched < len(set(keys)):
        steps.pass_over(conn, request)
        settling.close_steps(conn, [request], now)
    steps.stamp(conn, [request])
