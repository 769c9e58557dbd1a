"""Objects: when each is due, what was last read of it, and what is known of lanes.

Promises: everything is read and written inside the caller's transaction. Leaves out: who wants
what of an object (`ledger`), and any backend.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Update, bindparam, case, func, select, update

from provisioner.contract import Key, Scalar, State
from provisioner.journal import bulk
from provisioner.journal.dialect import IDS, chunks, upsert
from provisioner.journal.schema import lanes, objects
from provisioner.objects.applied import Applied
from provisioner.objects.errors import Error
from provisioner.objects.states import Adoption
from provisioner.plain.values import value

# Statements of the hot path are built once: building one takes longer than running it in SQLite.

_BLANK = upsert(objects)

_MAKE_KNOWN = _BLANK.on_conflict_do_nothing()

_MAKE_DUE = _BLANK.on_conflict_do_update(
    index_elements=["key"],
    set_={
        "generation": objects.c.generation + 1,
        "due": _BLANK.excluded.due,
        "writer": _BLANK.excluded.writer,
        "attempts": 0,
        "waiting_since": None,
        "error": None,
    },
)

_NEXT_DUE = (
    select(objects.c.due)
    .where(objects.c.lane == bindparam("b_lane"), objects.c.due.is_not(None))
    .order_by(objects.c.due)
    .limit(1)
)

NOT_SHUT = objects.c.instance.not_in(bindparam("b_shut", expanding=True))
"""Matches objects whose instances are asked now. Most times all are, and a list takes long."""

_NEXT_DUE_NOT_SHUT = _NEXT_DUE.where(NOT_SHUT)

_MOVED = objects.c.generation != bindparam("b_generation")

_IDENTITY = func.coalesce(
    bindparam("b_identity", type_=objects.c.identity.type), objects.c.identity
)

_RECORD = (
    update(objects)
    .where(objects.c.key == bindparam("b_key"))
    .values(
        converged=case((bindparam("b_ok"), bindparam("b_generation")), else_=objects.c.converged),
        due=case((_MOVED, objects.c.due), else_=bindparam("b_due")),
        attempts=bindparam("b_attempts"),
        waiting_since=bindparam("b_since"),
        error=bindparam("b_error"),
        state=func.coalesce(bindparam("b_state", type_=objects.c.state.type), objects.c.state),
        observed=bindparam("b_now"),
        prior=case((bindparam("b_drop"), None), else_=objects.c.prior),
        adoption=case((_MOVED, objects.c.adoption), else_=bindparam("b_adoption")),
        identity=case((bindparam("b_forget"), None), else_=_IDENTITY),
        applied=func.coalesce(
            bindparam("b_applied", type_=objects.c.applied.type), objects.c.applied
        ),
    )
)

_RECORD_SAME = (
    update(objects)
    .where(objects.c.key == bindparam("b_key"))
    .values(
        converged=bindparam("b_generation"),
        due=case((_MOVED, objects.c.due)),
        attempts=0,
        waiting_since=None,
        error=None,
        observed=bindparam("b_now"),
    )
)

_REST = (
    update(objects)
    .where(objects.c.key == bindparam("b_key"), ~_MOVED)
    .values(due=None, attempts=0, waiting_since=None, error=None)
)

_IS_DUE = objects.c.due.is_not(None)


def _due_again(waiting_since: Any, **more: Any) -> Update:
    """Make the statement by which an object is due, with all its tries. more: other values."""
    return (
        update(objects)
        .where(objects.c.key == bindparam("b_key"))
        .values(
            generation=objects.c.generation + 1,
            due=bindparam("b_now"),
            writer=bindparam("b_writer"),
            attempts=0,
            waiting_since=waiting_since,
            error=None,
            **more,
        )
    )


_KEPT_SINCE = case((_IS_DUE, objects.c.waiting_since))
_SETTLED = (objects.c.converged > 0) & (objects.c.converged == objects.c.generation)
_TOUCH = _due_again(None)
_REPAIR = _due_again(_KEPT_SINCE)
_STAYS = case((_SETTLED, objects.c.generation + 1), else_=objects.c.converged)
_LOOK_AGAIN = _due_again(_KEPT_SINCE, converged=_STAYS)
_STATES = select(objects.c.key, objects.c.state).where(objects.c.key.in_(IDS))


@dataclass(frozen=True, slots=True)
class Turn:
    """When objects become due, and in which writer's turn they are looked at."""

    now: float
    writer: str


def touch(conn: Connection, keys: Collection[Key], turn: Turn) -> int:
    """Make objects due because their want changed. Return how many of them there are."""
    return _make_due(conn, _TOUCH, keys, turn)


