"""Renewal: a released request claims again what it has not made.

Promises: all inside the caller's transaction; where a later request has spoken of a claim, that one
stands. Leaves out: giving claims back (`undo`), and beginning steps (`interventions`, `advance`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from provisioner.contract import Key
from provisioner.journal.records import history, ledger, object_rows, request_rows, step_rows
from provisioner.journal.records.history import Pair
from provisioner.journal.schema import step_objects
from provisioner.journal.schema import steps as steps_table
from provisioner.objects.states import StepState
from provisioner.steps import steps


def claim_again(
    conn: Connection, target: request_rows.Record, lanes: Mapping[str, str], now: float
) -> None:
    """Claim anew for a released request what it has not made, where no later one spoke of it.

    It counts when its steps begin, as at the first time; what failed is tried again, and what it
    leaves out is taken back. lanes: lane of each instance.
    """
    rows = conn.execute(_WAITING, {"b_request": target.id}).all()
    mine = {(row.key, row.claimant) for row in rows}
    held = ledger.claimed(conn, [target.subject])[target.subject] - _asked(conn, target.id)
    told = history.of(conn, mine | held)
    entries = [
        ledger.Entry(row.key, row.claimant, row.instance, None)
        for row in rows
        if row.instance in lanes and not history.overtaken(told[row.key, row.claimant], target.id)
    ]
    owner = {entry.claimant: (target.id, target.writer) for entry in entries}
    ledger.claim(conn, entries, lanes, owner, now)
    for entry in entries:
        # Also what failed, or was over because another's claim waited: its claim is a new one.
        asked = {"b_request": target.id, "b_key": entry.key, "b_claimant": entry.claimant}
        conn.execute(_ANEW, asked)
    left = {pair for pair in held if not history.overtaken(told[pair], target.id)}
    _withdraw_again(conn, target, ledger.withdraw(conn, left, now))


def _withdraw_again(conn: Connection, target: request_rows.Record, keys: Collection[Key]) -> None:
    """Have a released request wait until what it leaves out is taken away.

    keys: objects that somebody claimed while it was held. Its steps name them, so that a second
    hold gives them back.
    """
    known = {step.name for step in step_rows.outlines_of(conn, [target.id])[target.id]}
    gone = object_rows.instances_of(conn, keys)
    made, parts = steps.rows_of_keys(target.id, target.subject, gone, len(known), withdraws=True)
    step_rows.insert_steps(conn, [step for step in made if step["name"] not in known])
    step_rows.insert_step_objects(conn, parts)
    for name in known & {step["name"] for step in made}:
        conn.execute(_BEGIN, {"b_request": target.id, "b_name": name})


def _asked(conn: Connection, request: str) -> set[Pair]:
    """List what the steps of a request claim, or claimed."""
    return {(row.key, row.claimant) for row in conn.execute(_ROUTED, {"b_request": request})}


_STEP: Any = (steps_table.c.request == step_objects.c.request) & (
    steps_table.c.name == step_objects.c.step
)
_ROUTED: Any = (
    select(step_objects.c.key, step_objects.c.claimant, steps_table.c.instance)
    .join(steps_table, _STEP)
    .where(step_objects.c.request == bindparam("b_request"), steps_table.c.routed)
    .distinct()
)
_WAITING: Any = _ROUTED.where(step_objects.c.read_back.is_(None))
_ANEW: Any = (
    update(step_objects)
    .where(
        step_objects.c.request == bindparam("b_request"),
        step_objects.c.key == bindparam("b_key"),
        step_objects.c.claimant == bindparam("b_claimant"),
        step_objects.c.read_back.is_(None),
    )
    .values(state=StepState.WAITING, generation=None, error=None)
)
_BEGIN: Any = (
    update(steps_table)
    .where(
        steps_table.c.request == bindparam("b_request"), steps_table.c.name == bindparam("b_name")
    )
    .values(state=StepState.DUE, ended=None)
)
