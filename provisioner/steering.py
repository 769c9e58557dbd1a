"""Steering: steps that are stopped, or wait and begin anew, because somebody said so.

Promises: everything is written inside the caller's transaction. Leaves out: what was said, and by
whom (`verbs`).
"""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from provisioner import agenda, readiness, settling, steps
from provisioner.tables import chunks, objects, step_objects
from provisioner.tables import steps as step_rows


def again(conn: Connection, request: str) -> None:
    """Let the steps of a request that did not get done wait anew, as if they had not begun."""
    unfinished = ("failed", "skipped", "cancelled", "due")
    conn.execute(
        update(step_rows)
        .where(step_rows.c.request == request, step_rows.c.state.in_(unfinished))
        .values(state="waiting", error=None, started=None, ended=None)
    )
    waiting = select(step_rows.c.name).where(
        step_rows.c.request == request, step_rows.c.state == "waiting"
    )
    conn.execute(
        update(step_objects)
        .where(step_objects.c.request == request, step_objects.c.step.in_(waiting))
        .values(state="waiting", error=None, generation=None)
    )


def stop(conn: Connection, request: str, state: str, now: float) -> None:
    """Stop the steps of a request that are not over: `cancelled`, or `waiting` for a held one.

    Objects that no other request waits for are no longer due.
    """
    running = ("waiting", "due")
    mine = (step_objects.c.request == request) & step_objects.c.state.in_(running)
    keys = list(conn.scalars(select(step_objects.c.key).where(mine).distinct()))
    conn.execute(
        update(step_rows)
        .where(step_rows.c.request == request, step_rows.c.state.in_(running))
        .values(state=state, ended=now if state in readiness.OVER else None)
    )
    conn.execute(update(step_objects).where(mine).values(state=state))
    awaited = (
        select(step_objects.c.key)
        .where(step_objects.c.key == objects.c.key, step_objects.c.state == "due")
        .exists()
    )
    for part in chunks(keys):
        conn.execute(update(objects).where(objects.c.key.in_(part), ~awaited).values(due=None))


def begin_unrouted(conn: Connection, request: str, now: float) -> None:
    """Make the waiting steps due that no route binds."""
    names = list(
        conn.scalars(
            select(step_rows.c.name).where(
                step_rows.c.request == request, step_rows.c.state == "waiting", ~step_rows.c.routed
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
    touched = agenda.touch(conn, set(keys), now)
    conn.execute(
        update(step_rows)
        .where(step_rows.c.request == request, step_rows.c.name.in_(names))
        .values(state="due", started=now)
    )
    conn.execute(
        update(step_objects)
        .where(step_objects.c.request == request, step_objects.c.step.in_(names))
        .values(state="due", generation=None)
    )
    if touched < len(set(keys)):
        steps.pass_over(conn, request)
        settling.close_steps(conn, [request], now)
    steps.stamp(conn, [request])