def look_again(conn: Connection, keys: Collection[Key], turn: Turn) -> int:
    """Make objects due for another look while their want stays. Return how many there are.

    An object that waits keeps the time since which it waits, however often somebody looks. One that
    was given up gets all its tries again. One that was as wanted counts so: see `Item.settled`.
    """
    return _make_due(conn, _LOOK_AGAIN, keys, turn)


def repair(conn: Connection, keys: Collection[Key], turn: Turn) -> int:
    """Do the same for objects of which policy has counted who loses something if they close."""
    return _make_due(conn, _REPAIR, keys, turn)


def _make_due(conn: Connection, how: Update, keys: Collection[Key], turn: Turn) -> int:
    named = {"b_now": turn.now, "b_writer": turn.writer}
    return bulk.count(conn, how, [{"b_key": key, **named} for key in dict.fromkeys(keys)])


def all_keys(conn: Connection, instances: Collection[str] | None = None) -> list[Key]:
    """List every object in the ledger, or those of some instances."""
    statement = select(objects.c.key)
    if instances is not None:
        statement = statement.where(objects.c.instance.in_(list(instances)))
    return sorted(conn.scalars(statement))


def settled(conn: Connection, instances: Collection[str]) -> dict[Key, int]:
    """Return the objects of some instances that were as wanted at the last look, and have nothing
    to be done; with the generation of each."""
    statement = select(objects.c.key, objects.c.generation).where(
        objects.c.instance.in_(list(instances)),
        objects.c.converged == objects.c.generation,
        objects.c.due.is_(None),
    )
    return {row[0]: row[1] for row in conn.execute(statement).all()}


def due_keys(conn: Connection) -> list[Key]:
    """List the objects that are due now or later."""
    return sorted(conn.scalars(select(objects.c.key).where(objects.c.due.is_not(None))))


def instances_of(conn: Connection, keys: Collection[Key]) -> dict[Key, str]:
    """Return the handler's instance of each object."""
    instances: dict[Key, str] = {}
    for part in chunks(keys):
        rows = conn.execute(
            select(objects.c.key, objects.c.instance).where(objects.c.key.in_(part))
        )
        instances.update({row.key: row.instance for row in rows})
    return instances


def next_due(conn: Connection, lane: str, shut: Collection[str] = ()) -> float | None:
    """Return when the lane's next object is due. shut: instances whose objects are ignored."""
    if shut:
        rows = bulk.rows(conn, _NEXT_DUE_NOT_SHUT, {"b_lane": lane, "b_shut": list(shut)})
    else:
        rows = bulk.rows(conn, _NEXT_DUE, {"b_lane": lane})
    return next((due for (due,) in rows), None)


