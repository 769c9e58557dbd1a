"""Undo: what a cancelled request wanted is wanted no more, and what it replaced is wanted again.

Promises: all inside the caller's transaction; nothing that somebody had is left unclaimed, to be
closed by whoever looks next; what was closed before is not opened. Leaves out: stopping steps
(`steps`), and writing any outcome (`verbs`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, delete, or_, select, update

from provisioner import agenda, binding, ledger, records, stepbook
from provisioner.contract import Key, Want
from provisioner.tables import IDS, chunks, claims, objects, requests, step_objects
from provisioner.tables import steps as steps_table

_SUSPENDING = ("user.suspend", "allocation.suspend")
_LOOKING = ("user.resume", "allocation.resume", "reconcile", *_SUSPENDING)
"""Actions whose steps change no claim."""

Pair = tuple[Key, str]
"""An object and a claimant."""


def undo(
    conn: Connection, target: records.Record, progress: binding.Progress, now: float
) -> list[str]:
    """Undo what a request that is being cancelled changed of what is wanted.

    A suspension of its own is lifted. What it took back stays taken back. Return notes of what its
    writer should know.
    """
    unrouted = _unrouted(conn, target.id)
    if target.action in _SUSPENDING and ledger.lift(conn, target.id):
        agenda.touch(conn, ledger.keys_of(conn, target.subject), now)
        return []
    _take_back(conn, target, progress, now)
    agenda.touch(conn, unrouted, now)
    if unrouted and target.action != "reconcile":
        return ["what was taken away or given back by it counted from its acceptance, and stays so"]
    return []


def _unrouted(conn: Connection, request: str) -> list[Key]:
    """List the objects that a request has no claim on, and was not over with."""
    statement = (
        select(step_objects.c.key)
        .join(
            steps_table,
            (steps_table.c.request == step_objects.c.request)
            & (steps_table.c.name == step_objects.c.step),
        )
        .where(
            step_objects.c.request == request,
            step_objects.c.state.in_(["waiting", "due", "cancelled"]),
            ~steps_table.c.routed,
        )
        .distinct()
    )
    return list(conn.scalars(statement))


def _take_back(
    conn: Connection, target: records.Record, progress: binding.Progress, now: float
) -> None:
    """Give claims on objects that have not converged since back to whom they were taken from."""
    rows = conn.execute(_UNMADE, {"b_request": target.id}).all()
    keys = {row.key for row in rows}
    before = _before(conn, target, keys)
    wants = _wants(
        conn, {before[r.key, r.claimant] for r in rows if (r.key, r.claimant) in before}, progress
    )
    others = _claimed_by_others(conn, target.id, keys)
    restored, gone = [], []
    for row in rows:
        pair = (row.key, row.claimant)
        if pair in before:
            who, writer, _ = before[pair]
            restored.append(
                {
                    "b_key": row.key,
                    "b_claimant": row.claimant,
                    "b_want": wants.get(before[pair], {}).get(pair, row.want),
                    "b_request": who,
                    "b_source": writer,
                }
            )
        elif row.key in others or not row.converged or row.prior is not None:
            gone.append({"b_key": row.key, "b_claimant": row.claimant})
        # Else somebody had it whose request is forgotten: it stays claimed, and so stays theirs.
    if restored:
        conn.execute(_RESTORE, restored)
    if gone:
        conn.execute(_DELETE, gone)
    made = {row.key for row in rows if row.converged} | {one["b_key"] for one in restored}
    agenda.touch(conn, made & _claimed(conn, made), now)
    ledger.let_be(conn, keys)


_Asker = tuple[str, str, str]
"""A request, its writer, and the step that asked."""


def _before(conn: Connection, target: records.Record, keys: Collection[Key]) -> dict[Pair, _Asker]:
    """Find which earlier request claimed each object last, where its claim still stood."""
    found: dict[Pair, _Asker] = {}
    for part in chunks(keys):
        for row in conn.execute(_EARLIER, {"b_ids": part, "b_request": target.id}):
            if row.routed:
                found[row.key, row.claimant] = (row.request, row.writer, row.step)
            elif row.action not in _LOOKING:
                nest = row.claimant + "/"
                for key, who in list(found):
                    if key == row.key and (who == row.claimant or who.startswith(nest)):
                        del found[key, who]
    return found


def _wants(
    conn: Connection, askers: Collection[_Asker], progress: binding.Progress
) -> dict[_Asker, Mapping[Pair, Want | None]]:
    """Say what steps of earlier requests ask for."""
    ids = {who for who, _, _ in askers}
    loaded, listed = records.load(conn, ids), stepbook.steps_of(conn, ids)
    return {
        (who, writer, step): binding.asked(conn, loaded[who], listed[who], step, progress)
        for who, writer, step in askers
    }


def _claimed(conn: Connection, keys: Collection[Key]) -> set[Key]:
    found: set[Key] = set()
    for part in chunks(keys):
        found.update(conn.scalars(select(claims.c.key).where(claims.c.key.in_(part))))
    return found


def _claimed_by_others(conn: Connection, request: str, keys: Collection[Key]) -> set[Key]:
    found: set[Key] = set()
    for part in chunks(keys):
        statement = select(claims.c.key).where(claims.c.key.in_(part), claims.c.request != request)
        found.update(conn.scalars(statement))
    return found


_UNMADE: Any = (
    select(claims.c.key, claims.c.claimant, claims.c.want, objects.c.converged, objects.c.prior)
    .join(objects, objects.c.key == claims.c.key)
    .where(
        claims.c.request == bindparam("b_request"),
        or_(objects.c.converged < objects.c.generation, objects.c.generation == 0),
    )
)
_EARLIER: Any = (
    select(
        step_objects.c.key,
        step_objects.c.claimant,
        step_objects.c.request,
        step_objects.c.step,
        steps_table.c.routed,
        requests.c.action,
        requests.c.writer,
    )
    .join(
        steps_table,
        (steps_table.c.request == step_objects.c.request)
        & (steps_table.c.name == step_objects.c.step),
    )
    .join(requests, requests.c.id == step_objects.c.request)
    .where(
        step_objects.c.key.in_(IDS),
        step_objects.c.request < bindparam("b_request"),
        requests.c.state.not_in(["cancelled", "refused"]),
    )
    .order_by(step_objects.c.request)
)
_RESTORE: Any = (
    update(claims)
    .where(claims.c.key == bindparam("b_key"), claims.c.claimant == bindparam("b_claimant"))
    .values(want=bindparam("b_want"), request=bindparam("b_request"), source=bindparam("b_source"))
)
_DELETE: Any = delete(claims).where(
    claims.c.key == bindparam("b_key"), claims.c.claimant == bindparam("b_claimant")
)