@value(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a drain learned of one object.

    converged: it is as wanted at `generation`; due: when to look again, None if not scheduled;
    adoption: how it is now taken over; identity: what may not change, None keeps the old one, an
    empty one removes it; applied: what claims have set, None keeps the old value.
    """

    key: Key
    generation: int
    converged: bool
    state: State | None
    due: float | None
    attempts: int
    waiting_since: float | None
    error: Error | None
    drop_prior: bool
    adoption: Adoption | None = None
    identity: Mapping[str, Scalar] | None = None
    applied: Applied | None = None


def record(conn: Connection, readings: Sequence[Reading], now: float) -> None:
    """Write what a drain learned. An object whose want changed meanwhile stays due."""
    bulk.run(
        conn,
        _RECORD,
        [
            {
                "b_key": r.key,
                "b_generation": r.generation,
                "b_ok": r.converged,
                "b_due": r.due,
                "b_attempts": r.attempts,
                "b_since": r.waiting_since,
                "b_error": r.error,
                "b_state": r.state,
                "b_drop": r.drop_prior,
                "b_adoption": r.adoption,
                "b_identity": r.identity or None,
                "b_forget": r.identity == {},
                "b_applied": r.applied,
                "b_now": now,
            }
            for r in readings
        ],
    )


def record_same(conn: Connection, taken: Mapping[Key, int], now: float) -> None:
    """Write that objects are as they were last recorded, and as wanted.

    taken: the generation of each when it was taken. One whose want changed meanwhile stays due.
    """
    rows = [{"b_key": key, "b_generation": moved, "b_now": now} for key, moved in taken.items()]
    bulk.run(conn, _RECORD_SAME, rows)


def unschedule(conn: Connection, taken: Mapping[Key, int]) -> None:
    """Stop scheduling objects of which nothing is made yet, unless their wants changed.

    taken: the generation of each when it was taken.
    """
    bulk.run(conn, _REST, [{"b_key": key, "b_generation": moved} for key, moved in taken.items()])


def never_ours(conn: Connection, keys: Collection[Key]) -> set[Key]:
    """Return the objects that have conflicted with their want from the first try on."""
    foreign: set[Key] = set()
    for part in chunks(keys):
        disputed = (objects.c.converged == 0) & objects.c.error.is_not(None)
        rows = conn.execute(
            select(objects.c.key, objects.c.error, objects.c.adoption).where(
                objects.c.key.in_(part), disputed | (objects.c.adoption == Adoption.SEEN)
            )
        )
        foreign.update(
            row.key for row in rows if row.adoption == Adoption.SEEN or row.error.type == "Conflict"
        )
    return foreign


def set_adoption(conn: Connection, keys: Collection[Key], adoption: Adoption) -> None:
    """Write how known objects were taken over."""
    for part in chunks(keys):
        conn.execute(update(objects).where(objects.c.key.in_(part)).values(adoption=adoption))


def leave(conn: Connection, keys: Collection[Key]) -> None:
    """Let objects that nobody claims any more be closed, also adopted ones that nobody compared."""
    for part in chunks(keys):
        new = objects.c.key.in_(part), objects.c.adoption == Adoption.NEW
        conn.execute(update(objects).where(*new).values(adoption=Adoption.DIFFERS))


def adoptions_of(conn: Connection, keys: Collection[Key]) -> dict[Key, Adoption]:
    """Return how objects were taken over; the others are left out."""
    adoptions: dict[Key, Adoption] = {}
    for part in chunks(keys):
        rows = conn.execute(
            select(objects.c.key, objects.c.adoption).where(
                objects.c.key.in_(part), objects.c.adoption.is_not(None)
            )
        )
        adoptions.update({row.key: row.adoption for row in rows})
    return adoptions


def adopted_among(conn: Connection, keys: Collection[Key], *adoptions: Adoption) -> set[Key]:
    """Return those of some objects that were taken over in one of some ways."""
    adopted: set[Key] = set()
    for part in chunks(keys):
        some = select(objects.c.key).where(
            objects.c.key.in_(part), objects.c.adoption.in_(adoptions)
        )
        adopted.update(conn.scalars(some))
    return adopted


def states(conn: Connection, keys: Collection[Key]) -> dict[Key, State]:
    """Return the states that were last read."""
    rows = bulk.among(conn, _STATES, keys)
    return {key: state for key, state in rows if state is not None}


def hasten(conn: Connection, keys: Collection[Key], now: float) -> None:
    """Make objects due now with all their tries, while their want stays."""
    for part in chunks(keys):
        conn.execute(
            update(objects)
            .where(objects.c.key.in_(part))
            .values(due=now, attempts=0, waiting_since=None)
        )


def wake(conn: Connection, keys: Collection[Key], now: float) -> None:
    """Make those of some objects due now that are not due at all, while their want stays."""
    for part in chunks(keys):
        conn.execute(update(objects).where(objects.c.key.in_(part), ~_IS_DUE).values(due=now))


def add(conn: Connection, keys: Mapping[Key, tuple[str, str, str]], due: float | None) -> None:
    """Make objects known. With a time they become due then, even if they were known before.

    keys: object -> (instance, lane, the writer in whose turn it is looked at).
    """
    rows = [
        {
            "key": key,
            "instance": instance,
            "lane": lane,
            "writer": writer,
            "generation": 0 if due is None else 1,
            "converged": 0,
            "attempts": 0,
            "due": due,
        }
        for key, (instance, lane, writer) in keys.items()
    ]
    if rows:
        bulk.run(conn, _MAKE_KNOWN if due is None else _MAKE_DUE, rows)


def lane_rows(conn: Connection) -> dict[str, dict[str, Any]]:
    """Return what is recorded of lanes: who paused them, and their breakers."""
    return {row.name: dict(row._mapping) for row in conn.execute(select(lanes))}


def due_counts(conn: Connection, now: float) -> dict[str, tuple[int, int]]:
    """Count each lane's objects: (due now, due later)."""
    rows = conn.execute(
        select(
            objects.c.lane,
            func.sum(case((objects.c.due <= now, 1), else_=0)),
            func.sum(case((objects.c.due > now, 1), else_=0)),
        )
        .where(objects.c.due.is_not(None))
        .group_by(objects.c.lane)
    )
    return {lane: (int(ready or 0), int(later or 0)) for lane, ready, later in rows}


def set_lane(conn: Connection, name: str, **values: object) -> None:
    """Write values of a lane (`paused_by`, `breaker_until`, `breaker_reason`)."""
    if conn.execute(update(lanes).where(lanes.c.name == name).values(**values)).rowcount == 0:
        conn.execute(upsert(lanes), {"name": name, **values})


def close_breakers(conn: Connection) -> None:
    """Remove the breakers of all lanes, as if no backend had been away."""
    conn.execute(update(lanes).values(breaker_until=None, breaker_reason=None))
